"""Follow-ups: looking in on the person after an alert was closed."""

from __future__ import annotations

from datetime import datetime

import asyncpg
from haven.crisis.v1 import follow_up_service_pb2 as pb

from haven_kit.database import Tx
from haven_kit.errors import NotFound

DUE, RECORDED, MISSED = 1, 2, 3
"""Numbers of haven.crisis.v1.FollowUpState."""
_COLUMNS = """follow_up_id::text, alert_id::text, person_id::text, responder_id, state, due_at, recorded_by,
recorded_at, COALESCE(new_alert_id::text, '') AS new_alert_id, attempts"""


def message(row: asyncpg.Record) -> pb.FollowUp:
    """A follow-up as callers see it."""
    shown = pb.FollowUp(
        follow_up_id=row["follow_up_id"],
        alert_id=row["alert_id"],
        person_id=row["person_id"],
        responder_id=row["responder_id"],
        state=pb.FollowUpState.ValueType(row["state"]),
        recorded_by=row["recorded_by"],
        new_alert_id=row["new_alert_id"],
        attempts=row["attempts"],
    )
    shown.due_at.FromDatetime(row["due_at"])
    if row["recorded_at"] is not None:
        shown.recorded_at.FromDatetime(row["recorded_at"])
    return shown


async def create(tx: Tx, follow_up_id: str, alert_id: str, person_id: str, responder_id: str, due_at: datetime) -> None:
    """Set a follow-up."""
    await tx.fetch(
        """INSERT INTO follow_up (follow_up_id, alert_id, person_id, responder_id, state, due_at, recorded_by)
        VALUES ($1, $2, $3, $4, 1, $5, '')""",
        follow_up_id,
        alert_id,
        person_id,
        responder_id,
        due_at,
    )


async def get(tx: Tx, follow_up_id: str) -> asyncpg.Record:
    """One follow-up, locked. Raises NotFound."""
    row = await tx.fetch_one(
        f"SELECT {_COLUMNS} FROM follow_up WHERE follow_up_id = $1 FOR UPDATE",
        follow_up_id,
    )
    if row is None:
        raise NotFound("follow-up")
    return row


async def record(tx: Tx, follow_up_id: str, by: str, sealed: bytes) -> None:
    """Note that somebody looked in."""
    await tx.fetch(
        "UPDATE follow_up SET state = 2, recorded_by = $2, recorded_at = $3, sealed = $4 WHERE follow_up_id = $1",
        follow_up_id,
        by,
        tx.now,
        sealed,
    )


async def tried(tx: Tx, follow_up_id: str) -> None:
    """Note an attempt that did not reach the person."""
    await tx.fetch("UPDATE follow_up SET attempts = attempts + 1 WHERE follow_up_id = $1", follow_up_id)


_VISIBLE = """SELECT {columns} FROM follow_up WHERE ($3 OR state = 1) AND ($2 OR responder_id = $1
    OR EXISTS (SELECT 1 FROM care_team WHERE care_team.person_id = follow_up.person_id AND care_team.principal_id = $1))
AND ($4::timestamptz IS NULL OR (due_at, follow_up_id) > ($4, $5::uuid)) ORDER BY due_at, follow_up_id LIMIT $6"""


async def visible(
    tx: Tx, caller: str, sees_all: bool, *, done: bool, after: tuple[datetime, str] | None, limit: int
) -> list[asyncpg.Record]:
    """Follow-ups that the caller may see, the earliest first."""
    at, follow_up_id = after or (None, None)
    return await tx.fetch(_VISIBLE.format(columns=_COLUMNS), caller, sees_all, done, at, follow_up_id, limit)


async def missed(tx: Tx, now: datetime, limit: int) -> list[str]:
    """Ids of follow-ups that are due and not recorded."""
    rows = await tx.fetch(
        "SELECT follow_up_id::text FROM follow_up WHERE state = 1 AND due_at <= $1 ORDER BY due_at LIMIT $2", now, limit
    )
    return [row["follow_up_id"] for row in rows]


async def claim(tx: Tx, follow_up_id: str) -> asyncpg.Record | None:
    """A follow-up that nobody has recorded, locked; None where somebody did, or somebody else works on it."""
    return await tx.fetch_one(
        f"SELECT {_COLUMNS} FROM follow_up WHERE follow_up_id = $1 AND state = 1 FOR UPDATE SKIP LOCKED",
        follow_up_id,
    )


async def miss(tx: Tx, follow_up_id: str, new_alert_id: str) -> None:
    """Note that it was missed, and the alert raised for it."""
    await tx.fetch(
        "UPDATE follow_up SET state = 3, new_alert_id = $2 WHERE follow_up_id = $1", follow_up_id, new_alert_id
    )


async def overdue(tx: Tx, before: datetime) -> int:
    """How many were due before a moment and are neither recorded nor missed."""
    row = await tx.fetch_one("SELECT count(*) AS found FROM follow_up WHERE state = 1 AND due_at < $1", before)
    return int(row["found"]) if row is not None else 0
