"""A weekly pattern, and the sessions it makes across changes of the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

from haven_scheduling.domain.intervals import Interval, at_wall_time


@dataclass(frozen=True, slots=True)
class Pattern:
    """When something happens every week. The start is wall time; the length is minutes that pass."""

    weekdays: frozenset[int]
    """ISO 8601: 1 is Monday, 7 Sunday."""
    start: time
    minutes: int
    zone: ZoneInfo
    first: date
    last: date | None = None
    """Inclusive; None where it goes on."""
    excepted: frozenset[date] = frozenset()

    def ending_before(self, day: date) -> Pattern:
        """The same, without anything from that day on."""
        end = day - timedelta(days=1)
        return replace(self, last=end if self.last is None else min(self.last, end))


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One session of a pattern: the local day it belongs to, and when it is."""

    day: date
    when: Interval


def occurrences(pattern: Pattern, start: date, end: date) -> Iterator[Occurrence]:
    """The sessions on local days from `start` up to and including `end`, in order."""
    day = max(start, pattern.first)
    last = end if pattern.last is None else min(end, pattern.last)
    while day <= last:
        if day.isoweekday() in pattern.weekdays and day not in pattern.excepted:
            begins = at_wall_time(day, pattern.start, pattern.zone)
            yield Occurrence(day, Interval(begins, begins + timedelta(minutes=pattern.minutes)))
        day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Change:
    """What a changed pattern does to the sessions already planned, by their local day."""

    moved: dict[date, Occurrence]
    cancelled: frozenset[date]
    added: tuple[Occurrence, ...]


def change(planned: Iterable[date], pattern: Pattern, through: date) -> Change:
    """How sessions on `planned` days become those of `pattern` up to and including `through`.

    A session on a day of the new pattern moves and stays the same session; the others are cancelled; days that had
    none get one.
    """
    wanted = {each.day: each for each in occurrences(pattern, pattern.first, through)}
    before = frozenset(planned)
    return Change(
        moved={day: wanted[day] for day in sorted(before & wanted.keys())},
        cancelled=before - wanted.keys(),
        added=tuple(each for day, each in wanted.items() if day not in before),
    )
