"""The copies of what scheduling plans: sessions, and who has a seat in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from haven_kit.database import Tx
from haven_kit.errors import NotFound

NO_ENROLMENT = "00000000-0000-0000-0000-000000000000"
"""In place of the enrolment, for a seat that none gave: that of an individual session, or one that was booked."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as scheduling planned it."""

    session_id: str
    kind: str
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    facilitator_id: str
    cancelled: bool


async def find(tx: Tx, session_id: str) -> Session | None:
    """A session; None while scheduling has not told of it."""
    row = await tx.fetch_one(
        """SELECT session_id::text AS session_id, kind, starts_at, ends_at, time_zone, facilitator_id, cancelled
        FROM session WHERE session_id = $1""",
        session_id,
    )
    return Session(**row) if row else None


async def get(tx: Tx, session_id: str) -> Session:
    """A session. Raises NotFound."""
    found = await find(tx, session_id)
    if found is None:
        raise NotFound("session")
    return found


async def put(tx: Tx, session: Session, version: int) -> None:
    """Take over a session, unless a later version of it is known."""
    await tx.fetch(
        """INSERT INTO session (session_id, kind, starts_at, ends_at, time_zone, facilitator_id, cancelled, version)
        SELECT $1, $2, $3, $4, $5, $6, EXISTS
            (SELECT 1 FROM early_cancellation WHERE session_id = $1 AND version >= $7), $7
        ON CONFLICT (session_id) DO UPDATE SET kind = excluded.kind, starts_at = excluded.starts_at,
            ends_at = excluded.ends_at, time_zone = excluded.time_zone, facilitator_id = excluded.facilitator_id,
            cancelled = excluded.cancelled, version = excluded.version,
            absences_told = session.absences_told AND session.starts_at = excluded.starts_at
        WHERE session.version < excluded.version""",
        session.session_id,
        session.kind,
        session.starts_at,
        session.ends_at,
        session.time_zone,
        session.facilitator_id,
        version,
    )


async def cancel(tx: Tx, session_id: str, version: int) -> None:
    """Note that a session will not take place, even if it is not known yet."""
    await tx.fetch(
        """INSERT INTO early_cancellation (session_id, version) VALUES ($1, $2) ON CONFLICT (session_id)
        DO UPDATE SET version = greatest(early_cancellation.version, excluded.version)""",
        session_id,
        version,
    )
    await tx.fetch(
        "UPDATE session SET cancelled = TRUE, version = $2 WHERE session_id = $1 AND version < $2", session_id, version
    )


async def take_seats(tx: Tx, enrolment_id: str, person_id: str, session_ids: Sequence[str]) -> None:
    """Note that a person has a seat in sessions."""
    await tx.fetch(
        """INSERT INTO seat (session_id, enrolment_id, person_id)
        SELECT unnest($1::uuid[]), $2, $3 ON CONFLICT DO NOTHING""",
        list(session_ids),
        enrolment_id or NO_ENROLMENT,
        person_id,
    )


async def release_seats(tx: Tx, enrolment_id: str, person_id: str, session_ids: Sequence[str]) -> None:
    """Note that a person no longer has these seats."""
    await tx.fetch(
        "DELETE FROM seat WHERE session_id = ANY($1::uuid[]) AND enrolment_id = $2 AND person_id = $3",
        list(session_ids),
        enrolment_id or NO_ENROLMENT,
        person_id,
    )


async def has_seat(tx: Tx, session_id: str, person_id: str) -> bool:
    """Whether the person has a seat in the session."""
    found = await tx.fetch_one(
        "SELECT 1 FROM seat WHERE session_id = $1 AND person_id = $2 LIMIT 1", session_id, person_id
    )
    return found is not None


async def seated(tx: Tx, session_id: str) -> tuple[str, ...]:
    """Who has a seat in the session."""
    rows = await tx.fetch(
        "SELECT DISTINCT person_id::text AS person_id FROM seat WHERE session_id = $1 ORDER BY 1", session_id
    )
    return tuple(row["person_id"] for row in rows)


async def begun_without_absences(tx: Tx, after: timedelta, look_back: timedelta) -> Session | None:
    """A session that began, and whose room was opened, so long ago that who is not there counts as absent, and of which
    nobody was told yet; its row is locked. None where there is none."""
    row = await tx.fetch_one(
        """SELECT session_id::text AS session_id, kind, starts_at, ends_at, time_zone, facilitator_id, cancelled
        FROM session WHERE NOT absences_told AND NOT cancelled AND starts_at BETWEEN $2 AND $1 AND EXISTS
            (SELECT 1 FROM room_event AS happened WHERE happened.session_id = session.session_id
            AND happened.kind = 'Opened' AND happened.at <= $1)
        ORDER BY starts_at LIMIT 1 FOR UPDATE SKIP LOCKED""",
        tx.now - after,
        tx.now - look_back,
    )
    return Session(**row) if row else None


async def tell_absences(tx: Tx, session_id: str) -> tuple[str, ...]:
    """Who has a seat in the session and was never in its room; they are told of once."""
    await tx.fetch("UPDATE session SET absences_told = TRUE WHERE session_id = $1", session_id)
    rows = await tx.fetch(
        """SELECT DISTINCT person_id::text AS person_id FROM seat WHERE session_id = $1 AND person_id NOT IN
            (SELECT person_id FROM member WHERE session_id = $1 AND person_id IS NOT NULL) ORDER BY 1""",
        session_id,
    )
    return tuple(row["person_id"] for row in rows)
