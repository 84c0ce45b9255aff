"""When more care is proposed: symptoms that rose and stayed up, or calls for help that repeat (data/step_up.yaml)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from haven_intake.domain.levels import Level


@dataclass(frozen=True, slots=True)
class Rise:
    """What counts as a rise of one instrument's total."""

    rule_id: str
    change: int
    at_least: int
    source: str
    lowest_of: timedelta
    apart: timedelta
    within: timedelta


@dataclass(frozen=True, slots=True)
class Repeated:
    """How many alerts, within how long, are too many."""

    rule_id: str
    count: int
    within: timedelta
    source: str


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that speaks for more care."""

    rises: dict[str, Rise]
    """By instrument."""
    repeated: Repeated
    again_after: timedelta


@dataclass(frozen=True, slots=True)
class Risen:
    """From where to where a total rose."""

    lowest: int
    now: int


def risen(rule: Rise, totals: Sequence[tuple[datetime, int]]) -> Risen | None:
    """Whether the totals, each with its time, rose by the rule; in any order. None: not, or it is too early to say."""
    ordered = sorted(totals)
    if not ordered:
        return None
    last_at, last = ordered[-1]
    earlier = [(at, total) for at, total in ordered if last_at - rule.within <= at <= last_at - rule.apart]
    if not earlier:
        return None
    before_at, before = earlier[-1]
    lowest = min((total for at, total in ordered if last_at - rule.lowest_of <= at < before_at), default=None)
    if lowest is None or last < rule.at_least or min(last, before) < lowest + rule.change:
        return None
    return Risen(lowest, last)


def next_level(levels: Sequence[Level], current: str, offered: frozenset[str]) -> Level | None:
    """The next level of more care: one that the program gives, or else the next there is. None at the last one."""
    here = next((each for each in levels if each.id == current), None)
    more = sorted((each for each in levels if here and each.order > here.order), key=lambda each: each.order)
    return next((each for each in more if each.id in offered), more[0] if more else None)
