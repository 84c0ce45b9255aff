"""Teams, layers, swaps, verified channels.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "CREATE TABLE team (team_id UUID PRIMARY KEY, version INT NOT NULL, body BYTEA NOT NULL)",
    # One row for each change of a responder, rotation, policy or team, with what it wrote, or took out.
    """CREATE TABLE plan_change (
        change_id UUID PRIMARY KEY,
        part SMALLINT NOT NULL,
        part_id TEXT NOT NULL,
        name TEXT NOT NULL,
        deleted BOOLEAN NOT NULL,
        changed_by TEXT NOT NULL,
        changed_at TIMESTAMPTZ NOT NULL,
        reason TEXT NOT NULL,
        body BYTEA NOT NULL
    )""",
    """CREATE TABLE channel_code (
        responder_id TEXT NOT NULL,
        channel_id UUID NOT NULL,
        hash BYTEA NOT NULL,
        sent_at TIMESTAMPTZ NOT NULL,
        attempts SMALLINT NOT NULL,
        PRIMARY KEY (responder_id, channel_id)
    )""",
    """CREATE TABLE swap (
        swap_id UUID PRIMARY KEY,
        state SMALLINT NOT NULL,
        requested_by TEXT NOT NULL,
        asked_of TEXT NOT NULL,
        requested_at TIMESTAMPTZ NOT NULL,
        answered_at TIMESTAMPTZ,
        body BYTEA NOT NULL
    )""",
    "CREATE INDEX swap_of ON swap (requested_by, swap_id)",
    "CREATE INDEX swap_asked ON swap (asked_of, swap_id)",
    # The address of a responder's calendar, where there is one: sealed, since whoever has it can read the calendar.
    """CREATE TABLE time_off_calendar (
        responder_id TEXT PRIMARY KEY,
        sealed BYTEA NOT NULL,
        read_at TIMESTAMPTZ NOT NULL,
        failed BOOLEAN NOT NULL
    )""",
    """CREATE TABLE time_off (
        time_off_id UUID PRIMARY KEY,
        responder_id TEXT NOT NULL,
        starts_at TIMESTAMPTZ NOT NULL,
        ends_at TIMESTAMPTZ NOT NULL,
        imported BOOLEAN NOT NULL
    )""",
    "CREATE INDEX time_off_of ON time_off (responder_id, starts_at, time_off_id)",
    "CREATE INDEX time_off_ends ON time_off (ends_at)",
    """CREATE TABLE calendar_feed (
        feed_id UUID PRIMARY KEY,
        hash BYTEA NOT NULL UNIQUE,
        responder_id TEXT NOT NULL,
        rotation_id UUID,
        created_by TEXT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        last_read_at TIMESTAMPTZ
    )""",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
