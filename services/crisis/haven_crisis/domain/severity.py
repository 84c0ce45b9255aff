"""How severe an alert is, by rules that are data (data/severity.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """Numbers of haven.crisis.v1.Severity."""

    ELEVATED = 1
    HIGH = 2
    IMMEDIATE = 3


@dataclass(frozen=True, slots=True)
class SeverityRules:
    """Where a signal starts, and how many signals of one alert make it immediate."""

    by_source: Mapping[str, Severity]
    signals_make_immediate: int

    def of(self, source: str) -> Severity:
        """The severity of one signal. A source without a rule counts as high: the rules may not lose a call."""
        return self.by_source.get(source, Severity.HIGH)
