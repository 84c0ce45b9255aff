"""A week against the plan and the track's bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from haven_scheduling.domain.intervals import Interval

HOUR = 60


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a week of a track may look like. Minutes are of treatment, per day that has any."""

    min_days: int
    max_days: int
    min_minutes_a_day: int
    max_minutes_a_day: int
    min_hours: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What the treatment plan asks for in a week."""

    days: int
    hours: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit: the rule, the day it is about if any, and a plain sentence."""

    rule: str
    message: str
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How much of a week is treatment."""

    by_day: dict[date, int]
    """Minutes for each of the seven days."""
    warnings: tuple[Finding, ...]
    missing_minutes: int
    """Minutes that the plan asks for and the week does not have."""

    @property
    def minutes(self) -> int:
        """Minutes in the week."""
        return sum(self.by_day.values())

    @property
    def days(self) -> int:
        """Days that have treatment."""
        return sum(1 for minutes in self.by_day.values() if minutes)


def load(start: date, zone: ZoneInfo, counted: Iterable[Interval], plan: Plan | None, bounds: Bounds | None) -> Load:
    """The load of the seven local days from `start` on. `counted` are the sessions that count towards the plan."""
    by_day = {start + timedelta(days=n): 0 for n in range(7)}
    for each in counted:
        day = each.day(zone)
        if day in by_day:
            by_day[day] += each.minutes
    minutes = sum(by_day.values())
    days = sum(1 for each in by_day.values() if each)
    warnings = [*_plan_warnings(days, minutes, plan), *_bounds_warnings(by_day, days, minutes, bounds)]
    missing = max(0, plan.hours * HOUR - minutes) if plan else 0
    return Load(by_day, tuple(warnings), missing)


def _plan_warnings(days: int, minutes: int, plan: Plan | None) -> list[Finding]:
    if plan is None:
        return []
    found = []
    if minutes < plan.hours * HOUR:
        found.append(Finding("under_plan_hours", "This week has fewer hours than the plan asks for."))
    if days < plan.days:
        found.append(Finding("under_plan_days", "This week has fewer days than the plan asks for."))
    if days > plan.days:
        found.append(Finding("over_plan_days", "This week has more days than the plan asks for."))
    return found


def _bounds_warnings(by_day: dict[date, int], days: int, minutes: int, bounds: Bounds | None) -> list[Finding]:
    if bounds is None:
        return []
    found = []
    if days < bounds.min_days:
        found.append(Finding("under_program_days", "This week has fewer days than a week of the program."))
    if days > bounds.max_days:
        found.append(Finding("over_program_days", "This week has more days than a week of the program."))
    if minutes < bounds.min_hours * HOUR:
        found.append(Finding("under_program_hours", "This week has fewer hours than the program's level of care has."))
    for day, on_day in by_day.items():
        if on_day > bounds.max_minutes_a_day:
            found.append(Finding("day_too_long", "This day is longer than a day of the program.", day))
        elif 0 < on_day < bounds.min_minutes_a_day:
            found.append(Finding("day_too_short", "This day is shorter than a day of the program.", day))
    return found
