"""Who did not come, what was observed, and locations that crisis has not got yet.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    "ALTER TABLE session ADD COLUMN absences_told BOOLEAN NOT NULL DEFAULT FALSE",
    # What is over when this release comes is not told of any more.
    "UPDATE session SET absences_told = TRUE WHERE starts_at < now()",
    "CREATE INDEX session_absences ON session (starts_at) WHERE NOT absences_told",
    """CREATE TABLE kept_location (
    person_id UUID PRIMARY KEY,
    confirmed_at TIMESTAMPTZ NOT NULL,
    try_at TIMESTAMPTZ NOT NULL,
    sealed BYTEA NOT NULL
)""",
    "CREATE INDEX kept_location_due ON kept_location (try_at)",
    """CREATE TABLE observation (
    observation_id UUID PRIMARY KEY,
    session_id UUID NOT NULL,
    person_id UUID NOT NULL,
    observed_by TEXT NOT NULL,
    observed_at TIMESTAMPTZ NOT NULL,
    sealed BYTEA NOT NULL
)""",
    "CREATE INDEX observation_session ON observation (session_id, observation_id)",
    "CREATE INDEX observation_person ON observation (person_id, observation_id)",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
