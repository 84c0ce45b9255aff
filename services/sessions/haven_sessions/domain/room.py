"""The state of a live room: the fold of what happened in it. Deciding what may happen next is in `rules`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import singledispatchmethod
from typing import Any

from haven_sessions.domain import events as e
from haven_sessions.domain.events import Event, HelpState, Moderation, Participation


class Life(StrEnum):
    """Where a room is in its life."""

    WAITING = "waiting"
    OPEN = "open"
    CLOSED = "closed"


class Place(StrEnum):
    """Where a member is."""

    IN = "in"
    OUT = "out"
    LOBBY = "lobby"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who has been in the room at least once."""

    member_id: str
    person_id: str
    staff: bool
    place: Place
    participation: Participation
    camera: bool
    hand_raised: bool = False
    muted: bool = False
    breakout_id: str = ""


@dataclass(frozen=True, slots=True)
class Breakout:
    """A smaller room beside the main one, and who is invited to it."""

    breakout_id: str
    name: str
    member_ids: tuple[str, ...]
    check_in: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that is going on."""

    kind: str
    exercise_id: str
    started_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Help:
    """How far help has come for one person."""

    person_id: str
    state: HelpState
    changed_at: datetime
    alert_id: str = ""
    """The alert last told of."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event with its number in the room and its time."""

    seq: int
    at: datetime
    event: Event


@dataclass(slots=True)
class Room:
    """A room after the events that were applied."""

    life: Life = Life.WAITING
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    agenda_items: int | None = None
    agenda_position: int = 0
    pause: Pause | None = None
    members: dict[str, Member] = field(default_factory=dict)
    breakouts: dict[str, Breakout] = field(default_factory=dict)
    apart: frozenset[frozenset[str]] = frozenset()
    floor: str = ""
    floor_since: datetime | None = None
    spoken: dict[str, float] = field(default_factory=dict)
    help: dict[str, Help] = field(default_factory=dict)
    last_seq: int = 0

    def present(self) -> tuple[Member, ...]:
        """Those who are in the room, in the order in which they first came."""
        return tuple(each for each in self.members.values() if each.place is Place.IN)

    def inside(self, breakout_id: str) -> frozenset[str]:
        """Who is in a breakout now."""
        return frozenset(each.member_id for each in self.members.values() if each.breakout_id == breakout_id)

    def speaking_seconds(self, now: datetime) -> Mapping[str, float]:
        """Seconds with the floor, by member, the turn that is going on included."""
        seconds = dict(self.spoken)
        if self.floor and self.floor_since is not None:
            seconds[self.floor] = seconds.get(self.floor, 0.0) + max(0.0, (now - self.floor_since).total_seconds())
        return seconds

    def apply(self, happened: Happened) -> None:
        """Let it have happened. Takes any event: what may happen was decided before it was kept."""
        self._on(happened.event, happened.at)
        self.last_seq = happened.seq

    @singledispatchmethod
    def _on(self, _event: object, _at: datetime) -> None:
        """Events that leave the state as it is: a request for a pause, a message."""

    @_on.register
    def _(self, _event: e.Opened, at: datetime) -> None:
        self.life, self.opened_at = Life.OPEN, at

    @_on.register
    def _(self, event: e.AgendaKnown, _at: datetime) -> None:
        self.agenda_items = event.items

    @_on.register
    def _(self, _event: e.Closed, at: datetime) -> None:
        self.life, self.closed_at = Life.CLOSED, at
        self.pause = None
        self._take_floor("", at)
        self.breakouts.clear()

    @_on.register
    def _(self, event: e.Joined, _at: datetime) -> None:
        known = self.members.get(event.member_id)
        self.members[event.member_id] = Member(
            member_id=event.member_id,
            person_id=event.person_id,
            staff=event.staff,
            place=Place.IN,
            participation=event.participation,
            camera=event.camera,
            muted=known.muted if known else False,
        )

    @_on.register
    def _(self, event: e.Left, at: datetime) -> None:
        self._put_out(event.member_id, Place.OUT, at - timedelta(seconds=event.unseen_seconds))

    @_on.register
    def _(self, event: e.ParticipationChosen, _at: datetime) -> None:
        self._change(event.member_id, participation=event.participation)

    @_on.register
    def _(self, event: e.HandChanged, _at: datetime) -> None:
        self._change(event.member_id, hand_raised=event.raised)

    @_on.register
    def _(self, event: e.TurnChanged, at: datetime) -> None:
        self._take_floor(event.member_id, at)

    @_on.register
    def _(self, event: e.AgendaMoved, _at: datetime) -> None:
        self.agenda_position = event.position

    @_on.register
    def _(self, event: e.PauseBegun, at: datetime) -> None:
        self.pause = Pause(event.kind, event.exercise_id, at, at + timedelta(minutes=event.minutes))

    @_on.register
    def _(self, _event: e.PauseEnded, _at: datetime) -> None:
        self.pause = None

    @_on.register
    def _(self, event: e.BreakoutOpened, _at: datetime) -> None:
        self.breakouts[event.breakout_id] = Breakout(event.breakout_id, event.name, event.member_ids, event.check_in)

    @_on.register
    def _(self, event: e.BreakoutsClosed, _at: datetime) -> None:
        for breakout_id in event.breakout_ids:
            self.breakouts.pop(breakout_id, None)
            for member_id in self.inside(breakout_id):
                self._change(member_id, breakout_id="")

    @_on.register
    def _(self, event: e.BreakoutMoved, _at: datetime) -> None:
        self._change(event.member_id, breakout_id=event.breakout_id if event.inside else "")

    @_on.register
    def _(self, event: e.Moderated, at: datetime) -> None:
        if event.action in (Moderation.MUTED, Moderation.UNMUTED):
            self._change(event.member_id, muted=event.action is Moderation.MUTED)
        else:
            place = {Moderation.TO_LOBBY: Place.LOBBY, Moderation.REMOVED: Place.REMOVED}.get(event.action, Place.OUT)
            self._put_out(event.member_id, place, at)

    @_on.register
    def _(self, event: e.KeptApart, _at: datetime) -> None:
        self.apart = frozenset(frozenset(pair) for pair in event.pairs)

    @_on.register
    def _(self, event: e.HelpChanged, at: datetime) -> None:
        self.help[event.person_id] = Help(event.person_id, event.state, at, event.alert_id)

    def _put_out(self, member_id: str, place: Place, at: datetime) -> None:
        if self.floor == member_id:
            self._take_floor("", at)
        self._change(member_id, place=place, hand_raised=False, breakout_id="")

    def _take_floor(self, member_id: str, at: datetime) -> None:
        self.spoken = dict(self.speaking_seconds(at))
        self.floor, self.floor_since = member_id, at if member_id else None
        if member_id:
            self._change(member_id, hand_raised=False)

    def _change(self, member_id: str, **changes: Any) -> None:
        if (member := self.members.get(member_id)) is not None:
            self.members[member_id] = replace(member, **changes)


def replay(happened: Iterable[Happened]) -> Room:
    """The room after all of these, in order."""
    room = Room()
    for each in happened:
        room.apply(each)
    return room
