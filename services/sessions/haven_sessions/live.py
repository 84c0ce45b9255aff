"""Letting things happen in a room: kept, shown to those it is meant for, and told to the other services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from haven.sessions.v1 import events_pb2

from haven_kit import times
from haven_kit.database import Tx
from haven_kit.errors import Invalid, NotFound, Refused
from haven_kit.ids import new_id
from haven_sessions.domain import attendance, events, rules
from haven_sessions.domain.errors import BadInput, Broken, Missing
from haven_sessions.domain.events import Event, HelpState
from haven_sessions.domain.room import Place, Room
from haven_sessions.store import attendance as attendances
from haven_sessions.store import people, rooms, sessions
from haven_sessions.store.attendance import Attendance
from haven_sessions.store.sessions import Session


@contextmanager
def told() -> Iterator[None]:
    """Turns the room's own refusals into answers."""
    try:
        yield
    except Broken as error:
        raise Refused(error.rule, error.message) from error
    except BadInput as error:
        raise Invalid(error.field, error.rule, error.message) from error
    except Missing as error:
        raise NotFound(error.resource) from error


async def happen(tx: Tx, session: Session, room: Room, decided: Sequence[Event]) -> None:
    """Let events happen in a locked room, and tell the other services of those that matter to them."""
    await rooms.append(tx, session.session_id, room, decided)
    for event in decided:
        _tell(tx, session, room, event)


def _tell(tx: Tx, session: Session, room: Room, event: Event) -> None:
    session_id, now = session.session_id, times.stamp(tx.now)
    match event:
        case events.Opened():
            tx.emit(events_pb2.RoomOpened(session_id=session_id, opened_at=now), key=session_id)
        case events.Closed():
            tx.emit(events_pb2.RoomClosed(session_id=session_id, closed_at=now), key=session_id)
        case events.Joined(person_id=person_id) if person_id:
            joined = events_pb2.ParticipantJoined(
                session_id=session_id, person_id=person_id, facilitator_id=session.facilitator_id, joined_at=now
            )
            tx.emit(joined, key=session_id)
        case events.Left(member_id=member_id) if person_id := room.members[member_id].person_id:
            left = events_pb2.ParticipantLeft(session_id=session_id, person_id=person_id, left_at=now)
            tx.emit(left, key=session_id)


async def let_lapse(tx: Tx, session: Session, room: Room, seen_before: datetime) -> None:
    """Let those leave a locked room who were last seen before then, as of when they were last seen."""
    for member in (await rooms.members(tx, session.session_id)).values():
        if member.place is Place.IN and member.seen_at < seen_before:
            unseen = (tx.now - member.seen_at).total_seconds()
            await happen(tx, session, room, rules.leave(room, member.member_id, lapsed=True, unseen_seconds=unseen))


async def close(tx: Tx, session: Session, *, seen_before: datetime) -> Room:
    """Close the room and record attendance, for everyone with a seat and everyone who came. Raises Refused.

    Who was last seen before the given time had left by then.
    """
    room = await rooms.lock(tx, session.session_id)
    await let_lapse(tx, session, room, seen_before)
    with told():
        decided = rules.close(room)
    await happen(tx, session, room, decided)
    if decided:
        await _record_attendance(tx, session)
    return room


async def _record_attendance(tx: Tx, session: Session) -> None:
    happened = await rooms.happened(tx, session.session_id)
    came = attendance.by_person(happened, tx.now)
    seated = await sessions.seated(tx, session.session_id)
    for person_id in sorted({*came, *seated}):
        intervals = came.get(person_id, ())
        record = Attendance(
            attendance_id=new_id(),
            session_id=session.session_id,
            person_id=person_id,
            kind=session.kind,
            starts_at=session.starts_at,
            ends_at=session.ends_at,
            service_date=attendance.service_date(session.starts_at, session.time_zone),
            facilitator_id=session.facilitator_id,
            minutes=attendance.minutes(intervals),
            intervals=intervals,
            version=1,
        )
        if await attendances.add(tx, record):
            tell_attendance(tx, record)


def tell_attendance(tx: Tx, record: Attendance) -> None:
    """Tell the others what somebody attended, or that it was corrected."""
    recorded = events_pb2.AttendanceRecorded(
        attendance_id=record.attendance_id,
        session_id=record.session_id,
        person_id=record.person_id,
        kind=record.kind,
        starts_at=times.stamp(record.starts_at),
        attended_minutes=record.minutes,
        service_date=record.service_date.isoformat(),
        facilitator_id=record.facilitator_id,
    )
    tx.emit(recorded, key=record.attendance_id)


async def show_call(tx: Tx, signal_id: str, session_id: str, person_id: str) -> None:
    """Show staff that somebody called for help: once, whoever comes first to do so."""
    if await people.first_to_show(tx, signal_id):
        await show_help(tx, session_id, person_id, HelpState.CALLED)


async def show_help(
    tx: Tx, session_id: str, person_id: str, state: HelpState, alert_id: str = "", *, lost: bool = False
) -> None:
    """Show staff how far help has come for somebody in their session, or that whoever had the alert has it no longer.
    Nothing to show where they have no part in it, and for a call from outside of any session (an empty id)."""
    session = await sessions.find(tx, session_id) if session_id else None
    if session is None:
        return
    if await sessions.has_seat(tx, session_id, person_id) or await people.was_in(tx, session_id, person_id):
        room = await rooms.lock(tx, session_id)
        await happen(tx, session, room, rules.change_help(room, person_id, state, alert_id, lost=lost))
