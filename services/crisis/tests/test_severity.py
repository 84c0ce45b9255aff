"""How severe a signal is: every rule, and a table of what follows from all of them."""

from __future__ import annotations

import pytest
from haven.crisis.v1 import signals_pb2

from haven_crisis import facts
from haven_crisis.domain.severity import Severity, SeverityRules
from haven_crisis.facts import severity_rules

SOURCES = {facts.source_name(number) for number in signals_pb2.SignalSource.values() if number}
TABLE = {
    # source: severity without a level, and with "elevated", "high", "immediate"
    "help_button": "high high high high",
    "facilitator": "high high high immediate",
    "clinician": "high high high immediate",
    "screening": "high high high immediate",
    "check_in_trend": "elevated elevated high immediate",
    "no_show": "elevated elevated high immediate",
    "partner_or_family": "high high high immediate",
    "integrated_system": "high high high immediate",
    "follow_up_missed": "high high high high",
    "drill": "high high high high",
}


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_what_follows_from_the_rules(source: str) -> None:
    found = [severity_rules().of(source, level).name.lower() for level in range(4)]
    assert found == TABLE[source].split()


def test_each_rule_is_named_once_with_source_and_version_and_speaks_of_signals_that_there_are() -> None:
    rules = severity_rules().rules
    assert len({each.rule_id for each in rules}) == len(rules)
    for each in rules:
        assert each.version
        assert len(each.source) > 20, each.rule_id
        assert each.signals
        assert each.signals <= SOURCES, each.rule_id


def test_what_repeats_by_itself_is_no_more_severe_for_it() -> None:
    rules = severity_rules()
    assert rules.repeating <= SOURCES
    assert {each for each in SOURCES if rules.makes_immediate(each) == 3} == rules.repeating
    assert not rules.repeating & {"integrated_system", "check_in_trend", "no_show", "follow_up_missed"}


def test_levels_and_severities_have_the_same_numbers() -> None:
    assert {each.name: int(each) for each in Severity} == {
        name.removeprefix("SIGNAL_LEVEL_"): number for name, number in signals_pb2.SignalLevel.items() if number
    }


def test_what_no_rule_speaks_of_is_high_rather_than_lost() -> None:
    assert SeverityRules((), 3, frozenset()).of("something new") is Severity.HIGH
