"""Signals of integrated systems.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """CREATE TABLE integrated_system (
        system_id UUID PRIMARY KEY,
        version INT NOT NULL,
        disabled BOOLEAN NOT NULL,
        sealed BYTEA NOT NULL,
        last_seen_at TIMESTAMPTZ,
        accepted BIGINT NOT NULL DEFAULT 0,
        refused BIGINT NOT NULL DEFAULT 0,
        last_refusal TEXT NOT NULL DEFAULT '',
        links BIGINT NOT NULL DEFAULT 0
    )""",
    # How a system names people: keyed hashes.
    """CREATE TABLE external_person (
        system_id UUID NOT NULL REFERENCES integrated_system,
        external BYTEA NOT NULL,
        person_id UUID NOT NULL,
        PRIMARY KEY (system_id, external)
    )""",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
