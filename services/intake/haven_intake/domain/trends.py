"""When a person's check-ins, day by day, have become worse than they are for that person (data/check_in_trend.yaml)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
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
