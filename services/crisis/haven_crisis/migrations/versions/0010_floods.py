"""Alerts of a flood from one integrated system, whose pages are sent together.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Defaults, so that replicas of the release before write on; what they raise is paged one by one.
    "ALTER TABLE alert ADD COLUMN origin TEXT NOT NULL DEFAULT '', ADD COLUMN gathered BOOLEAN NOT NULL DEFAULT FALSE",
    "CREATE INDEX alert_origin ON alert (origin, raised_at) WHERE origin <> ''",
    # The first of the pages that went out as one message.
    "ALTER TABLE page ADD COLUMN lead UUID",
    "CREATE INDEX page_lead ON page (lead) WHERE lead IS NOT NULL",
    # When pages of one system to one responder on one channel last went out together.
    """CREATE TABLE gathering (
        origin TEXT NOT NULL,
        responder_id TEXT NOT NULL,
        place SMALLINT NOT NULL,
        began_at TIMESTAMPTZ NOT NULL,
        PRIMARY KEY (origin, responder_id, place)
    )""",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
