"""How long it takes from a signal to help, as metrics; drills apart from what is real.

Whoever calls again after help had come is measured anew, from that call. A replica knows the severity of the alerts
that it raised, or began to page anew. A page that another replica sends for them is counted without the error budget's
knowing: it counts against it.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

from haven_crisis import metrics
from haven_crisis.domain.alerts import Alert
from haven_crisis.domain.severity import Severity

REMEMBERED = 10_000


class Journeys:
    """Alerts that this replica raised, or began to page anew, and that no provider has a page of since. The oldest are
    forgotten."""

    def __init__(self) -> None:
        self._unpaged: OrderedDict[str, tuple[datetime, tuple[str, str]]] = OrderedDict()

    def called(self, alert_id: str, severity: int, at: datetime, *, drill: bool) -> None:
        """A call for help is about to be paged for: the first of its alert, or one after help had come."""
        self._unpaged[alert_id] = at, _labels(severity, drill)
        self._unpaged.move_to_end(alert_id)
        if len(self._unpaged) > REMEMBERED:
            self._unpaged.popitem(last=False)
        if not drill:
            metrics.OBJECTIVE_TOTAL.inc()

    def paged(self, alert_id: str, now: datetime) -> None:
        """A provider took a page. Only the first since the call counts."""
        known = self._unpaged.pop(alert_id, None)
        if known is None:
            return
        called_at, labels = known
        seconds = (now - called_at).total_seconds()
        metrics.TO_PAGE.labels(*labels).observe(seconds)
        if labels[1] == "no" and seconds <= metrics.OBJECTIVE_S:
            metrics.OBJECTIVE_GOOD.inc()


JOURNEYS = Journeys()
"""Of this process."""


def durable(road: str, severity: int, *, drill: bool, seconds: float) -> None:
    """A signal is durable."""
    metrics.TO_DURABLE.labels(road, *_labels(severity, drill)).observe(seconds)


def acknowledged(alert: Alert, called_at: datetime, now: datetime) -> None:
    """Somebody has it."""
    metrics.TO_ACKNOWLEDGED.labels(*_of(alert)).observe((now - called_at).total_seconds())


def contacted(alert: Alert, called_at: datetime, now: datetime) -> None:
    """Somebody spoke with the person, for the first time since they called."""
    metrics.TO_CONTACT.labels(*_of(alert)).observe((now - called_at).total_seconds())


def _of(alert: Alert) -> tuple[str, str]:
    return _labels(alert.severity, alert.drill)


def _labels(severity: int, drill: bool) -> tuple[str, str]:
    return Severity(severity).name.lower(), "yes" if drill else "no"
