"""Sessions, seats, agendas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from haven.scheduling.v1 import calendar_pb2 as pb

from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.ids import new_id
from haven_scheduling.domain.intervals import Interval
from haven_scheduling.store.rows import PERSON, SessionRow, text

PLANNED, CANCELLED = pb.SESSION_STATE_PLANNED, pb.SESSION_STATE_CANCELLED


@dataclass(frozen=True, slots=True)
class SeatRow:
    """A seat that somebody has."""

    session_id: str
    holder_kind: int
    holder_id: str
    enrolment_id: str


async def add_sessions(tx: Tx, rows: Sequence[SessionRow]) -> None:
    """Put sessions on the calendar."""
    columns = zip(
        *(
            (
                each.session_id,
                each.series_id or None,
                each.group_id or None,
                each.kind,
                each.day,
                each.when.start,
                each.when.end,
                each.time_zone,
                each.facilitator_id,
                each.format,
                each.optional,
                each.capacity,
                each.sealed,
            )
            for each in rows
        ),
        strict=True,
    )
    await tx.fetch(
        """INSERT INTO session (session_id, series_id, group_id, kind, day, starts_at, ends_at, time_zone,
        facilitator_id, format, optional, capacity, sealed, state, version)
        SELECT *, 1, 1 FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::date[],
        $6::timestamptz[], $7::timestamptz[], $8::text[], $9::text[],
        $10::smallint[], $11::boolean[], $12::int[], $13::bytea[])""",
        *(list(column) for column in columns),
    )


async def session(tx: Tx, session_id: str) -> SessionRow:
    """One session. Raises NotFound."""
    row = await tx.fetch_one("SELECT * FROM session_seated WHERE session_id = $1", session_id)
    if row is None:
        raise NotFound("session")
    return SessionRow.of(row)


async def lock_session(tx: Tx, session_id: str) -> SessionRow:
    """As `session`, and nobody else changes it or its group until this commits."""
    row = await session(tx, session_id)
    if row.group_id:
        await tx.fetch("SELECT 1 FROM treatment_group WHERE group_id = $1 FOR UPDATE", row.group_id)
    await tx.fetch("SELECT 1 FROM session WHERE session_id = $1 FOR UPDATE", session_id)
    return await session(tx, session_id)


async def sessions(
    tx: Tx,
    span: Interval,
    *,
    person_id: str | None = None,
    facilitator_id: str | None = None,
    group_id: str | None = None,
    optional: bool | None = None,
    cancelled: bool = False,
    after: tuple[datetime, str] | None = None,
    limit: int = 1000,
) -> list[SessionRow]:
    """Sessions in the span, earliest first. `person_id`: those in which the person has a seat, or had one until it was
    cancelled."""
    rows = await tx.fetch(
        """SELECT * FROM session_seated WHERE ends_at > $1 AND starts_at < $2
        AND ($3::text IS NULL OR EXISTS (SELECT 1 FROM seat WHERE seat.session_id = session_seated.session_id
            AND holder_kind = 1 AND holder_id = $3 AND (released_at IS NULL OR session_seated.state = 2)))
        AND ($4::text IS NULL OR facilitator_id = $4) AND ($5::uuid IS NULL OR group_id = $5)
        AND ($6 OR state = 1)
        AND ($7::timestamptz IS NULL OR (starts_at, session_id) > ($7, $8::uuid))
        AND ($10::boolean IS NULL OR optional = $10) ORDER BY starts_at, session_id LIMIT $9""",
        span.start,
        span.end,
        person_id.lower() if person_id else None,
        facilitator_id,
        group_id,
        cancelled,
        after[0] if after else None,
        after[1] if after else None,
        limit,
        optional,
    )
    return [SessionRow.of(row) for row in rows]


async def coming(
    tx: Tx, *, group_id: str | None = None, series_id: str | None = None, from_day: date | None = None
) -> list[SessionRow]:
    """Sessions of a group or a series that have not begun, earliest first."""
    rows = await tx.fetch(
        """SELECT * FROM session_seated WHERE state = 1 AND starts_at > $1 AND ($2::uuid IS NULL OR group_id = $2)
        AND ($3::uuid IS NULL OR series_id = $3) AND ($4::date IS NULL OR day >= $4)
        ORDER BY starts_at, session_id""",
        tx.now,
        group_id,
        series_id,
        from_day,
    )
    return [SessionRow.of(row) for row in rows]


async def write_session(tx: Tx, row: SessionRow) -> SessionRow:
    """Change a session's series, day, time, leader or state, and give it as it is now."""
    await tx.fetch(
        """UPDATE session SET series_id = $2, day = $3, starts_at = $4, ends_at = $5, time_zone = $6,
        facilitator_id = $7, state = $8, version = version + 1 WHERE session_id = $1""",
        row.session_id,
        row.series_id or None,
        row.day,
        row.when.start,
        row.when.end,
        row.time_zone,
        row.facilitator_id,
        row.state,
    )
    return await session(tx, row.session_id)


