"""Groups, series, enrolments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from haven.scheduling.v1 import groups_pb2 as pb

from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.ids import new_id
from haven_scheduling.store.rows import EnrolmentRow, GroupRow, SeriesRow

ACTIVE, WAITING, ENDED = (
    pb.ENROLMENT_STATE_ACTIVE,
    pb.ENROLMENT_STATE_WAITING,
    pb.ENROLMENT_STATE_ENDED,
)


async def add_group(tx: Tx, details: pb.GroupDetails) -> str:
    """A new group's id."""
    group_id = new_id()
    await tx.fetch(
        """INSERT INTO treatment_group (group_id, details, track, kind, challenges, capacity, facilitator_id, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 1)""",
        group_id,
        *_columns(details),
    )
    return group_id


async def write_group(tx: Tx, group_id: str, details: pb.GroupDetails) -> None:
    """Describe a group anew."""
    await tx.fetch(
        """UPDATE treatment_group SET details = $2, track = $3, kind = $4, challenges = $5, capacity = $6,
        facilitator_id = $7, version = version + 1 WHERE group_id = $1""",
        group_id,
        *_columns(details),
    )


def _columns(details: pb.GroupDetails) -> tuple[bytes, str, int, list[str], int, str]:
    return (
        details.SerializeToString(),
        details.track,
        details.kind,
        list(details.challenges),
        details.capacity,
        details.facilitator_id,
    )


async def lock_group(tx: Tx, group_id: str) -> GroupRow:
    """As `group`, and nobody else changes the group, its series or its enrolments until this commits."""
    await tx.fetch("SELECT 1 FROM treatment_group WHERE group_id = $1 FOR UPDATE", group_id)
    return await group(tx, group_id)


async def group(tx: Tx, group_id: str) -> GroupRow:
    """One group. Raises NotFound."""
    row = await tx.fetch_one("SELECT * FROM group_counted WHERE group_id = $1", group_id)
    if row is None:
        raise NotFound("group")
    return GroupRow.of(row)


async def groups(
    tx: Tx,
    *,
    track: str = "",
    kind: int = 0,
    challenges: Sequence[str] = (),
    with_free_seat: bool = False,
    after: str | None = None,
    limit: int,
) -> list[GroupRow]:
    """Groups in the order they were made."""
    rows = await tx.fetch(
        """SELECT * FROM group_counted WHERE ($1 = '' OR track = $1) AND ($2 = 0 OR kind = $2)
        AND (cardinality($3::text[]) = 0 OR challenges && $3) AND (NOT $4 OR seats_taken < capacity)
        AND ($5::uuid IS NULL OR group_id > $5) ORDER BY group_id LIMIT $6""",
        track,
        kind,
        list(challenges),
        with_free_seat,
        after,
        limit,
    )
    return [GroupRow.of(row) for row in rows]


