"""Series on the calendar: kept planned ahead, changed from a day on, ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

from haven.scheduling.v1 import calendar_pb2, groups_pb2

from haven_kit.database import Tx
from haven_kit.ids import new_id
from haven_scheduling import booking, patterns
from haven_scheduling.booking import Holder, MaySee
from haven_scheduling.domain import recurrence
from haven_scheduling.domain.recurrence import Occurrence
from haven_scheduling.store import calendar, groups
from haven_scheduling.store.rows import STAFF, SeriesRow, SessionRow

HORIZON: Final = timedelta(weeks=12)
"""How far ahead sessions are on the calendar."""
FEWEST: Final[dict[int, int]] = {
    calendar_pb2.SESSION_KIND_INDIVIDUAL: 1,
    calendar_pb2.SESSION_KIND_CHECK_IN: 1,
    calendar_pb2.SESSION_KIND_COUPLES: 2,
    calendar_pb2.SESSION_KIND_FAMILY: 2,
}
"""People without whom a session of the kind makes no sense."""


def horizon(now: datetime) -> date:
    """The last day to have sessions on the calendar. A day is added for the zones that are ahead of UTC."""
    return (now + HORIZON + timedelta(days=1)).date()


async def start(tx: Tx, row: SeriesRow, may_see: MaySee) -> SeriesRow:
    """Keep a new series and put its sessions on the calendar.

    Raises Conflict when somebody would be in two sessions at once.
    """
    await groups.add_series(tx, row)
    return await extend(tx, row, may_see)


async def extend(tx: Tx, row: SeriesRow, may_see: MaySee | None = None) -> SeriesRow:
    """Put the sessions up to the horizon on the calendar. The series and its group are locked by the caller.

    Raises Conflict when somebody would be in two sessions at once; without `may_see` that is kept for someone to
    resolve instead.
    """
    pattern = patterns.pattern(row.pattern)
    through = horizon(tx.now)
    found = recurrence.occurrences(pattern, row.planned_through + timedelta(days=1), through)
    added = await _sessions_of(row, tx, [each for each in found if each.when.start > tx.now])
    await _seat_all(tx, row, added, may_see)
    finished = pattern.last is not None and pattern.last <= through
    return await groups.write_series(tx, replace(row, planned_through=through, finished=finished))


async def _sessions_of(row: SeriesRow, tx: Tx, found: Sequence[Occurrence]) -> list[SessionRow]:
    details = (await groups.group(tx, row.group_id)).details if row.group_id else None
    added = [
        SessionRow(
            session_id=new_id(),
            series_id=row.series_id,
            group_id=row.group_id,
            kind=row.kind,
            day=each.day,
            when=each.when,
            time_zone=row.pattern.time_zone,
            facilitator_id=row.facilitator_id,
            state=calendar.PLANNED,
            format=details.format if details else groups_pb2.FORMAT_VIRTUAL,
            optional=is_optional(details),
            capacity=details.capacity if details else len(row.person_ids),
            sealed=None,
        )
        for each in found
    ]
    if added:
        await calendar.add_sessions(tx, added)
        booking.tell(tx, added)
    return added


def is_optional(details: groups_pb2.GroupDetails | None) -> bool:
    """Whether the sessions of such a group do not count towards a plan."""
    return details is not None and details.kind == groups_pb2.GROUP_KIND_ACTIVITY


async def _members(tx: Tx, row: SeriesRow) -> list[Holder]:
    if row.group_id:
        return [Holder.person(person, enrolment) for enrolment, person in await groups.active(tx, row.group_id)]
    return [Holder.person(person) for person in row.person_ids]


async def _seat_all(tx: Tx, row: SeriesRow, added: Sequence[SessionRow], may_see: MaySee | None) -> None:
    for holder in [Holder(STAFF, row.facilitator_id), *await _members(tx, row)]:
        if may_see is not None:
            await booking.seat_or_refuse(tx, holder, added, may_see)
        elif refused := await booking.seat(tx, holder, added):
            await calendar.note_clashes(tx, holder.id, [each.session_id for each in refused])


async def finish(tx: Tx, row: SeriesRow, from_day: date) -> SeriesRow:
    """End a series: its sessions from that day on are cancelled."""
    for each in await calendar.coming(tx, series_id=row.series_id, from_day=from_day):
        await booking.cancel(tx, each)
    return await groups.write_series(tx, _ended(row, from_day))


def _ended(row: SeriesRow, from_day: date) -> SeriesRow:
    pattern = groups_pb2.WeeklyPattern()
    pattern.CopyFrom(row.pattern)
    last = patterns.pattern(row.pattern).ending_before(from_day).last
    pattern.last_date = last.isoformat() if last else ""
    # A day beyond the horizon is still to be reached.
    return replace(row, pattern=pattern, finished=last is not None and last <= row.planned_through)


@dataclass(frozen=True, slots=True)
class Following:
    """What follows a series from a day on. `sealed` holds its words, for one outside a group."""

    series_id: str
    pattern: groups_pb2.WeeklyPattern
    facilitator_id: str
    sealed: bytes | None


async def follow(tx: Tx, old: SeriesRow, following: Following, may_see: MaySee) -> SeriesRow:
    """End a series before the first day of what follows it; sessions move, are added or cancelled as the pattern asks.

    Raises Conflict when somebody would be in two sessions at once.
    """
    pattern = patterns.pattern(following.pattern)
    through = horizon(tx.now)
    planned = {each.day: each for each in await calendar.coming(tx, series_id=old.series_id, from_day=pattern.first)}
    change = recurrence.change(planned, pattern, through)
    finished = pattern.last is not None and pattern.last <= through
    new = replace(
        old,
        series_id=following.series_id,
        pattern=following.pattern,
        facilitator_id=following.facilitator_id,
        sealed=following.sealed,
        planned_through=through,
        finished=finished,
        follows_series_id=old.series_id,
        version=1,
    )
    await groups.write_series(tx, _ended(old, pattern.first))
    await groups.add_series(tx, new)
    for day in sorted(change.cancelled):
        await booking.cancel(tx, planned[day])
    moved = []
    for day, occurrence in change.moved.items():
        if occurrence.when.start <= tx.now:
            await booking.cancel(tx, planned[day])
            continue
        moved.append(
            replace(
                planned[day],
                series_id=new.series_id,
                when=occurrence.when,
                time_zone=new.pattern.time_zone,
                facilitator_id=new.facilitator_id,
            )
        )
    if moved:
        await booking.move(tx, moved, may_see)
    added = await _sessions_of(new, tx, [each for each in change.added if each.when.start > tx.now])
    await _seat_all(tx, new, added, may_see)
    return new
