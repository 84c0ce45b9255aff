"""Addresses at which calendar programs read duties. Of the address only a hash is kept."""

from __future__ import annotations

import hashlib

import asyncpg
from haven.crisis.v1 import calendar_feed_service_pb2 as pb

from haven_kit import ids
from haven_kit.database import Tx
from haven_kit.errors import NotFound

NEWEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_COLUMNS = "feed_id::text, responder_id, rotation_id::text, created_by, created_at, last_read_at"


async def create(tx: Tx, token: str, responder_id: str, rotation_id: str) -> pb.CalendarFeed:
    """Make a feed of a responder's or a rotation's duties."""
    row = await tx.fetch_one(
        f"""INSERT INTO calendar_feed (feed_id, hash, responder_id, rotation_id, created_by, created_at)
        VALUES ($1, $2, $3, NULLIF($4, '')::uuid, $5, $6) RETURNING {_COLUMNS}""",
        ids.new_id(),
        _hash(token),
        responder_id,
        rotation_id,
        tx.principal.id,
        tx.now,
    )
    if row is None:
        raise NotFound("feed")
    return _shown(row)


async def read(tx: Tx, token: str) -> pb.CalendarFeed:
    """The feed behind an address, noting that it was read. Raises NotFound."""
    row = await tx.fetch_one(
        f"UPDATE calendar_feed SET last_read_at = $2 WHERE hash = $1 RETURNING {_COLUMNS}", _hash(token), tx.now
    )
    if row is None:
        raise NotFound("calendar")
    return _shown(row)


async def listed(tx: Tx, created_by: str, before: str, limit: int) -> list[pb.CalendarFeed]:
    """Feeds of somebody, newest first; everybody's where `created_by` is empty."""
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM calendar_feed WHERE feed_id < $2 AND ($1 = '' OR created_by = $1)
        ORDER BY feed_id DESC LIMIT $3""",
        created_by,
        before,
        limit,
    )
    return [_shown(row) for row in rows]


async def drop(tx: Tx, created_by: str, feed_id: str) -> pb.CalendarFeed:
    """Make an address worthless. Raises NotFound, also for another's where `created_by` is given."""
    row = await tx.fetch_one(
        f"DELETE FROM calendar_feed WHERE feed_id = $2 AND ($1 = '' OR created_by = $1) RETURNING {_COLUMNS}",
        created_by,
        feed_id,
    )
    if row is None:
        raise NotFound("feed")
    return _shown(row)


async def drop_all(tx: Tx, responder_id: str) -> None:
    """Make every address worthless that shows somebody's duties or was made by them."""
    await tx.fetch("DELETE FROM calendar_feed WHERE responder_id = $1 OR created_by = $1", responder_id)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _shown(row: asyncpg.Record) -> pb.CalendarFeed:
    shown = pb.CalendarFeed(
        feed_id=row["feed_id"],
        responder_id=row["responder_id"],
        rotation_id=row["rotation_id"] or "",
        created_by=row["created_by"],
    )
    shown.created_at.FromDatetime(row["created_at"])
    if row["last_read_at"] is not None:
        shown.last_read_at.FromDatetime(row["last_read_at"])
    return shown
