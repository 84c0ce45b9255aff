"""Signals that were kept while the database was away.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # What was kept elsewhere and is in the record now: each once. Whoever was paged knows the alert by `alert_id`; it
    # may have become part of another one that was open.
    """CREATE TABLE kept (
        case_id UUID PRIMARY KEY,
        alert_id UUID NOT NULL,
        became_alert_id UUID NOT NULL REFERENCES alert,
        road SMALLINT NOT NULL,
        signals INT NOT NULL,
        kept_at TIMESTAMPTZ NOT NULL,
        completed_at TIMESTAMPTZ NOT NULL
    )""",
    "CREATE INDEX kept_alert ON kept (alert_id)",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
