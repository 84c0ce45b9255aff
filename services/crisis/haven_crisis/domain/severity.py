"""How severe an alert is, by rules that are data (data/severity.yaml)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """Numbers of haven.crisis.v1.Severity, and of SignalLevel."""

    ELEVATED = 1
    HIGH = 2
    IMMEDIATE = 3


@dataclass(frozen=True, slots=True)
class SeverityRule:
    """One rule: signals of these sources, sent with at least this level, have this severity."""

    rule_id: str
    version: str
    source: str
    """Where the rule comes from."""
    signals: frozenset[str]
    severity: Severity
    level: int = 0
    """The least level it needs; 0: it fits whatever level was given."""

    def fits(self, signal: str, level: int) -> bool:
        """Whether the rule says something of a signal of this source and level."""
        return signal in self.signals and level >= self.level


NEVER = 2**31 - 1
"""More signals than an alert has."""


@dataclass(frozen=True, slots=True)
class SeverityRules:
    """Where a signal starts, and how many signals of one alert make it immediate."""

    rules: Sequence[SeverityRule]
    repeated: int
    """How many signals make an alert immediate."""
    repeating: frozenset[str]
    """By signals of which sources."""

    def makes_immediate(self, signal: str) -> int:
        """With how many signals an alert is immediate when one of this source joins."""
        return self.repeated if signal in self.repeating else NEVER

    def of(self, signal: str, level: int = 0) -> Severity:
        """The severity of one signal. Where no rule fits it counts as high: the rules may not lose a call."""
        return max((each.severity for each in self.rules if each.fits(signal, level)), default=Severity.HIGH)
