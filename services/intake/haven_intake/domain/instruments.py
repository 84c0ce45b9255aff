"""Scoring of standard instruments by their published rules. The rules themselves are data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


@dataclass(frozen=True, slots=True)
class Option:
    """One answer an item takes."""

    value: int
    label: str


@dataclass(frozen=True, slots=True)
class Item:
    """One item. It is asked always, or when one of `asked_when_positive` was answered above 0."""

    id: str
    label: str
    loinc: str
    asked_when_positive: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Band:
    """A range of totals, both ends included."""

    low: int
    high: int
    severity: str


@dataclass(frozen=True, slots=True)
class Level:
    """A risk level of a triage: reached when one of its items is positive; the one without items is what remains."""

    severity: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subscale:
    """Items summed apart. As a symptom cluster it is met when `needs` of them reach `symptom_at`."""

    name: str
    items: tuple[str, ...]
    needs: int
    symptom_at: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What the published rules say of a score: when the total is at least `value`, or when all clusters are met."""

    when: Literal["at_least", "clusters"]
    text: str
    value: int = 0


class Urgency(IntEnum):
    """How soon somebody is needed. Names are those of haven.crisis.v1.SignalLevel."""

    HIGH = 2
    IMMEDIATE = 3


@dataclass(frozen=True, slots=True)
class Concern:
    """An answer of at least this value calls for help now; `level` says how soon."""

    at_least: int
    level: Urgency


@dataclass(frozen=True, slots=True)
class Instrument:
    """A set of items with published scoring."""

    id: str
    name: str
    version: str
    loinc: str
    about: str
    sources: tuple[str, ...]
    options: tuple[Option, ...]
    items: tuple[Item, ...]
    scoring: Literal["sum", "triage"]
    bands: tuple[Band, ...] = ()
    triage: tuple[Level, ...] = ()
    subscales: tuple[Subscale, ...] = ()
    findings: tuple[Finding, ...] = ()
    concern: Mapping[str, Concern] | None = None
    """Items of which an answer can call for help now."""


@dataclass(frozen=True, slots=True)
class Score:
    """The outcome. `subscales` are name and sum."""

    total: int
    severity: str
    subscales: tuple[tuple[str, int], ...] = ()
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that cannot be used, and the rule it breaks."""

    item_id: str
    rule: Literal["unknown_item", "out_of_range", "twice"]
    message: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answers that can be used, and what is wrong with the others."""

    answers: dict[str, int]
    problems: tuple[Problem, ...]


def accept(instrument: Instrument, given: Sequence[tuple[str, int]]) -> Accepted:
    """Sort answers into usable and not. Of two to one item the higher is kept, so that no call for help is lost."""
    known = {item.id for item in instrument.items}
    values = {option.value for option in instrument.options}
    answers: dict[str, int] = {}
    problems: list[Problem] = []
    for item_id, value in given:
        if item_id not in known:
            problems.append(Problem(item_id, "unknown_item", "This instrument has no such item."))
        elif value not in values:
            allowed = f"{min(values)} to {max(values)}"
            problems.append(Problem(item_id, "out_of_range", f"Answers to this item go from {allowed}."))
        else:
            if item_id in answers:
                problems.append(Problem(item_id, "twice", "This item was answered twice; the higher answer was kept."))
            answers[item_id] = max(value, answers.get(item_id, value))
    return Accepted(answers, tuple(problems))


def missing(instrument: Instrument, answers: Mapping[str, int]) -> tuple[str, ...]:
    """Items still to answer, in order. An item that a negative answer makes needless is not missing."""
    return tuple(item.id for item in instrument.items if item.id not in answers and _asked(item, answers))


def _asked(item: Item, answers: Mapping[str, int]) -> bool:
    return not item.asked_when_positive or any(answers.get(each, 0) > 0 for each in item.asked_when_positive)


def concerns(instrument: Instrument, given: Sequence[tuple[str, int]]) -> frozenset[str]:
    """Items whose answer calls for help now, whatever else is unanswered or wrong. A value above the range counts."""
    thresholds = instrument.concern or {}
    return frozenset(
        item_id for item_id, value in given if item_id in thresholds and value >= thresholds[item_id].at_least
    )


def urgency(instrument: Instrument, items: Iterable[str]) -> Urgency:
    """How soon somebody is needed for answers to these items, each of which is a concern."""
    thresholds = instrument.concern or {}
    return max((thresholds[each].level for each in items), default=Urgency.HIGH)


def score(instrument: Instrument, answers: Mapping[str, int]) -> Score:
    """The score of complete answers. Raises ValueError that names the missing items."""
    left = missing(instrument, answers)
    if left:
        raise ValueError(f"not answered: {', '.join(left)}")
    total = sum(answers.values())
    return Score(
        total=total,
        severity=_triage(instrument, answers) if instrument.scoring == "triage" else _band(instrument, total),
        subscales=tuple((each.name, _sum(each, answers)) for each in instrument.subscales),
        findings=tuple(each.text for each in instrument.findings if _found(instrument, each, answers, total)),
    )


def _band(instrument: Instrument, total: int) -> str:
    return next(band.severity for band in instrument.bands if band.low <= total <= band.high)


def _triage(instrument: Instrument, answers: Mapping[str, int]) -> str:
    return next(
        level.severity
        for level in instrument.triage
        if not level.items or any(answers.get(item, 0) > 0 for item in level.items)
    )


def _sum(subscale: Subscale, answers: Mapping[str, int]) -> int:
    return sum(answers[item] for item in subscale.items)


def _found(instrument: Instrument, finding: Finding, answers: Mapping[str, int], total: int) -> bool:
    if finding.when == "at_least":
        return total >= finding.value
    return all(
        sum(answers[item] >= each.symptom_at for item in each.items) >= each.needs for each in instrument.subscales
    )
