"""Uses of break-glass, kept for review."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
from haven.crisis.v1 import break_glass_service_pb2 as pb

from haven_kit import ids
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound

LASTS = timedelta(hours=1)
UNTOLD = "break-glass"
"""The bell that rings when the reviewer is to be told."""
AGAIN_AFTER, AGAIN_AT_LATEST = timedelta(minutes=1), timedelta(hours=1)
"""A use that the reviewer could not be told of is told again after as long as it is old, between these."""
_COLUMNS = """break_glass_id::text, alert_id::text, person_id::text, principal_id, used_at, expires_at, reviewed_by,
reviewed_at, justified, sealed, review_due_at"""


async def in_force(tx: Tx, alert_id: str, principal_id: str, now: datetime) -> bool:
    """Whether the caller has opened the alert and the hour is not over."""
    row = await tx.fetch_one(
        "SELECT 1 FROM break_glass WHERE alert_id = $1 AND principal_id = $2 AND expires_at > $3",
        alert_id,
        principal_id,
        now,
    )
    return row is not None


async def use(
    tx: Tx,
    cipher: Cipher,
    alert_id: str,
    person_id: str,
    principal_id: str,
    reason: str,
    review_due_at: datetime,
    *,
    tell: bool,
) -> pb.BreakGlassUse:
    """Note a use, to be reviewed until then; `tell`: there is a reviewer who is to be told at once."""
    made = pb.BreakGlassUse(
        break_glass_id=ids.new_id(), alert_id=alert_id, person_id=person_id, principal_id=principal_id, reason=reason
    )
    made.used_at.FromDatetime(tx.now)
    made.expires_at.FromDatetime(tx.now + LASTS)
    made.review_due_at.FromDatetime(review_due_at)
    await tx.fetch(
        """INSERT INTO break_glass (break_glass_id, alert_id, person_id, principal_id, used_at, expires_at, reviewed_by,
            justified, sealed, review_due_at, tell_at) VALUES ($1, $2, $3, $4, $5, $6, '', FALSE, $7, $8, $9)""",
        made.break_glass_id,
        alert_id,
        person_id,
        principal_id,
        tx.now,
        tx.now + LASTS,
        _seal(cipher, made),
        review_due_at,
        tx.now if tell else None,
    )
    if tell:
        tx.wake(UNTOLD)
    return made


async def get(tx: Tx, cipher: Cipher, break_glass_id: str) -> pb.BreakGlassUse:
    """One use, locked. Raises NotFound."""
    row = await tx.fetch_one(
        f"SELECT {_COLUMNS} FROM break_glass WHERE break_glass_id = $1 FOR UPDATE",
        break_glass_id,
    )
    if row is None:
        raise NotFound("break-glass use")
    return _shown(cipher, row)


async def review(tx: Tx, cipher: Cipher, used: pb.BreakGlassUse, by: str) -> None:
    """Keep a review; `used` holds the judgement and its note."""
    used.reviewed_by = by
    used.reviewed_at.FromDatetime(tx.now)
    await tx.fetch(
        """UPDATE break_glass SET reviewed_by = $2, reviewed_at = $3, justified = $4, sealed = $5, tell_at = NULL
        WHERE break_glass_id = $1""",
        used.break_glass_id,
        by,
        tx.now,
        used.justified,
        _seal(cipher, used),
    )


async def listed(
    tx: Tx, cipher: Cipher, *, unreviewed: bool, before: tuple[datetime, str] | None, limit: int
) -> list[pb.BreakGlassUse]:
    """Uses, the newest first."""
    at, break_glass_id = before or (None, None)
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM break_glass WHERE (NOT $1 OR reviewed_by = '')
        AND ($2::timestamptz IS NULL OR (used_at, break_glass_id) < ($2, $3::uuid))
        ORDER BY used_at DESC, break_glass_id DESC LIMIT $4""",
        unreviewed,
        at,
        break_glass_id,
        limit,
    )
    return [_shown(cipher, row) for row in rows]


async def claim_late(tx: Tx, now: datetime, limit: int) -> list[asyncpg.Record]:
    """`alert_id` and `review_due_at` of uses that nobody reviewed in time and that nobody was told of, told now."""
    return await tx.fetch(
        """UPDATE break_glass SET told_late = TRUE WHERE break_glass_id IN (
            SELECT break_glass_id FROM break_glass WHERE reviewed_by = '' AND NOT told_late AND review_due_at <= $1
            ORDER BY review_due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING alert_id::text, review_due_at""",
        now,
        limit,
    )


# Each is claimed until it is to be told again: whoever claims it has told it by then, or another replica does.
_CLAIM_UNTOLD = """WITH due AS (
    SELECT break_glass_id, tell_at > used_at AS again, alert.drill FROM break_glass JOIN alert USING (alert_id)
    WHERE tell_at <= $1 ORDER BY tell_at LIMIT $2 FOR UPDATE OF break_glass SKIP LOCKED
)
UPDATE break_glass AS used SET tell_at = $1::timestamptz + LEAST(GREATEST($1 - used_at, $3::interval), $4::interval)
FROM due WHERE used.break_glass_id = due.break_glass_id
RETURNING used.break_glass_id::text, used.alert_id::text, used.used_at, due.again, due.drill"""


async def claim_untold(tx: Tx, now: datetime, limit: int) -> list[asyncpg.Record]:
    """`break_glass_id`, `alert_id`, `used_at`, `drill` of uses that the reviewer is to be told of, and whether they may
    have been told before (`again`)."""
    return await tx.fetch(_CLAIM_UNTOLD, now, limit, AGAIN_AFTER, AGAIN_AT_LATEST)


async def told(tx: Tx, break_glass_ids: Sequence[str]) -> None:
    """The reviewer was told of these."""
    await tx.fetch("UPDATE break_glass SET tell_at = NULL WHERE break_glass_id = ANY($1::uuid[])", break_glass_ids)


async def overdue(tx: Tx, before: datetime) -> int:
    """How many were to be reviewed before a moment, and are not."""
    row = await tx.fetch_one(
        "SELECT count(*) AS found FROM break_glass WHERE reviewed_by = '' AND review_due_at < $1", before
    )
    return int(row["found"]) if row is not None else 0


def _seal(cipher: Cipher, used: pb.BreakGlassUse) -> bytes:
    words = pb.BreakGlassUse(reason=used.reason, review_note=used.review_note)
    return cipher.seal(words, context=f"break_glass/{used.break_glass_id}")


def _shown(cipher: Cipher, row: asyncpg.Record) -> pb.BreakGlassUse:
    shown = cipher.open(pb.BreakGlassUse, row["sealed"], context=f"break_glass/{row['break_glass_id']}")
    for name in ("break_glass_id", "alert_id", "person_id", "principal_id", "reviewed_by", "justified"):
        setattr(shown, name, row[name])
    for name in ("used_at", "expires_at", "reviewed_at", "review_due_at"):
        if row[name] is not None:
            getattr(shown, name).FromDatetime(row[name])
    return shown
