"""What the crisis service measures about itself."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600)

SIGNALS: Final = Counter("haven_crisis_signals_total", "Signals accepted.", ("source", "duplicate"))
PAGES: Final = Counter("haven_crisis_pages_total", "Pages by how they went.", ("channel", "outcome"))
TO_PAGE: Final = Histogram(
    "haven_crisis_alert_to_page_seconds", "From an alert to each accepted page of its first stage.", buckets=_SECONDS
)
TO_ACKNOWLEDGED: Final = Histogram(
    "haven_crisis_alert_to_acknowledged_seconds", "From an alert to its acknowledgement.", buckets=_SECONDS
)
TO_CONTACT: Final = Histogram("haven_crisis_alert_to_contact_seconds", "From an alert to contact.", buckets=_SECONDS)
ESCALATIONS: Final = Counter("haven_crisis_escalations_total", "Deadlines that passed.", ("reason",))
BREAK_GLASS: Final = Counter("haven_crisis_break_glass_total", "Records opened in an emergency.")
FINDINGS: Final = Gauge("haven_crisis_audit_findings", "What the auditor found at its last look.", ("finding",))
PROBLEMS: Final = Gauge("haven_crisis_on_call_problems", "Reasons why a signal might reach nobody.")
KEPT: Final = Counter("haven_crisis_kept_signals_total", "Signals kept while the database was away.", ("road",))
KEPT_OPEN: Final = Gauge("haven_crisis_kept_cases", "Cases that are not in the record yet, as this replica knows.")
KEPT_FAILURES: Final = Counter("haven_crisis_kept_failures_total", "Attempts to complete the record that failed.")
