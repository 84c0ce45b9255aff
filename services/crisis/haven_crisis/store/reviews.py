"""What is due after an alert was closed: a second clinician's signature, an answer to a declined one, a debrief."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum

import asyncpg
from haven.crisis.v1 import review_service_pb2 as pb

from haven_crisis.store.alerts import IN_HAND
from haven_kit import ids
from haven_kit.database import Tx


class ReviewKind(IntEnum):
    """Numbers of haven.crisis.v1.ReviewKind."""

    CO_SIGNATURE = 1
    ANSWER = 2
    DEBRIEF = 3


DUE, DONE, LATE = 1, 2, 3
"""Numbers of haven.crisis.v1.ReviewState."""
_COLUMNS = "review_id::text, alert_id::text, person_id::text, kind, state, asked_of, due_at, done_by, done_at"


def message(row: asyncpg.Record) -> pb.Review:
    """A review as callers see it."""
    shown = pb.Review(
        review_id=row["review_id"],
        alert_id=row["alert_id"],
        person_id=row["person_id"],
        kind=pb.ReviewKind.ValueType(row["kind"]),
        state=pb.ReviewState.ValueType(row["state"]),
        asked_of=row["asked_of"],
        done_by=row["done_by"],
    )
    shown.due_at.FromDatetime(row["due_at"])
    if row["done_at"] is not None:
        shown.done_at.FromDatetime(row["done_at"])
    return shown


async def begin(
    tx: Tx, alert_id: str, person_id: str, kind: ReviewKind, due_at: datetime, *, asked_of: str = ""
) -> None:
    """Make something due. The alert must be locked; of a kind one at a time is open."""
    await tx.fetch(
        """INSERT INTO review (review_id, alert_id, person_id, kind, state, asked_of, due_at)
        VALUES ($1, $2, $3, $4, 1, $5, $6)""",
        ids.new_id(),
        alert_id,
        person_id,
        int(kind),
        asked_of,
        due_at,
    )


async def done(tx: Tx, alert_id: str, kind: ReviewKind, by: str) -> asyncpg.Record | None:
    """Note that the open one of a kind is done, late or not; None where none is open."""
    return await tx.fetch_one(
        f"""UPDATE review SET state = 2, done_by = $3, done_at = $4
        WHERE alert_id = $1 AND kind = $2 AND done_at IS NULL RETURNING {_COLUMNS}""",
        alert_id,
        int(kind),
        by,
        tx.now,
    )


async def is_late(tx: Tx, alert_id: str, kind: ReviewKind) -> bool:
    """Whether the open one of a kind was not done in time."""
    row = await tx.fetch_one(
        "SELECT 1 FROM review WHERE alert_id = $1 AND kind = $2 AND done_at IS NULL AND due_at <= $3",
        alert_id,
        int(kind),
        tx.now,
    )
    return row is not None


async def asked(tx: Tx, alert_id: str, principal_id: str) -> bool:
    """Whether somebody was asked, by name, for what is due or was done about an alert."""
    row = await tx.fetch_one(
        "SELECT 1 FROM review WHERE alert_id = $1 AND asked_of = $2 LIMIT 1", alert_id, principal_id
    )
    return row is not None


# $1 the caller, $2 whether all are theirs to see.
_VISIBLE = f"""SELECT {_COLUMNS} FROM review WHERE ($3 OR done_at IS NULL) AND ($4 = 0 OR kind = $4)
AND ($2 OR asked_of = $1
    OR EXISTS (SELECT 1 FROM page JOIN alert USING (alert_id)
        WHERE page.alert_id = review.alert_id AND page.responder_id = $1 AND {IN_HAND})
    OR EXISTS (SELECT 1 FROM care_team WHERE care_team.person_id = review.person_id AND care_team.principal_id = $1))
AND ($5::timestamptz IS NULL OR (due_at, review_id) > ($5, $6::uuid)) ORDER BY due_at, review_id LIMIT $7"""


async def visible(
    tx: Tx, caller: str, sees_all: bool, *, done: bool, kind: int, after: tuple[datetime, str] | None, limit: int
) -> list[asyncpg.Record]:
    """Reviews that the caller may see, the earliest first."""
    at, review_id = after or (None, None)
    return await tx.fetch(_VISIBLE, caller, sees_all, done, kind, at, review_id, limit)


async def claim_late(tx: Tx, now: datetime, limit: int) -> list[asyncpg.Record]:
    """Those that were not done in time and were not called late yet, called so now."""
    return await tx.fetch(
        f"""UPDATE review SET state = 3 WHERE review_id IN (
            SELECT review_id FROM review WHERE state = 1 AND due_at <= $1 ORDER BY due_at LIMIT $2
            FOR UPDATE SKIP LOCKED)
        RETURNING {_COLUMNS}""",
        now,
        limit,
    )


async def overdue(tx: Tx, before: datetime) -> int:
    """How many were due before a moment and are not done."""
    row = await tx.fetch_one("SELECT count(*) AS found FROM review WHERE done_at IS NULL AND due_at < $1", before)
    return int(row["found"]) if row is not None else 0
