"""Codes that were sent to channels, as hashes: one for each channel."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from haven_kit.database import Tx


async def get(tx: Tx, responder_id: str, channel_id: str) -> asyncpg.Record | None:
    """When the last code was sent, locked: `sent_at`."""
    return await tx.fetch_one(
        "SELECT sent_at FROM channel_code WHERE responder_id = $1 AND channel_id = $2 FOR UPDATE",
        responder_id,
        channel_id,
    )


async def put(tx: Tx, responder_id: str, channel_id: str, hashed: bytes) -> None:
    """Keep a new code in place of the last one."""
    await tx.fetch(
        """INSERT INTO channel_code (responder_id, channel_id, hash, sent_at, attempts) VALUES ($1, $2, $3, $4, 0)
        ON CONFLICT (responder_id, channel_id) DO UPDATE
        SET hash = excluded.hash, sent_at = excluded.sent_at, attempts = 0""",
        responder_id,
        channel_id,
        hashed,
        tx.now,
    )


async def attempt(tx: Tx, responder_id: str, channel_id: str, since: datetime, attempts: int) -> bytes | None:
    """Count an attempt; the code's hash. None where none was sent since, or it was tried too often."""
    row = await tx.fetch_one(
        """UPDATE channel_code SET attempts = attempts + 1
        WHERE responder_id = $1 AND channel_id = $2 AND sent_at > $3 AND attempts < $4 RETURNING hash""",
        responder_id,
        channel_id,
        since,
        attempts,
    )
    return bytes(row["hash"]) if row is not None else None


async def drop(tx: Tx, responder_id: str, channel_id: str) -> None:
    """Forget the code."""
    await tx.fetch("DELETE FROM channel_code WHERE responder_id = $1 AND channel_id = $2", responder_id, channel_id)
