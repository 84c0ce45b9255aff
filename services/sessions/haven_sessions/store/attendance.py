"""Attendance and its corrections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page
from haven_sessions.domain.attendance import Interval


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction. `reason` is the name of a CorrectionReason."""

    minutes_before: int
    minutes_after: int
    reason: str
    corrected_by: str
    corrected_at: datetime


@dataclass(frozen=True, slots=True)
class Attendance:
    """What one person attended of one session."""

    attendance_id: str
    session_id: str
    person_id: str
    kind: str
    starts_at: datetime
    ends_at: datetime
    service_date: date
    facilitator_id: str
    minutes: int
    intervals: tuple[Interval, ...]
    version: int
    corrections: tuple[Correction, ...] = ()


_SELECT = """SELECT attendance_id::text AS attendance_id, session_id::text AS session_id,
    person_id::text AS person_id, kind, starts_at, ends_at, service_date, facilitator_id, minutes, intervals, version
    FROM attendance"""


async def add(tx: Tx, record: Attendance) -> bool:
    """Record attendance. False where it is recorded already."""
    row = await tx.fetch_one(
        """INSERT INTO attendance (attendance_id, session_id, person_id, kind, starts_at, ends_at, service_date,
            facilitator_id, minutes, intervals, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING RETURNING 1""",
        record.attendance_id,
        record.session_id,
        record.person_id,
        record.kind,
        record.starts_at,
        record.ends_at,
        record.service_date,
        record.facilitator_id,
        record.minutes,
        [moment for each in record.intervals for moment in (each.start, each.end)],
        record.version,
    )
    return row is not None


async def lock(tx: Tx, attendance_id: str) -> Attendance:
    """One record, locked until the transaction ends. Raises NotFound."""
    row = await tx.fetch_one(f"{_SELECT} WHERE attendance_id = $1 FOR UPDATE", attendance_id)
    if row is None:
        raise NotFound("attendance")
    return (await _read(tx, [row]))[0]


async def of_session(tx: Tx, session_id: str, page: Page) -> list[Attendance]:
    """One page of a session's attendance and one record more."""
    rows = await tx.fetch(
        f"""{_SELECT} WHERE session_id = $1 AND ($2::uuid IS NULL OR attendance_id > $2)
        ORDER BY attendance_id LIMIT $3""",
        session_id,
        page.after[0] if page.after else None,
        page.size + 1,
    )
    return await _read(tx, rows)


async def of_person(tx: Tx, person_id: str, page: Page) -> list[Attendance]:
    """One page of a person's attendance, newest first, and one record more."""
    starts_at, attendance_id = (datetime.fromisoformat(page.after[0]), page.after[1]) if page.after else (None, None)
    rows = await tx.fetch(
        f"""{_SELECT}
        WHERE person_id = $1 AND ($2::timestamptz IS NULL OR (starts_at, attendance_id) < ($2, $3::uuid))
        ORDER BY starts_at DESC, attendance_id DESC LIMIT $4""",
        person_id,
        starts_at,
        attendance_id,
        page.size + 1,
    )
    return await _read(tx, rows)


async def correct(tx: Tx, correction_id: str, record: Attendance, minutes: int, reason: str) -> Attendance:
    """Correct a locked record. Returns it as it is then."""
    await tx.fetch(
        "UPDATE attendance SET minutes = $2, version = version + 1 WHERE attendance_id = $1",
        record.attendance_id,
        minutes,
    )
    await tx.fetch(
        """INSERT INTO attendance_correction
            (correction_id, attendance_id, minutes_before, minutes_after, reason, corrected_by, corrected_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        correction_id,
        record.attendance_id,
        record.minutes,
        minutes,
        reason,
        tx.principal.id,
        tx.now,
    )
    return await lock(tx, record.attendance_id)


async def _read(tx: Tx, rows: Sequence[Any]) -> list[Attendance]:
    found = await tx.fetch(
        """SELECT attendance_id::text AS attendance_id, minutes_before, minutes_after, reason, corrected_by,
            corrected_at
        FROM attendance_correction WHERE attendance_id = ANY($1::uuid[]) ORDER BY corrected_at, correction_id""",
        [row["attendance_id"] for row in rows],
    )
    corrections: defaultdict[str, list[Correction]] = defaultdict(list)
    for row in found:
        corrections[row["attendance_id"]].append(Correction(**{k: v for k, v in row.items() if k != "attendance_id"}))
    return [_attendance(row, corrections[row["attendance_id"]]) for row in rows]


def _attendance(row: Any, corrections: Sequence[Correction]) -> Attendance:
    moments = row["intervals"]
    intervals = tuple(Interval(start, end) for start, end in zip(moments[::2], moments[1::2], strict=True))
    return Attendance(**{**row, "intervals": intervals}, corrections=tuple(corrections))
