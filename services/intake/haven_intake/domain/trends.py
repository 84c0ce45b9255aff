"""When what a person tells has become worse than it is for them: check-ins, day by day (data/check_in_trend.yaml), and
symptoms, from one screening to the next (data/symptom_trend.yaml)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import fmean, pstdev


@dataclass(frozen=True, slots=True)
class TrendRule:
    """How long and how far a fall is that somebody looks in for."""

    rule_id: str
    """Id and version: "check-in-trend/1"."""
    baseline_days: int
    baseline_at_least: int
    recent_days: int
    recent_within: int
    points: float
    deviations: float


@dataclass(frozen=True, slots=True)
class Worsening:
    """By how much one instrument's total is worse than the one before, for somebody to look in."""

    rule_id: str
    """Id and version: "symptom-trend/1"; the instrument is not told."""
    change: int
    at_least: int
    within: timedelta
    source: str


def by_day(answers: Iterable[tuple[date, int]]) -> dict[date, float]:
    """One number a day: the mean of the day's answers."""
    found: defaultdict[date, list[int]] = defaultdict(list)
    for day, value in answers:
        found[day].append(value)
    return {day: fmean(values) for day, values in found.items()}


def has_fallen(rule: TrendRule, days: Mapping[date, float], today: date, told_until: date | None) -> bool:
    """Whether the latest days with an answer are all well below the person's own days before.

    Days that were told of (`told_until` and earlier) are not recent any more: the same days raise nothing twice.
    """
    first = today - timedelta(days=rule.recent_within - 1)
    recent = sorted((day for day in days if first <= day <= today), reverse=True)[: rule.recent_days]
    if len(recent) < rule.recent_days or (told_until is not None and recent[-1] <= told_until):
        return False
    oldest = recent[-1] - timedelta(days=rule.baseline_days)
    baseline = [value for day, value in days.items() if oldest <= day < recent[-1]]
    if len(baseline) < rule.baseline_at_least:
        return False
    limit = fmean(baseline) - max(rule.points, rule.deviations * pstdev(baseline))
    return all(days[day] <= limit for day in recent)


def has_worsened(rule: Worsening, totals: Sequence[tuple[datetime, int]], at: datetime) -> bool:
    """Whether the total that was scored `at` is worse by the rule than the one before it.

    Totals come in any order, each with its time; later ones do not count.
    """
    known = sorted(each for each in totals if each[0] <= at)
    if len(known) < 2:
        return False
    (before_at, before), (now_at, now) = known[-2:]
    return now_at - before_at <= rule.within and now >= rule.at_least and now - before >= rule.change
