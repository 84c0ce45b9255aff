"""Seats: taking and giving them up, waiting lists, and what the other services are told about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from haven.scheduling.v1 import calendar_pb2, events_pb2, groups_pb2

from haven_kit import times, words
from haven_kit.database import Tx
from haven_kit.errors import Conflict
from haven_scheduling.store import calendar, groups
from haven_scheduling.store.rows import PERSON, STAFF, EnrolmentRow, SessionRow

MaySee = Callable[[SessionRow], Awaitable[bool]]
"""Whether a session may be named to the caller."""


@dataclass(frozen=True, slots=True, order=True)
class Holder:
    """Who takes a seat: a person, by an enrolment or not, or the member of staff who leads."""

    kind: int
    id: str
    enrolment_id: str = ""

    @classmethod
    def person(cls, person_id: str, enrolment_id: str = "") -> Holder:
        """A person, by the one way to write the id."""
        return cls(PERSON, person_id.lower(), enrolment_id)


async def seat(tx: Tx, holder: Holder, wanted: Sequence[SessionRow]) -> list[SessionRow]:
    """Take the seats that can be taken, and tell of them. Returns the sessions that clash with others."""
    taken, refused = await _take(tx, holder, wanted)
    _tell_taken(tx, holder, taken)
    return refused


async def _take(tx: Tx, holder: Holder, wanted: Sequence[SessionRow]) -> tuple[list[str], list[SessionRow]]:
    if not wanted:
        return [], []
    has = await calendar.take_seats(tx, holder.kind, holder.id, wanted, holder.enrolment_id)
    taken = [each.session_id for each in wanted if each.session_id in has and holder.id not in each.person_ids]
    return taken, [each for each in wanted if each.session_id not in has]


def _tell_taken(tx: Tx, holder: Holder, taken: Sequence[str]) -> None:
    if holder.kind == PERSON and taken:
        told = events_pb2.SeatTaken(enrolment_id=holder.enrolment_id, person_id=holder.id, session_ids=taken)
        tx.emit(told, key=holder.id)


async def seat_or_refuse(tx: Tx, holder: Holder, wanted: Sequence[SessionRow], may_see: MaySee) -> None:
    """Take all the seats. Raises Conflict where one cannot be taken, naming what is in the way, if visible."""
    refused = await seat(tx, holder, wanted)
    if not refused:
        return
    who = "The one who leads it" if holder.kind == STAFF else "The person"
    other = await calendar.in_the_way(tx, holder.kind, holder.id, refused[0].when)
    if other is not None and await may_see(other):
        raise Conflict("double_booked", f"{who} is in session {other.session_id} at the same time.")
    raise Conflict("double_booked", f"{who} has something else at the time of one of these sessions.")


async def release(
    tx: Tx,
    *,
    session_ids: Sequence[str] | None = None,
    person_id: str | None = None,
    enrolment_id: str | None = None,
) -> None:
    """Give up seats in sessions that have not ended, and tell of it. Without a person or enrolment: everyone's."""
    kind = PERSON if person_id or enrolment_id else None
    gone = await calendar.release_seats(
        tx,
        session_ids=session_ids,
        holder_kind=kind,
        holder_id=person_id.lower() if person_id else None,
        enrolment_id=enrolment_id,
    )
    by_person: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for each in gone:
        if each.holder_kind == PERSON:
            by_person[each.holder_id, each.enrolment_id].append(each.session_id)
    for (who, enrolment), sessions in sorted(by_person.items()):
        tx.emit(events_pb2.SeatReleased(enrolment_id=enrolment, person_id=who, session_ids=sorted(sessions)), key=who)


async def cancel(tx: Tx, row: SessionRow) -> SessionRow:
    """Call a session off: seats are released, the others are told."""
    cancelled = await calendar.write_session(tx, replace(row, state=calendar.CANCELLED))
    await release(tx, session_ids=[row.session_id])
    tx.emit(events_pb2.SessionCancelled(session_id=row.session_id, version=cancelled.version), key=row.session_id)
    return cancelled


