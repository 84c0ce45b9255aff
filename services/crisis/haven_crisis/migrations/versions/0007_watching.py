"""Synthetic drills, and what the last resort was told.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # One row: whoever sets it forward runs the drill.
    "CREATE TABLE drill_clock (one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), next_at TIMESTAMPTZ NOT NULL)",
    "INSERT INTO drill_clock (next_at) VALUES (now() + interval '1 hour')",
    """CREATE TABLE drill_run (
        drill_id UUID PRIMARY KEY,
        alert_id UUID NOT NULL,
        started_at TIMESTAMPTZ NOT NULL,
        ended_at TIMESTAMPTZ,
        outcome TEXT NOT NULL DEFAULT '',
        seconds DOUBLE PRECISION
    )""",
    "CREATE INDEX drill_run_order ON drill_run (started_at)",
    "CREATE INDEX drill_run_open ON drill_run (started_at) WHERE ended_at IS NULL",
    "CREATE TABLE finding_told (finding TEXT PRIMARY KEY, told_at TIMESTAMPTZ NOT NULL)",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
