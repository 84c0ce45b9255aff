"""Which groups together make the week a plan asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from itertools import combinations
from zoneinfo import ZoneInfo

from haven_scheduling.domain.availability import Availability
from haven_scheduling.domain.intervals import Interval
from haven_scheduling.domain.matching import speaks
from haven_scheduling.domain.week import HOUR, Bounds, Plan

MOST_TOGETHER = 3
"""Groups in one proposal at most: more leaders and rooms would be hard on people."""
MOST_CONSIDERED = 24
"""Groups combined at most, the best fitting ones; keeps the search small."""
MOST_PROPOSED = 10


class Couple(Enum):
    """What to do about a partner's groups."""

    NOT_ASKED = 0
    TOGETHER = 1
    APART = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A group as a proposal sees it."""

    group_id: str
    challenges: frozenset[str]
    language: str
    format: int
    free_seats: int
    closed_since: date | None
    """First day of a closed cohort; people join before it."""
    meetings: tuple[Interval, ...]
    """In the week looked at."""


@dataclass(frozen=True, slots=True)
class Attendee:
    """When somebody can attend, and what they attend already."""

    availability: Availability
    booked: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for, and for whom."""

    plan: Plan
    bounds: Bounds | None
    zone: ZoneInfo
    person: Attendee
    today: date
    challenges: frozenset[str] = frozenset()
    language: str = ""
    format: int = 0
    """0: any."""
    couple: Couple = Couple.NOT_ASKED
    partner: Attendee | None = None
    partner_groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Proposal:
    """Groups that together make a week. `fit` is from 0 to 100."""

    group_ids: tuple[str, ...]
    days: int
    minutes: int
    meets_plan: bool
    fit: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A group that cannot be proposed, and the first rule that says so."""

    group_id: str
    rule: str


def propose(candidates: Iterable[Candidate], wanted: Wanted) -> tuple[list[Proposal], list[LeftOut]]:
    """The best proposals first, and every group that was left out with the rule."""
    fitting: list[Candidate] = []
    left_out: list[LeftOut] = []
    for each in candidates:
        if rule := why_not(each, wanted):
            left_out.append(LeftOut(each.group_id, rule))
        else:
            fitting.append(each)
    fitting.sort(key=lambda each: (-_cohort_share([each], wanted), _not_partners(each, wanted), each.group_id))
    considered = fitting[:MOST_CONSIDERED]
    found = [
        proposal
        for size in range(1, MOST_TOGETHER + 1)
        for chosen in combinations(considered, size)
        if (proposal := _proposal(chosen, wanted))
    ]
    found.sort(key=lambda each: (not each.meets_plan, -each.fit, len(each.group_ids), each.group_ids))
    return found[:MOST_PROPOSED], left_out


def why_not(one: Candidate, wanted: Wanted) -> str:
    """The first rule that keeps a group out; empty where none does."""
    with_partner = wanted.couple is Couple.TOGETHER and wanted.partner is not None
    partner_has_seat = one.group_id in wanted.partner_groups
    seats = 2 if with_partner and not partner_has_seat else 1
    checks = (
        ("no_sessions", not one.meetings),
        ("full", one.free_seats < seats),
        ("cohort_started", one.closed_since is not None and one.closed_since <= wanted.today),
        ("apart_from_partner", wanted.couple is Couple.APART and partner_has_seat),
        ("language", not speaks([one.language], wanted.language)),
        ("format", wanted.format not in (0, one.format)),
        ("outside_availability", not _can_attend(one, wanted.person)),
        ("overlaps_booked", _overlap_any(one.meetings, wanted.person.booked)),
    )
    for rule, broken in checks:
        if broken:
            return rule
    if with_partner and wanted.partner and not partner_has_seat:
        if not _can_attend(one, wanted.partner):
            return "outside_availability"
        if _overlap_any(one.meetings, wanted.partner.booked):
            return "overlaps_booked"
    return ""


def _can_attend(one: Candidate, who: Attendee) -> bool:
    return all(who.availability.allows(meeting) for meeting in one.meetings)


def _overlap_any(these: Iterable[Interval], those: Iterable[Interval]) -> bool:
    others = list(those)
    return any(a.overlaps(b) for a in these for b in others)


def _proposal(chosen: Sequence[Candidate], wanted: Wanted) -> Proposal | None:
    if any(_overlap_any(a.meetings, b.meetings) for a, b in combinations(chosen, 2)):
        return None
    by_day: defaultdict[date, int] = defaultdict(int)
    for meeting in (meeting for each in chosen for meeting in each.meetings):
        by_day[meeting.day(wanted.zone)] += meeting.minutes
    days, minutes = len(by_day), sum(by_day.values())
    if len(chosen) > 1 and days > wanted.plan.days:
        return None
    if wanted.bounds and max(by_day.values()) > wanted.bounds.max_minutes_a_day:
        return None
    meets = days == wanted.plan.days and minutes >= wanted.plan.hours * HOUR
    fit = _fit(chosen, days, minutes, wanted)
    ids = tuple(each.group_id for each in chosen)
    return Proposal(ids, days, minutes, meets, fit, tuple(_reasons(chosen, days, minutes, wanted)))


def _fit(chosen: Sequence[Candidate], days: int, minutes: int, wanted: Wanted) -> int:
    asked = max(1, wanted.plan.hours * HOUR)
    hours = min(minutes, asked) / max(minutes, asked)
    day_part = min(days, wanted.plan.days) / max(days, wanted.plan.days, 1)
    together = 1.0
    if wanted.couple is Couple.TOGETHER:
        together = sum(each.group_id in wanted.partner_groups for each in chosen) / len(chosen)
    return round(40 * hours + 20 * day_part + 25 * _cohort_share(chosen, wanted) + 15 * together)


def _cohort_share(chosen: Sequence[Candidate], wanted: Wanted) -> float:
    if not wanted.challenges:
        return 1.0
    return sum(len(each.challenges & wanted.challenges) for each in chosen) / (len(wanted.challenges) * len(chosen))


def _not_partners(one: Candidate, wanted: Wanted) -> bool:
    return wanted.couple is Couple.TOGETHER and one.group_id not in wanted.partner_groups


def _reasons(chosen: Sequence[Candidate], days: int, minutes: int, wanted: Wanted) -> Iterable[str]:
    yield f"{days} of {wanted.plan.days} days and {_hours(minutes)} of {wanted.plan.hours} hours of the plan."
    if wanted.person.availability.windows or wanted.person.availability.blackouts:
        yield "Every meeting is at a time that suits."
    common = sorted(wanted.challenges & frozenset().union(*(each.challenges for each in chosen)))
    if common:
        yield f"Shares with the cohort: {', '.join(each.replace('_', ' ') for each in common)}."
    if wanted.couple is Couple.TOGETHER:
        shared = sum(each.group_id in wanted.partner_groups for each in chosen)
        yield "The partner is in it already." if shared == len(chosen) else "There is a seat for the partner too."
    if wanted.couple is Couple.APART:
        yield "The partner is in none of these groups."


def _hours(minutes: int) -> str:
    return f"{minutes / HOUR:.1f}".removesuffix(".0")