async def add_series(tx: Tx, row: SeriesRow) -> None:
    """Keep a new series."""
    await tx.fetch(
        """INSERT INTO series (series_id, group_id, kind, pattern, sealed, person_ids, facilitator_id, planned_through,
        finished, follows_series_id, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        row.series_id,
        row.group_id or None,
        row.kind,
        row.pattern.SerializeToString(),
        row.sealed,
        list(row.person_ids),
        row.facilitator_id,
        row.planned_through,
        row.finished,
        row.follows_series_id or None,
        row.version,
    )


async def write_series(tx: Tx, row: SeriesRow) -> SeriesRow:
    """Change a series, and give it as it is now."""
    found = await tx.fetch_one(
        """UPDATE series SET pattern = $2, person_ids = $3, facilitator_id = $4, planned_through = $5, finished = $6,
        version = version + 1 WHERE series_id = $1 RETURNING *""",
        row.series_id,
        row.pattern.SerializeToString(),
        list(row.person_ids),
        row.facilitator_id,
        row.planned_through,
        row.finished,
    )
    if found is None:
        raise NotFound("series")
    return SeriesRow.of(found)


async def series(tx: Tx, series_id: str) -> SeriesRow:
    """One series. Raises NotFound."""
    row = await tx.fetch_one("SELECT * FROM series WHERE series_id = $1", series_id)
    if row is None:
        raise NotFound("series")
    return SeriesRow.of(row)


async def lock_series(tx: Tx, series_id: str) -> SeriesRow:
    """As `series`, and nobody else changes it, or its group, until this commits."""
    row = await series(tx, series_id)
    if row.group_id:
        await tx.fetch("SELECT 1 FROM treatment_group WHERE group_id = $1 FOR UPDATE", row.group_id)
    await tx.fetch("SELECT 1 FROM series WHERE series_id = $1 FOR UPDATE", series_id)
    return await series(tx, series_id)


async def series_of_group(tx: Tx, group_id: str, *, after: str | None = None, limit: int) -> list[SeriesRow]:
    """A group's series, oldest first."""
    rows = await tx.fetch(
        """SELECT * FROM series WHERE group_id = $1 AND ($2::uuid IS NULL OR series_id > $2)
        ORDER BY series_id LIMIT $3""",
        group_id,
        after,
        limit,
    )
    return [SeriesRow.of(row) for row in rows]


async def series_to_extend(tx: Tx, through: date) -> str | None:
    """A series whose calendar ends before that day, if any; the one that ends first."""
    row = await tx.fetch_one(
        "SELECT series_id FROM series WHERE NOT finished AND planned_through < $1 ORDER BY planned_through LIMIT 1",
        through,
    )
    return str(row["series_id"]) if row else None


async def series_with(tx: Tx, person_id: str) -> list[SeriesRow]:
    """Series outside groups that go on and that the person is in."""
    rows = await tx.fetch("SELECT * FROM series WHERE NOT finished AND $1::uuid = ANY(person_ids)", person_id)
    return [SeriesRow.of(row) for row in rows]


async def hand_over_series(tx: Tx, group_id: str, facilitator_id: str) -> None:
    """Somebody else leads the group's series from now on."""
    await tx.fetch(
        "UPDATE series SET facilitator_id = $2, version = version + 1 WHERE group_id = $1 AND NOT finished",
        group_id,
        facilitator_id,
    )


async def add_enrolment(tx: Tx, group_id: str, person_id: str, state: int) -> str:
    """A new enrolment's id."""
    enrolment_id = new_id()
    await tx.fetch(
        """INSERT INTO enrolment (enrolment_id, group_id, person_id, state, asked_at, enrolled_at)
        VALUES ($1, $2, $3, $4, $5, $6)""",
        enrolment_id,
        group_id,
        person_id,
        state,
        tx.now,
        tx.now if state == ACTIVE else None,
    )
    return enrolment_id


async def enrolment(tx: Tx, enrolment_id: str) -> EnrolmentRow:
    """One enrolment. Raises NotFound."""
    row = await tx.fetch_one("SELECT * FROM enrolment_ranked WHERE enrolment_id = $1", enrolment_id)
    if row is None:
        raise NotFound("enrolment")
    return EnrolmentRow.of(row)


async def current_enrolment(tx: Tx, group_id: str, person_id: str) -> EnrolmentRow | None:
    """The person's place in the group, or on its waiting list, if any."""
    row = await tx.fetch_one(
        "SELECT * FROM enrolment_ranked WHERE group_id = $1 AND person_id = $2 AND ended_at IS NULL",
        group_id,
        person_id,
    )
    return EnrolmentRow.of(row) if row else None


async def enrolments(
    tx: Tx,
    *,
    group_id: str | None = None,
    person_id: str | None = None,
    ended: bool = False,
    after: str | None,
    limit: int,
) -> list[EnrolmentRow]:
    """Enrolments of a group or a person in the order they were asked for."""
    rows = await tx.fetch(
        """SELECT * FROM enrolment_ranked WHERE ($1::uuid IS NULL OR group_id = $1)
        AND ($2::uuid IS NULL OR person_id = $2)
        AND ($3 OR ended_at IS NULL) AND ($4::uuid IS NULL OR enrolment_id > $4) ORDER BY enrolment_id LIMIT $5""",
        group_id,
        person_id,
        ended,
        after,
        limit,
    )
    return [EnrolmentRow.of(row) for row in rows]


async def active(tx: Tx, group_id: str) -> list[tuple[str, str]]:
    """Enrolment and person of everyone who has a place in the group."""
    rows = await tx.fetch(
        "SELECT enrolment_id, person_id FROM enrolment WHERE group_id = $1 AND state = $2 ORDER BY enrolment_id",
        group_id,
        ACTIVE,
    )
    return [(str(row["enrolment_id"]), str(row["person_id"])) for row in rows]


async def waiting(tx: Tx, group_id: str) -> list[EnrolmentRow]:
    """Who waits, oldest first."""
    rows = await tx.fetch(
        "SELECT * FROM enrolment_ranked WHERE group_id = $1 AND state = $2 ORDER BY asked_at, enrolment_id",
        group_id,
        WAITING,
    )
    return [EnrolmentRow.of(row) for row in rows]


async def set_enrolment(tx: Tx, enrolment_id: str, state: int) -> None:
    """Promote or end an enrolment."""
    await tx.fetch(
        """UPDATE enrolment SET state = $2::smallint,
        enrolled_at = CASE WHEN $2::smallint = 1 THEN $3 ELSE enrolled_at END,
        ended_at = CASE WHEN $2::smallint = 3 THEN $3 ELSE ended_at END
        WHERE enrolment_id = $1""",
        enrolment_id,
        state,
        tx.now,
    )
