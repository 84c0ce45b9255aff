"""How the providers' own reports say a page went.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # One row for each page that was handed to a provider, or that one told of. It does not wait for the page's row:
    # pages go out before their record is complete.
    """CREATE TABLE delivery (
        page_id UUID PRIMARY KEY,
        channel TEXT NOT NULL DEFAULT '',
        provider TEXT NOT NULL DEFAULT '',
        reference TEXT NOT NULL DEFAULT '',
        sent_at TIMESTAMPTZ,
        reported SMALLINT NOT NULL DEFAULT 0,
        reported_at TIMESTAMPTZ,
        reason TEXT NOT NULL DEFAULT '',
        applied BOOLEAN NOT NULL DEFAULT TRUE,
        open_at_provider BOOLEAN NOT NULL DEFAULT FALSE,
        tries SMALLINT NOT NULL DEFAULT 0,
        next_try TIMESTAMPTZ
    )""",
    "CREATE INDEX delivery_reported ON delivery (page_id) WHERE NOT applied",
    "CREATE INDEX delivery_open ON delivery (page_id) WHERE open_at_provider",
    "CREATE INDEX page_order ON page (created_at, page_id)",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
