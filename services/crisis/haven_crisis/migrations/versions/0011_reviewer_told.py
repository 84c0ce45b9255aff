"""When the privacy reviewer is to be told of emergency access; reviews by their alert.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Unset: there is nobody to tell, or they were told; so it is where the release before writes, which tells by pages.
    "ALTER TABLE break_glass ADD COLUMN tell_at TIMESTAMPTZ",
    "CREATE INDEX break_glass_tell ON break_glass (tell_at) WHERE tell_at IS NOT NULL",
    # Whoever opens a closed alert is looked for among those who were asked for something about it.
    "CREATE INDEX review_alert ON review (alert_id)",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
