"""The turns of round robins.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Which turn of the round robins an alert took. NULL: none, its id says where they begin.
    "ALTER TABLE alert ADD COLUMN turn BIGINT",
    "CREATE SEQUENCE alert_turn MINVALUE 0",
    # Drills come by the clock: if they took turns between alerts, they would decide who gets them.
    "CREATE SEQUENCE drill_turn MINVALUE 0",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
