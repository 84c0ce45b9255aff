"""The facts kept in `data/`: severity rules and help lines. Read once at start."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache, lru_cache
from typing import Any

from haven.crisis.v1 import alerts_pb2
from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis.domain.closing import ClosingRules
from haven_crisis.domain.severity import Severity, SeverityRule, SeverityRules
from haven_kit import words
from haven_kit.facts import read

PLACES = 1024
"""How many places lines are kept for: a region is what somebody wrote."""


def load() -> None:
    """Read all files: a bad one ends the start, and no call for help waits for a disk."""
    severity_rules()
    closing_rules()
    help_lines()
    at_risk_after_alert()


@cache
def severity_rules() -> SeverityRules:
    """How severe a signal is where nobody has judged it yet."""
    data = read("haven_crisis", "severity.yaml")
    rules = [
        SeverityRule(
            rule_id=each["id"],
            version=each["version"],
            source=each["source"],
            signals=frozenset(each["signals"]),
            severity=Severity[each["severity"].upper()],
            level=Severity[each["level"].upper()] if "level" in each else 0,
        )
        for each in data["rules"]
    ]
    repetition = data["repetition"]
    return SeverityRules(rules, repetition["signals"], frozenset(repetition["of"]))


@cache
def closing_rules() -> ClosingRules:
    """When a second clinician signs, and how long what is due after closing may take."""
    data = read("haven_crisis", "closing.yaml")
    second = data["second_clinician"]
    return ClosingRules(
        severity=Severity[second["severity"].upper()],
        risk_levels=frozenset(words.number(alerts_pb2.RiskLevel, each) for each in second["risk_levels"]),
        dispositions=frozenset(words.number(alerts_pb2.Disposition, each) for each in second["dispositions"]),
        sign_within=timedelta(hours=data["co_sign_within_hours"]),
        answer_within=timedelta(hours=data["answer_within_hours"]),
        debrief_within=timedelta(hours=data["debrief_within_hours"]),
        break_glass_within=timedelta(hours=data["break_glass_review_within_hours"]),
    )


@cache
def at_risk_after_alert() -> timedelta:
    """How long after an alert was closed a person still counts as at risk."""
    return timedelta(days=read("haven_crisis", "at_risk.yaml")["days_after_alert"])


def source_name(source: int) -> str:
    """A SignalSource as the rules and timelines name it: `help_button`."""
    return words.word(pb.SignalSource, source)


@lru_cache(PLACES)
def help_lines(country: str = "", region: str = "") -> tuple[pb.HelpLine, ...]:
    """Whom a responder calls where somebody is (ISO 3166-1 alpha-2; ISO 3166-2 without the country): the emergency
    service, then crisis lines, those of the region first. Without a country, as the person is shown them.
    """
    if not country:
        return lines_for_person()
    data = _numbers()
    return (_emergency(country), *(pb.HelpLine(**each) for each in _crisis(data["crisis"], country, region)))


@lru_cache(PLACES)
def lines_for_person(country: str = "", region: str = "") -> tuple[pb.HelpLine, ...]:
    """Whom a person can reach where they are: crisis lines first, then the emergency service. Those of the program's
    own country where no place is known.
    """
    data = _numbers()
    place = country or data["home_country"]
    return (*(pb.HelpLine(**each) for each in _crisis(data["crisis"], place, region)), _emergency(place))


@cache
def _numbers() -> Mapping[str, Any]:
    return read("haven_crisis", "help_lines.yaml")


def _emergency(country: str) -> pb.HelpLine:
    emergency = _numbers()["emergency"]
    number = emergency["countries"].get(country, emergency["default"])
    return pb.HelpLine(name=emergency["name"], number=number, how=emergency["how"])


def _crisis(lines: Mapping[str, list[dict[str, str]]], country: str, region: str) -> list[dict[str, str]]:
    return [*lines.get(f"{country}-{region}", []), *lines.get(country, [])]
