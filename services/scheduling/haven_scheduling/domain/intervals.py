"""Stretches of time, half open, as pairs of aware UTC times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """From `start` until just before `end`; both aware, in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError("an interval ends after it starts")

    @property
    def minutes(self) -> int:
        """Whole minutes that pass."""
        return int((self.end - self.start).total_seconds() // 60)

    def overlaps(self, other: Interval) -> bool:
        """Whether some moment is in both. Touching ends do not overlap."""
        return self.start < other.end and other.start < self.end

    def day(self, zone: ZoneInfo) -> date:
        """The local day on which it starts."""
        return self.start.astimezone(zone).date()


def at_wall_time(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The moment at which clocks in the zone show that time on that day, in UTC.

    A time that the clock skips is read with the offset before the change, so it falls as long after the change as
    it was asked to be after the hour skipped; one that comes twice is the first (RFC 5545, section 3.3.5).
    """
    return datetime.combine(day, wall.replace(fold=0), tzinfo=zone).astimezone(UTC)


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same moments in as few stretches as possible, in order."""
    merged: list[Interval] = []
    for each in sorted(intervals):
        if merged and each.start <= merged[-1].end:
            merged[-1] = Interval(merged[-1].start, max(merged[-1].end, each.end))
        else:
            merged.append(each)
    return merged


def minus(these: Iterable[Interval], those: Iterable[Interval]) -> list[Interval]:
    """The moments of `these` that are in none of `those`."""
    left = union(these)
    for cut in union(those):
        left = [part for each in left for part in _without(each, cut)]
    return left


def shared(these: Iterable[Interval], those: Iterable[Interval]) -> list[Interval]:
    """The moments that are in both."""
    others = union(those)
    return [Interval(max(a.start, b.start), min(a.end, b.end)) for a in union(these) for b in others if a.overlaps(b)]


def covered(one: Interval, by: Iterable[Interval]) -> bool:
    """Whether every moment of `one` is in some of `by`."""
    return any(each.start <= one.start and one.end <= each.end for each in union(by))


def _without(one: Interval, cut: Interval) -> list[Interval]:
    if not one.overlaps(cut):
        return [one]
    parts = []
    if one.start < cut.start:
        parts.append(Interval(one.start, cut.start))
    if cut.end < one.end:
        parts.append(Interval(cut.end, one.end))
    return parts


def week_of(day: date, zone: ZoneInfo) -> Interval:
    """Seven local days from that day's midnight on."""
    return Interval(at_wall_time(day, time(), zone), at_wall_time(day + timedelta(days=7), time(), zone))


def monday_of(day: date) -> date:
    """The Monday of the day's week."""
    return day - timedelta(days=day.weekday())
