"""What the crisis service measures about itself."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600)

SIGNALS: Final = Counter("haven_crisis_signals_total", "Signals accepted.", ("source", "duplicate"))
INBOUND: Final = Counter(
    "haven_crisis_inbound_total", "Messages of integrated systems, by what became of them.", ("result",)
)
INBOUND_FLOODS: Final = Counter(
    "haven_crisis_inbound_floods_total", "Times that a system began to send very many signals."
)
PAGES: Final = Counter("haven_crisis_pages_total", "Pages by how they went.", ("channel", "outcome"))
IN_FLIGHT: Final = Gauge("haven_crisis_signals_in_flight", "Signals that are being accepted now.")
TO_DURABLE: Final = Histogram(
    "haven_crisis_signal_to_durable_seconds",
    "From a signal to its being durable, by where it was kept.",
    ("road", "severity", "drill"),
    buckets=_SECONDS,
)
TO_PAGE: Final = Histogram(
    "haven_crisis_alert_to_page_seconds",
    "From an alert to the first page that a provider took.",
    ("severity", "drill"),
    buckets=_SECONDS,
)
TO_ACKNOWLEDGED: Final = Histogram(
    "haven_crisis_alert_to_acknowledged_seconds",
    "From an alert to its acknowledgement.",
    ("severity", "drill"),
    buckets=_SECONDS,
)
TO_CONTACT: Final = Histogram(
    "haven_crisis_alert_to_contact_seconds", "From an alert to contact.", ("severity", "drill"), buckets=_SECONDS
)
OBJECTIVE_S: Final = 2.0
"""The service level objective: a provider has the first page within so many seconds of the signal."""
OBJECTIVE_TOTAL: Final = Counter(
    "haven_crisis_first_page_total", "Alerts that were raised and are no drills: the error budget's total."
)
OBJECTIVE_GOOD: Final = Counter(
    "haven_crisis_first_page_in_time_total", "Those of them whose first page a provider took within two seconds."
)
OLDEST_PAGE: Final = Gauge(
    "haven_crisis_oldest_page_seconds", "How long the page that waits longest has been due; 0 for none."
)
GAPS: Final = Gauge(
    "haven_crisis_on_call_gaps", "Stretches of the next 90 days in which a rotation has nobody who is there."
)
NEXT_GAP: Final = Gauge(
    "haven_crisis_on_call_next_gap_seconds", "Until the first of them begins; 90 days where there is none."
)
DRILLS: Final = Counter("haven_crisis_drills_total", "Synthetic drills by how they went.", ("outcome",))
DRILL_SECONDS: Final = Histogram(
    "haven_crisis_drill_seconds", "From a synthetic drill's signal to a provider that took its page.", buckets=_SECONDS
)
DRILL_LAST: Final = Gauge("haven_crisis_drill_last_good_timestamp_seconds", "When a synthetic drill last went well.")
HEARTBEATS: Final = Counter("haven_crisis_heartbeats_total", "Signs of life to the outside.", ("outcome",))
TOLD: Final = Counter(
    "haven_crisis_findings_told_total", "Findings that the last resort was told.", ("finding", "outcome")
)
ESCALATIONS: Final = Counter("haven_crisis_escalations_total", "Deadlines that passed.", ("reason",))
BREAK_GLASS: Final = Counter("haven_crisis_break_glass_total", "Records opened in an emergency.")
BREAK_GLASS_TOLD: Final = Counter(
    "haven_crisis_break_glass_told_total", "Times that the privacy reviewer was told of one.", ("outcome",)
)
FINDINGS: Final = Gauge("haven_crisis_audit_findings", "What the auditor found at its last look.", ("finding",))
PROBLEMS: Final = Gauge("haven_crisis_on_call_problems", "Reasons why a signal might reach nobody.")
KEPT: Final = Counter("haven_crisis_kept_signals_total", "Signals kept while the database was away.", ("road",))
KEPT_OPEN: Final = Gauge("haven_crisis_kept_cases", "Cases that are not in the record yet, as this replica knows.")
KEPT_FAILURES: Final = Counter("haven_crisis_kept_failures_total", "Attempts to complete the record that failed.")
