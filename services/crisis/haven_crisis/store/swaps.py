"""Trades of duties."""

from __future__ import annotations

import asyncpg
from haven.crisis.v1 import swap_service_pb2 as pb

from haven_kit.database import Tx
from haven_kit.errors import NotFound

NEWEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_COLUMNS = "swap_id::text, state, requested_by, asked_of, requested_at, answered_at, body"


async def create(tx: Tx, swap: pb.Swap) -> None:
    """Note what was asked for."""
    await tx.fetch(
        """INSERT INTO swap (swap_id, state, requested_by, asked_of, requested_at, body)
        VALUES ($1, $2, $3, $4, $5, $6)""",
        swap.swap_id,
        swap.state,
        swap.requested_by,
        swap.asked_of,
        tx.now,
        pb.Swap(gives=swap.gives, takes=swap.takes if swap.HasField("takes") else None).SerializeToString(),
    )


async def get(tx: Tx, swap_id: str) -> pb.Swap:
    """One swap, locked. Raises NotFound."""
    row = await tx.fetch_one(f"SELECT {_COLUMNS} FROM swap WHERE swap_id = $1 FOR UPDATE", swap_id)
    if row is None:
        raise NotFound("swap")
    return _shown(row)


async def answer(tx: Tx, swap_id: str, state: int) -> pb.Swap:
    """Note what became of it."""
    row = await tx.fetch_one(
        f"UPDATE swap SET state = $2, answered_at = $3 WHERE swap_id = $1 RETURNING {_COLUMNS}", swap_id, state, tx.now
    )
    if row is None:
        raise NotFound("swap")
    return _shown(row)


async def listed(tx: Tx, of: str, before: str, limit: int) -> list[pb.Swap]:
    """Swaps that somebody asked for or was asked for, newest first; of everybody where `of` is empty."""
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM swap WHERE swap_id < $2 AND ($1 = '' OR requested_by = $1 OR asked_of = $1)
        ORDER BY swap_id DESC LIMIT $3""",
        of,
        before,
        limit,
    )
    return [_shown(row) for row in rows]


def _shown(row: asyncpg.Record) -> pb.Swap:
    shown = pb.Swap.FromString(row["body"])
    shown.swap_id, shown.state = row["swap_id"], row["state"]
    shown.requested_by, shown.asked_of = row["requested_by"], row["asked_of"]
    shown.requested_at.FromDatetime(row["requested_at"])
    if row["answered_at"] is not None:
        shown.answered_at.FromDatetime(row["answered_at"])
    return shown
