"""What closing an alert asks of the team, by rules that are data (data/closing.yaml)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from haven_crisis.domain.alerts import Entry
from haven_crisis.domain.severity import Severity


@dataclass(frozen=True, slots=True)
class ClosingRules:
    """When a second clinician signs and a debrief is held, and how long each may take."""

    severity: Severity
    """From which severity on, at any moment of the alert: lowering it shortly before closing spares nothing."""
    risk_levels: frozenset[int]
    """RiskLevel numbers that ask for it whatever the severity was."""
    dispositions: frozenset[int]
    """Disposition numbers likewise."""
    sign_within: timedelta
    answer_within: timedelta
    """For whoever closed the alert, once a co-signature was declined."""
    debrief_within: timedelta
    break_glass_within: timedelta
    """For the review of an emergency opening of a record."""

    def needs_second(self, entries: Iterable[Entry], disposition: int, risk_level: int) -> bool:
        """Whether the closing of the alert with this timeline needs a second clinician, and a debrief."""
        return worst(entries) >= self.severity or risk_level in self.risk_levels or disposition in self.dispositions


def worst(entries: Iterable[Entry]) -> Severity:
    """The highest severity that a timeline ever had."""
    return max(Severity(int(each.facts["severity"])) for each in entries if "severity" in each.facts)
