"""When responders are away, and where their calendars are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import asyncpg
from haven.crisis.v1 import time_off_service_pb2 as pb

from haven_crisis.domain.rotation import Stretch
from haven_kit import ids
from haven_kit.database import Tx
from haven_kit.errors import NotFound

_COLUMNS = "time_off_id::text, responder_id, starts_at, ends_at, imported"


async def create(tx: Tx, responder_id: str, stretch: Stretch) -> pb.TimeOff:
    """Note one stretch."""
    return (await _insert(tx, responder_id, [stretch], imported=False))[0]


async def replace_imported(tx: Tx, responder_id: str, stretches: Iterable[Stretch]) -> list[pb.TimeOff]:
    """What was read from a calendar, in place of what was read before."""
    await tx.fetch("DELETE FROM time_off WHERE responder_id = $1 AND imported", responder_id)
    return await _insert(tx, responder_id, list(stretches), imported=True)


async def _insert(tx: Tx, responder_id: str, stretches: list[Stretch], *, imported: bool) -> list[pb.TimeOff]:
    rows = await tx.fetch(
        f"""INSERT INTO time_off (time_off_id, responder_id, starts_at, ends_at, imported)
        SELECT time_off_id, $1, starts_at, ends_at, $2
        FROM unnest($3::uuid[], $4::timestamptz[], $5::timestamptz[]) AS off (time_off_id, starts_at, ends_at)
        RETURNING {_COLUMNS}""",
        responder_id,
        imported,
        [ids.new_id() for _ in stretches],
        [each.starts_at for each in stretches],
        [each.ends_at for each in stretches],
    )
    return [_shown(row) for row in rows]


async def listed(tx: Tx, responder_id: str, after: tuple[datetime, str] | None, limit: int) -> list[pb.TimeOff]:
    """Of a responder, what is not over, in order."""
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM time_off WHERE responder_id = $1 AND ends_at > $2
        AND ($3::timestamptz IS NULL OR (starts_at, time_off_id) > ($3, $4::uuid))
        ORDER BY starts_at, time_off_id LIMIT $5""",
        responder_id,
        tx.now,
        *(after or (None, None)),
        limit,
    )
    return [_shown(row) for row in rows]


async def drop(tx: Tx, responder_id: str, time_off_id: str) -> pb.TimeOff:
    """Take one back. Raises NotFound."""
    row = await tx.fetch_one(
        f"DELETE FROM time_off WHERE responder_id = $1 AND time_off_id = $2 RETURNING {_COLUMNS}",
        responder_id,
        time_off_id,
    )
    if row is None:
        raise NotFound("time off")
    return _shown(row)


async def drop_all(tx: Tx, responder_id: str) -> None:
    """Forget all time off of somebody, and their calendar."""
    await tx.fetch("DELETE FROM time_off WHERE responder_id = $1", responder_id)
    await keep_calendar(tx, responder_id, None)


async def keep_calendar(tx: Tx, responder_id: str, sealed: bytes | None) -> None:
    """Remember where a responder's calendar is, just read; None forgets it."""
    if sealed is None:
        await tx.fetch("DELETE FROM time_off_calendar WHERE responder_id = $1", responder_id)
        return
    await tx.fetch(
        """INSERT INTO time_off_calendar (responder_id, sealed, read_at, failed) VALUES ($1, $2, $3, FALSE)
        ON CONFLICT (responder_id)
        DO UPDATE SET sealed = excluded.sealed, read_at = excluded.read_at, failed = FALSE""",
        responder_id,
        sealed,
        tx.now,
    )


async def claim_calendar(tx: Tx, before: datetime) -> asyncpg.Record | None:
    """A calendar that was last read before, taken by this replica: `responder_id`, `sealed`."""
    return await tx.fetch_one(
        """UPDATE time_off_calendar SET read_at = $2 WHERE responder_id = (
            SELECT responder_id FROM time_off_calendar WHERE read_at <= $1
            ORDER BY read_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING responder_id, sealed""",
        before,
        tx.now,
    )


async def note_calendar(tx: Tx, responder_id: str, *, failed: bool) -> None:
    """Note how reading it went."""
    await tx.fetch("UPDATE time_off_calendar SET failed = $2 WHERE responder_id = $1", responder_id, failed)


def _shown(row: asyncpg.Record) -> pb.TimeOff:
    shown = pb.TimeOff(time_off_id=row["time_off_id"], responder_id=row["responder_id"], imported=row["imported"])
    shown.starts_at.FromDatetime(row["starts_at"])
    shown.ends_at.FromDatetime(row["ends_at"])
    return shown
