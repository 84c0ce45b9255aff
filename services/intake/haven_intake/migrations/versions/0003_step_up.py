"""Proposals of more care.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """CREATE TABLE step_up (
    proposal_id UUID PRIMARY KEY,
    person_id UUID NOT NULL REFERENCES person,
    state TEXT NOT NULL,
    proposed_at TIMESTAMPTZ NOT NULL,
    decided_at TIMESTAMPTZ,
    version INT NOT NULL,
    sealed BYTEA NOT NULL
)""",
    "CREATE UNIQUE INDEX step_up_open ON step_up (person_id) WHERE state = 'open'",
    "CREATE INDEX step_up_person ON step_up (person_id, decided_at)",
    # Alerts of crisis that were heard of, to count those that repeat.
    """CREATE TABLE alert_seen (
    alert_id UUID PRIMARY KEY,
    person_id UUID NOT NULL,
    raised_at TIMESTAMPTZ NOT NULL
)""",
    "CREATE INDEX alert_seen_person ON alert_seen (person_id, raised_at)",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
