"""When a person or a member of staff can be somewhere, as weekly windows of wall time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

from haven_scheduling.domain.intervals import Interval, at_wall_time, covered, minus, shared, union


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a weekday. One that ends at or before its start goes on into the next day."""

    weekday: int
    """ISO 8601: 1 is Monday, 7 Sunday."""
    start: time
    end: time
    """time(0) is the end of the day."""


@dataclass(frozen=True, slots=True)
class Availability:
    """Windows that suit and times that are taken by life, in one zone. No windows: any time that is not taken."""

    zone: ZoneInfo
    windows: tuple[Window, ...] = ()
    blackouts: tuple[Window, ...] = ()

    def free(self, span: Interval) -> list[Interval]:
        """The parts of the span in which the person can attend."""
        offered = _expanded(self.windows, self.zone, span) if self.windows else [span]
        return shared(minus(offered, _expanded(self.blackouts, self.zone, span)), [span])

    def allows(self, one: Interval) -> bool:
        """Whether the person can attend the whole of it."""
        return covered(one, self.free(one))


def shared_minutes(one: Availability, other: Availability, span: Interval, booked: Iterable[Interval] = ()) -> int:
    """Minutes of the span in which both can attend and nothing is booked."""
    both = minus(shared(one.free(span), other.free(span)), booked)
    return sum(each.minutes for each in both)


def _expanded(windows: Iterable[Window], zone: ZoneInfo, span: Interval) -> list[Interval]:
    return union(each for window in windows for each in _on_days(window, zone, span))


def _on_days(window: Window, zone: ZoneInfo, span: Interval) -> Iterator[Interval]:
    # A window may begin on the day before the span and reach into it.
    day = span.start.astimezone(zone).date() - timedelta(days=1)
    last = span.end.astimezone(zone).date()
    while day <= last:
        if day.isoweekday() == window.weekday:
            yield from _on_day(window, day, zone)
        day += timedelta(days=1)


def _on_day(window: Window, day: date, zone: ZoneInfo) -> Iterator[Interval]:
    end_day = day if window.end > window.start else day + timedelta(days=1)
    begins, ends = at_wall_time(day, window.start, zone), at_wall_time(end_day, window.end, zone)
    if begins < ends:  # a change of the clock can swallow a short window
        yield Interval(begins, ends)
