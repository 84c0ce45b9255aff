"""What the service can find wrong with itself. Each has a runbook of its name in docs/operate/runbooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from haven_crisis import metrics
from haven_kit import logs

_log = logs.get(__name__)


class Finding(StrEnum):
    """The label of `haven_crisis_audit_findings`."""

    LATE_ALERTS = "late_alerts"
    """An open alert whose deadline passed, and nothing was done."""
    STUCK_PAGES = "stuck_pages"
    """A page that should be on its way and is not."""
    LATE_FOLLOW_UPS = "late_follow_ups"
    """A follow-up that was due, and neither recorded nor raised as an alert."""
    LATE_REVIEWS = "late_reviews"
    """A co-signature, an answer or a debrief that is late."""
    UNREVIEWED_BREAK_GLASS = "unreviewed_break_glass"
    """Emergency access that nobody reviewed in time."""
    BROKEN_TIMELINES = "broken_timelines"
    """A timeline that was changed, or does not give its alert."""
    FAILED_DRILL = "failed_drill"
    """The last synthetic drill was not paged in time."""
    STUCK_LOOPS = "stuck_loops"
    """A background loop of this replica does not turn."""
    ON_CALL_PROBLEMS = "on_call_problems"
    """A signal might reach nobody: a gap, a responder who cannot be reached, no policy, no last resort."""


URGENT: Mapping[Finding, int] = {
    Finding.STUCK_PAGES: 2,
    Finding.LATE_FOLLOW_UPS: 2,
    Finding.BROKEN_TIMELINES: 1,
    Finding.FAILED_DRILL: 1,
    Finding.STUCK_LOOPS: 1,
}
"""Those for which the last resort is told, after how many looks in a row: a clock that was set forward makes much look
late for a moment. For late alerts the auditor pages it anyway, about each."""


class Board:
    """What this replica found at its last look."""

    def __init__(self) -> None:
        self._looks: Counter[Finding] = Counter()
        """For how many looks in a row it was there."""

    def put(self, finding: Finding, count: int) -> None:
        """Note how many there are; 0 for none."""
        self._looks[finding] = self._looks[finding] + 1 if count else 0
        metrics.FINDINGS.labels(finding.value).set(count)
        if count:
            _log.error("auditor.found", finding=finding.value, count=count)

    def urgent(self) -> list[Finding]:
        """What somebody has to be told."""
        return [finding for finding, looks in URGENT.items() if self._looks[finding] >= looks]
