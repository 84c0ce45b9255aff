"""What the auditors and the gauges ask."""

from __future__ import annotations

from datetime import datetime

from haven_kit.database import Tx

Place = tuple[datetime, str]
"""Where a walk through alerts stands: a time and an alert's id."""


async def changed(tx: Tx, after: Place, before: datetime, limit: int) -> list[tuple[datetime, str]]:
    """Alerts that changed after a place and before a moment, in order."""
    rows = await tx.fetch(
        """SELECT changed_at AS at, alert_id::text FROM alert
        WHERE changed_at >= $1 AND (changed_at, alert_id) > ($1, $2::uuid) AND changed_at < $3
        ORDER BY changed_at, alert_id LIMIT $4""",
        *after,
        before,
        limit,
    )
    return [(row["at"], row["alert_id"]) for row in rows]


async def raised(tx: Tx, after: Place, limit: int) -> list[tuple[datetime, str]]:
    """Alerts that were raised after a place, in order."""
    rows = await tx.fetch(
        """SELECT raised_at AS at, alert_id::text FROM alert
        WHERE (raised_at, alert_id) > ($1, $2::uuid) ORDER BY raised_at, alert_id LIMIT $3""",
        *after,
        limit,
    )
    return [(row["at"], row["alert_id"]) for row in rows]


async def oldest_page(tx: Tx) -> datetime | None:
    """Since when the page that waits longest has been due; None where none waits. Only what is due counts."""
    row = await tx.fetch_one(
        "SELECT min(COALESCE(lease_until, due_at)) AS since FROM page WHERE state IN (1, 2) AND due_at <= $1", tx.now
    )
    since: datetime | None = row["since"] if row is not None else None
    return since


async def tell(tx: Tx, finding: str, before: datetime) -> bool:
    """Claim to tell of a finding, unless somebody did since a moment."""
    row = await tx.fetch_one(
        """INSERT INTO finding_told (finding, told_at) VALUES ($1, $2)
        ON CONFLICT (finding) DO UPDATE SET told_at = excluded.told_at WHERE finding_told.told_at < $3 RETURNING 1""",
        finding,
        tx.now,
        before,
    )
    return row is not None


async def untell(tx: Tx, finding: str) -> None:
    """It could not be told."""
    await tx.fetch("DELETE FROM finding_told WHERE finding = $1", finding)
