"""Attendance: the time a person was in the room, from when they came and went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from haven_sessions.domain import events as e
from haven_sessions.domain.events import Moderation
from haven_sessions.domain.room import Happened

CORRECTION_WINDOW = timedelta(days=7)
"""How long after a session its attendance may be corrected: until its claim may have gone out."""


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A stretch of time, from its start until before its end."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start


def merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The same time in order and without overlap, whatever order or overlap it came in. Empty stretches fall away."""
    result: list[Interval] = []
    for each in sorted(each for each in intervals if each.end > each.start):
        if result and each.start <= result[-1].end:
            result[-1] = Interval(result[-1].start, max(result[-1].end, each.end))
        else:
            result.append(each)
    return tuple(result)


def minutes(intervals: Iterable[Interval]) -> int:
    """Whole minutes in the room. Begun minutes do not count: what is billed was given."""
    total = sum((each.length for each in merged(intervals)), timedelta())
    return total // timedelta(minutes=1)


def by_person(happened: Iterable[Happened], until: datetime) -> dict[str, tuple[Interval, ...]]:
    """When each person was in the room, by person_id. Who is still there counts until the given time.

    A lapsed connection ends a stretch when the person was last seen, not when that was noticed.
    """
    came: dict[str, datetime] = {}
    people: dict[str, str] = {}
    found: defaultdict[str, list[Interval]] = defaultdict(list)
    for each in happened:
        match each.event:
            case e.Joined(member_id=member_id, person_id=person_id) if person_id:
                people[member_id] = person_id
                came.setdefault(member_id, each.at)
            case e.Left(member_id=member_id, unseen_seconds=unseen):
                _end(found, people, came, member_id, each.at - timedelta(seconds=unseen))
            case e.Moderated(member_id=member_id, action=Moderation.TO_LOBBY | Moderation.REMOVED):
                _end(found, people, came, member_id, each.at)
    for member_id in tuple(came):
        _end(found, people, came, member_id, until)
    return {person_id: merged(intervals) for person_id, intervals in found.items()}


def _end(
    found: defaultdict[str, list[Interval]],
    people: dict[str, str],
    came: dict[str, datetime],
    member_id: str,
    at: datetime,
) -> None:
    if (start := came.pop(member_id, None)) is not None:
        found[people[member_id]].append(Interval(start, max(start, at)))


def service_date(starts_at: datetime, time_zone: str) -> date:
    """The calendar day of a session in its own zone (an IANA name)."""
    return starts_at.astimezone(ZoneInfo(time_zone)).date()