async def take_seats(
    tx: Tx, holder_kind: int, holder_id: str, wanted: Sequence[SessionRow], enrolment_id: str = ""
) -> frozenset[str]:
    """Take a seat in each session at whose time the holder is free. Returns those in which the holder has one now.

    The exclusion constraint decides, also against a transaction that has not committed yet, for which this waits.
    """
    in_order = sorted(wanted, key=lambda each: (each.when, each.session_id))
    taken = await tx.fetch(
        """INSERT INTO seat (seat_id, session_id, holder_kind, holder_id, enrolment_id, during)
        SELECT seat_id, session_id, $3, $4, $5, tstzrange(starts_at, ends_at)
        FROM unnest($1::uuid[], $2::uuid[], $6::timestamptz[], $7::timestamptz[])
        AS s (seat_id, session_id, starts_at, ends_at)
        ON CONFLICT DO NOTHING RETURNING session_id""",
        [new_id() for _ in in_order],
        [each.session_id for each in in_order],
        holder_kind,
        holder_id,
        enrolment_id or None,
        [each.when.start for each in in_order],
        [each.when.end for each in in_order],
    )
    had = await tx.fetch(
        """UPDATE seat SET enrolment_id = COALESCE($4, enrolment_id)
        WHERE session_id = ANY($1::uuid[]) AND holder_kind = $2 AND holder_id = $3 AND released_at IS NULL
        RETURNING session_id""",
        [each.session_id for each in in_order],
        holder_kind,
        holder_id,
        enrolment_id or None,
    )
    return frozenset(str(row["session_id"]) for row in (*taken, *had))


async def release_seats(
    tx: Tx,
    *,
    session_ids: Sequence[str] | None = None,
    holder_kind: int | None = None,
    holder_id: str | None = None,
    enrolment_id: str | None = None,
) -> list[SeatRow]:
    """Give up seats in sessions that have not ended. Returns them."""
    rows = await tx.fetch(
        """UPDATE seat SET released_at = $1 WHERE released_at IS NULL AND upper(during) > $1
        AND ($2::uuid[] IS NULL OR session_id = ANY($2)) AND ($3::smallint IS NULL OR holder_kind = $3)
        AND ($4::text IS NULL OR holder_id = $4) AND ($5::uuid IS NULL OR enrolment_id = $5)
        RETURNING session_id, holder_kind, holder_id, enrolment_id""",
        tx.now,
        list(session_ids) if session_ids is not None else None,
        holder_kind,
        holder_id,
        enrolment_id,
    )
    return [SeatRow(str(r["session_id"]), r["holder_kind"], r["holder_id"], text(r["enrolment_id"])) for r in rows]


async def in_the_way(tx: Tx, holder_kind: int, holder_id: str, when: Interval) -> SessionRow | None:
    """The first session in which the holder has a seat then."""
    row = await tx.fetch_one(
        """SELECT * FROM session_seated WHERE session_id IN (SELECT session_id FROM seat WHERE released_at IS NULL
        AND holder_kind = $1
        AND holder_id = $2 AND during && tstzrange($3, $4)) ORDER BY starts_at LIMIT 1""",
        holder_kind,
        holder_id,
        when.start,
        when.end,
    )
    return SessionRow.of(row) if row else None


async def booked(tx: Tx, holder_kind: int, holder_id: str, span: Interval) -> tuple[Interval, ...]:
    """When the holder has a seat in the span."""
    rows = await tx.fetch(
        """SELECT lower(during) AS starts_at, upper(during) AS ends_at FROM seat WHERE released_at IS NULL
        AND holder_kind = $1 AND holder_id = $2 AND during && tstzrange($3, $4) ORDER BY 1""",
        holder_kind,
        holder_id.lower() if holder_kind == PERSON else holder_id,
        span.start,
        span.end,
    )
    return tuple(Interval(row["starts_at"], row["ends_at"]) for row in rows)


async def note_clashes(tx: Tx, holder_id: str, session_ids: Sequence[str]) -> None:
    """Keep, for someone to resolve, that the holder could not get a seat in these sessions."""
    await tx.fetch(
        "INSERT INTO clash (session_id, holder_id) SELECT unnest($1::uuid[]), $2 ON CONFLICT DO NOTHING",
        list(session_ids),
        holder_id,
    )


async def clashes(tx: Tx, series_id: str) -> list[tuple[str, str]]:
    """Session and holder of each clash that is not resolved, in coming sessions of a series."""
    rows = await tx.fetch(
        """SELECT c.session_id, c.holder_id FROM clash c JOIN session s USING (session_id)
        WHERE s.series_id = $1 AND s.state = 1 AND s.starts_at > $2 AND NOT EXISTS (SELECT 1 FROM seat
        WHERE seat.session_id = c.session_id AND seat.holder_id = c.holder_id AND released_at IS NULL)
        ORDER BY s.starts_at, c.holder_id LIMIT 200""",
        series_id,
        tx.now,
    )
    return [(str(row["session_id"]), row["holder_id"]) for row in rows]


async def agenda(tx: Tx, session_id: str) -> tuple[bytes, int] | None:
    """The sealed agenda and its version, if there is one."""
    row = await tx.fetch_one("SELECT sealed, version FROM agenda WHERE session_id = $1", session_id)
    return (row["sealed"], row["version"]) if row else None


async def write_agenda(tx: Tx, session_id: str, sealed: bytes) -> int:
    """Keep a session's agenda in place of the one before. Returns its version."""
    rows = await tx.fetch(
        """INSERT INTO agenda (session_id, sealed, version) VALUES ($1, $2, 1)
        ON CONFLICT (session_id) DO UPDATE SET sealed = excluded.sealed, version = agenda.version + 1
        RETURNING version""",
        session_id,
        sealed,
    )
    return int(rows[0]["version"])
