"""Smaller rooms: invitation and choice, individual check-ins, and who is kept apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from haven_sessions.domain import events as e
from haven_sessions.domain.errors import BadInput, Broken, Missing
from haven_sessions.domain.events import Event
from haven_sessions.domain.room import Breakout, Place, Room
from haven_sessions.domain.rules import require_in, require_open

_KEPT_APART = "People who are kept apart would share a breakout."


@dataclass(frozen=True, slots=True)
class Plan:
    """A breakout to be opened."""

    breakout_id: str
    name: str
    member_ids: tuple[str, ...]


def open_breakouts(room: Room, plans: Sequence[Plan]) -> list[Event]:
    """Open breakouts and invite people. Nobody is moved: each goes in by choice."""
    require_open(room)
    if any(not each.check_in for each in room.breakouts.values()):
        raise Broken("already_open", "Breakouts are open. Close them first.")
    invited = [member_id for plan in plans for member_id in plan.member_ids]
    if len(invited) != len(set(invited)):
        raise BadInput("breakouts", "once_each", "A person can be invited to one breakout at a time.")
    for plan in plans:
        _known(room, plan.member_ids)
        _require_may_meet(room, plan.member_ids)
    return [e.BreakoutOpened(plan.breakout_id, plan.name, plan.member_ids, check_in=False) for plan in plans]


def start_check_in(room: Room, breakout_id: str, staff_id: str, member_id: str) -> list[Event]:
    """Open a breakout for one member of staff and one person. Staff go in at once, the person when they like."""
    staff = require_in(room, staff_id)
    member = room.members.get(member_id)
    if member is None or member.staff or member.place is not Place.IN:
        raise Missing("member")
    if any(each.check_in and member_id in each.member_ids for each in room.breakouts.values()):
        raise Broken("already_open", "There is a check-in with this person already.")
    opened = e.BreakoutOpened(breakout_id, "Check-in", (staff_id, member_id), check_in=True)
    return [opened, *_out_of(room, staff.member_id), e.BreakoutMoved(staff_id, breakout_id, inside=True)]


def go_in(room: Room, breakout_id: str, member_id: str) -> list[Event]:
    """Go into a breakout one is invited to. Staff may go into each, but for the check-in of another."""
    member = require_in(room, member_id)
    breakout = room.breakouts.get(breakout_id)
    if breakout is None or not _may_enter(breakout, member_id, staff=member.staff):
        raise Missing("breakout")
    if member.breakout_id == breakout_id:
        return []
    _require_may_meet(room, {*room.inside(breakout_id), member_id})
    return [*_out_of(room, member_id), e.BreakoutMoved(member_id, breakout_id, inside=True)]


def go_back(room: Room, member_id: str) -> list[Event]:
    """Go back to the main room."""
    require_in(room, member_id)
    return _out_of(room, member_id)


def close_breakouts(room: Room) -> list[Event]:
    """Close all of them, check-ins too."""
    require_open(room)
    return [e.BreakoutsClosed(tuple(room.breakouts))] if room.breakouts else []


def keep_apart(room: Room, pairs: Iterable[tuple[str, str]]) -> list[Event]:
    """Set who must not share a breakout. Who shares one at this moment is brought back to the main room."""
    require_open(room)
    ordered = tuple(sorted({(min(pair), max(pair)) for pair in pairs}))
    for one, other in ordered:
        _known(room, (one, other))
        if one == other:
            raise BadInput("pairs", "two_people", "A pair is two people.")
    if frozenset(frozenset(pair) for pair in ordered) == room.apart:
        return []
    parted = [
        room.members[one].breakout_id
        for one, other in ordered
        if room.members[one].breakout_id and room.members[one].breakout_id == room.members[other].breakout_id
    ]
    closed: list[Event] = [e.BreakoutsClosed(tuple(dict.fromkeys(parted)))] if parted else []
    return [e.KeptApart(ordered), *closed]


def _out_of(room: Room, member_id: str) -> list[Event]:
    left = room.members[member_id].breakout_id
    if not left:
        return []
    moved: list[Event] = [e.BreakoutMoved(member_id, left, inside=False)]
    if room.breakouts[left].check_in and room.inside(left) == {member_id}:
        moved.append(e.BreakoutsClosed((left,)))
    return moved


def _may_enter(breakout: Breakout, member_id: str, *, staff: bool) -> bool:
    return member_id in breakout.member_ids or (staff and not breakout.check_in)


def _known(room: Room, member_ids: Iterable[str]) -> None:
    if any(member_id not in room.members for member_id in member_ids):
        raise Missing("member")


def _require_may_meet(room: Room, member_ids: Iterable[str]) -> None:
    if any(frozenset(pair) in room.apart for pair in combinations(member_ids, 2)):
        raise Broken("kept_apart", _KEPT_APART)
