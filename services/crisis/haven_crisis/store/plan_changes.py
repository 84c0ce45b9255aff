"""The history of the on-call plan: each change with what it wrote, or took out."""

from __future__ import annotations

import asyncpg
from haven.crisis.v1 import plan_change_service_pb2 as pb

from haven_kit import ids, words
from haven_kit.database import Tx
from haven_kit.errors import NotFound

NEWEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_COLUMNS = "change_id::text, part, part_id, name, deleted, changed_by, changed_at, reason"


async def note(tx: Tx, part: str, key: str, name: str, body: bytes, reason: str, *, deleted: bool = False) -> str:
    """Keep a change of a responder, rotation, policy or team; returns its id."""
    change_id = ids.new_id()
    await tx.fetch(
        """INSERT INTO plan_change (change_id, part, part_id, name, deleted, changed_by, changed_at, reason, body)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        change_id,
        words.number(pb.OnCallPart, part),
        key,
        name,
        deleted,
        tx.principal.id,
        tx.now,
        reason,
        body,
    )
    return change_id


async def get(tx: Tx, change_id: str) -> tuple[pb.PlanChange, bytes]:
    """One change, and the body it wrote or took out. Raises NotFound."""
    row = await tx.fetch_one(f"SELECT {_COLUMNS}, body FROM plan_change WHERE change_id = $1", change_id)
    if row is None:
        raise NotFound("change")
    return _shown(row), bytes(row["body"])


async def listed(tx: Tx, before: str, limit: int) -> list[pb.PlanChange]:
    """Changes, newest first."""
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM plan_change WHERE change_id < $1 ORDER BY change_id DESC LIMIT $2", before, limit
    )
    return [_shown(row) for row in rows]


def _shown(row: asyncpg.Record) -> pb.PlanChange:
    shown = pb.PlanChange(
        change_id=row["change_id"],
        part=pb.OnCallPart.ValueType(row["part"]),
        part_id=row["part_id"],
        name=row["name"],
        deleted=row["deleted"],
        changed_by=row["changed_by"],
        reason=row["reason"],
    )
    shown.changed_at.FromDatetime(row["changed_at"])
    return shown
