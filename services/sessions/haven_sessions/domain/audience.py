"""Who learns of an event. Staff learn of everything; this decides what the others may see."""

from __future__ import annotations

from dataclasses import dataclass

from haven_sessions.domain import events as e
from haven_sessions.domain.events import Event
from haven_sessions.domain.room import Room


@dataclass(frozen=True, slots=True)
class Audience:
    """Everyone who is in the room, or only the members named, besides staff."""

    everyone: bool
    member_ids: tuple[str, ...] = ()


STAFF = Audience(everyone=False)
_EVERYONE = Audience(everyone=True)
_FOR_EVERYONE = (
    e.Opened, e.AgendaKnown, e.Closed, e.Joined, e.Left, e.ParticipationChosen, e.HandChanged, e.TurnChanged,
    e.AgendaMoved, e.PauseBegun, e.PauseEnded,
)  # fmt: skip


def of(event: Event, room: Room) -> Audience:
    """The audience of an event, in the room as it was before it. What is not named here is for staff alone."""
    match event:
        case e.BreakoutOpened(member_ids=member_ids):
            return Audience(everyone=False, member_ids=member_ids)
        case e.BreakoutMoved(breakout_id=breakout_id):
            return _invited(room, breakout_id)
        case e.BreakoutsClosed(breakout_ids=breakout_ids):
            return _invited(room, *breakout_ids)
        case e.Moderated(member_id=member_id):
            return Audience(everyone=False, member_ids=(member_id,))
        case e.MessageSent(member_id=member_id, to_staff=to_staff):
            return Audience(everyone=False, member_ids=(member_id,)) if to_staff else _EVERYONE
    return _EVERYONE if isinstance(event, _FOR_EVERYONE) else STAFF


def _invited(room: Room, *breakout_ids: str) -> Audience:
    named = [m for each in breakout_ids if each in room.breakouts for m in room.breakouts[each].member_ids]
    return Audience(everyone=False, member_ids=tuple(dict.fromkeys(named)))
