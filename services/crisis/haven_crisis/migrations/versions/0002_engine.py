"""Nothing: what pages and escalation need is in 0001. It stays because databases say that they are at it, or past it,
and because 0003 names it as the one before.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = ()


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
