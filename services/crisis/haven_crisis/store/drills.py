"""Synthetic drills: when the next is due, and how each went."""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg

from haven_kit.database import Tx


async def claim(tx: Tx, every: timedelta) -> bool:
    """Whether one is due, and this replica is the one to run it."""
    row = await tx.fetch_one(
        "UPDATE drill_clock SET next_at = $1 WHERE next_at <= $2 RETURNING 1", tx.now + every, tx.now
    )
    return row is not None


async def begin(tx: Tx, drill_id: str, alert_id: str) -> None:
    """One begins, with its alert."""
    await tx.fetch(
        "INSERT INTO drill_run (drill_id, alert_id, started_at) VALUES ($1, $2, $3)", drill_id, alert_id, tx.now
    )


async def end(tx: Tx, drill_id: str, outcome: str, seconds: float | None) -> None:
    """It is over: `paged`, `not_paged` or `left` by a replica that ended."""
    await tx.fetch(
        "UPDATE drill_run SET ended_at = $2, outcome = $3, seconds = $4 WHERE drill_id = $1",
        drill_id,
        tx.now,
        outcome,
        seconds,
    )


async def left(tx: Tx, before: datetime) -> list[asyncpg.Record]:
    """Those that began before a moment and never ended, locked: `drill_id`, `alert_id`."""
    return await tx.fetch(
        """SELECT drill_id::text, alert_id::text FROM drill_run WHERE ended_at IS NULL AND started_at < $1
        FOR UPDATE SKIP LOCKED""",
        before,
    )


async def last(tx: Tx) -> tuple[str, datetime | None]:
    """How the last one that ended went, empty where there was none; and when one last went well."""
    row = await tx.fetch_one(
        """SELECT (SELECT max(ended_at) FROM drill_run WHERE outcome = 'paged') AS good_at,
        (SELECT outcome FROM drill_run WHERE ended_at IS NOT NULL ORDER BY started_at DESC LIMIT 1) AS outcome"""
    )
    return ("", None) if row is None else (row["outcome"] or "", row["good_at"])


async def accepted(tx: Tx, alert_id: str) -> bool:
    """Whether a provider took a page of the alert."""
    row = await tx.fetch_one("SELECT 1 FROM page WHERE alert_id = $1 AND state IN (3, 7)", alert_id)
    return row is not None
