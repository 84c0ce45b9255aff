"""How soon a concern needs somebody, and what check-ins told for days.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    "ALTER TABLE concern ADD COLUMN level TEXT NOT NULL DEFAULT 'high'",
    # The last day that a person's check-ins were told of: days are told of once.
    """CREATE TABLE check_in_trend (
    person_id UUID PRIMARY KEY,
    told_until DATE NOT NULL,
    raised_at TIMESTAMPTZ NOT NULL
)""",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
