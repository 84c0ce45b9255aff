"""Where people said they are, kept until crisis has it. Sealed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
from haven.crisis.v1 import people_pb2

from haven_kit.cipher import Cipher
from haven_kit.database import Tx

FORGET_AFTER = timedelta(hours=24)
"""A place that old helps nobody to find the person."""


async def keep(tx: Tx, cipher: Cipher, request: people_pb2.ConfirmLocationRequest) -> None:
    """Keep a place in place of an earlier one, to be brought to crisis."""
    await tx.fetch(
        """INSERT INTO kept_location (person_id, confirmed_at, try_at, sealed) VALUES ($1, $2, $3, $4)
        ON CONFLICT (person_id) DO UPDATE
        SET confirmed_at = excluded.confirmed_at, try_at = excluded.try_at, sealed = excluded.sealed""",
        request.person_id,
        request.location.confirmed_at.ToDatetime(UTC),
        tx.now,
        cipher.seal(request, context=f"kept_location/{request.person_id}"),
    )


def forget(tx: Tx, person_id: str) -> None:
    """Crisis has a later place."""
    tx.write("DELETE FROM kept_location WHERE person_id = $1", person_id)


async def due(tx: Tx, cipher: Cipher) -> people_pb2.ConfirmLocationRequest | None:
    """A kept place whose turn it is; its row is locked. Places that are too old are forgotten."""
    await tx.fetch("DELETE FROM kept_location WHERE confirmed_at < $1", tx.now - FORGET_AFTER)
    row: asyncpg.Record | None = await tx.fetch_one(
        """SELECT person_id::text AS person_id, sealed FROM kept_location WHERE try_at <= $1
        ORDER BY try_at LIMIT 1 FOR UPDATE SKIP LOCKED""",
        tx.now,
    )
    if row is None:
        return None
    context = f"kept_location/{row['person_id']}"
    return cipher.open(people_pb2.ConfirmLocationRequest, row["sealed"], context=context)


async def try_again(tx: Tx, person_id: str, at: datetime) -> None:
    """Crisis did not take it; try again then."""
    await tx.fetch("UPDATE kept_location SET try_at = $2 WHERE person_id = $1", person_id, at)