async def move(tx: Tx, changed: Sequence[SessionRow], may_see: MaySee) -> list[SessionRow]:
    """Give sessions their new times or leaders, all or none; everyone in them keeps the seat.

    Raises Conflict as `seat_or_refuse`.
    """
    ids = [each.session_id for each in changed]
    seats = await calendar.release_seats(tx, session_ids=ids)
    written = {each.session_id: await calendar.write_session(tx, each) for each in changed}
    held: defaultdict[Holder, list[SessionRow]] = defaultdict(list)
    for each in seats:
        if each.holder_kind == PERSON:
            # Named as before, so that nobody is told of a seat that was only carried over.
            row = replace(written[each.session_id], person_ids=(each.holder_id,))
            held[Holder.person(each.holder_id, each.enrolment_id)].append(row)
    for row in written.values():
        held[Holder(STAFF, row.facilitator_id)].append(row)
    for holder in sorted(held):
        await seat_or_refuse(tx, holder, held[holder], may_see)
    moved = [await calendar.session(tx, each) for each in ids]
    tell(tx, moved)
    return moved


def tell(tx: Tx, rows: Iterable[SessionRow]) -> None:
    """Tell the other services how sessions are now."""
    for row in rows:
        event = events_pb2.SessionPlanned(
            session_id=row.session_id,
            series_id=row.series_id,
            group_id=row.group_id,
            kind=words.word(calendar_pb2.SessionKind, row.kind),
            starts_at=times.stamp(row.when.start),
            ends_at=times.stamp(row.when.end),
            time_zone=row.time_zone,
            facilitator_id=row.facilitator_id,
            version=row.version,
        )
        tx.emit(event, key=row.session_id)


async def enrol(tx: Tx, group_id: str, person_id: str, may_see: MaySee) -> EnrolmentRow:
    """A place in the group, or on its waiting list when it is full. The group is locked by the caller.

    Raises Conflict when a coming session clashes with another of the person's; then nothing is kept.
    """
    group = await groups.group(tx, group_id)
    if group.free_seats == 0:
        waiting = await groups.add_enrolment(tx, group_id, person_id, groups.WAITING)
        return await groups.enrolment(tx, waiting)
    enrolment_id = await groups.add_enrolment(tx, group_id, person_id, groups.ACTIVE)
    coming = await calendar.coming(tx, group_id=group_id)
    await seat_or_refuse(tx, Holder.person(person_id, enrolment_id), coming, may_see)
    return await groups.enrolment(tx, enrolment_id)


async def end_enrolment(tx: Tx, row: EnrolmentRow) -> None:
    """Give up a place, or one on the waiting list; those who wait move up. The group is locked by the caller."""
    await groups.set_enrolment(tx, row.enrolment_id, groups.ENDED)
    if row.state == groups_pb2.ENROLMENT_STATE_ACTIVE:
        await release(tx, enrolment_id=row.enrolment_id)
    await promote(tx, row.group_id)


async def promote(tx: Tx, group_id: str) -> None:
    """Give free places to those who wait, oldest first. The group is locked by the caller.

    Who is somewhere else at the time of a session keeps waiting, in the same place, and the next is asked.
    """
    group = await groups.group(tx, group_id)
    free = group.free_seats
    if not free or not group.waiting or has_begun(group.details, tx.now):
        return
    coming = await calendar.coming(tx, group_id=group_id)
    for each in await groups.waiting(tx, group_id):
        if not free:
            return
        free -= await _promoted(tx, each, coming)


class _Elsewhere(Exception):
    """Somebody has something else at the time of a session."""


async def _promoted(tx: Tx, row: EnrolmentRow, coming: Sequence[SessionRow]) -> bool:
    holder = Holder.person(row.person_id, row.enrolment_id)
    try:
        async with tx.savepoint():
            await groups.set_enrolment(tx, row.enrolment_id, groups.ACTIVE)
            taken, refused = await _take(tx, holder, coming)
            if refused:
                raise _Elsewhere
    except _Elsewhere:
        return False
    _tell_taken(tx, holder, taken)
    return True


def has_begun(details: groups_pb2.GroupDetails, now: datetime) -> bool:
    """Whether it is too late to join: a closed cohort takes people only before its first day."""
    return details.closed_cohort and date.fromisoformat(details.starts_on) <= now.date()
