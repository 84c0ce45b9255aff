"""Background loops, each safe on many replicas."""

from __future__ import annotations

from datetime import timedelta

from haven_crisis import auditor, late
from haven_crisis.auditor import Auditor
from haven_crisis.deliveries import Deliveries
from haven_crisis.escalator import Escalator
from haven_crisis.keeping.keeping import Keeping
from haven_crisis.late import LateReviews
from haven_crisis.pager import Pager
from haven_kit.workers import Worker

_SWEEP = timedelta(seconds=1)


def workers(
    pager: Pager, escalator: Escalator, watch: Auditor, deliveries: Deliveries, keeping: Keeping, reviews: LateReviews
) -> tuple[Worker, ...]:
    """The loops of the service."""
    return (
        Worker("pages", pager.sweep, every=_SWEEP, wake="pages"),
        Worker("escalations", escalator.escalate, every=_SWEEP, wake="escalations"),
        Worker("follow-ups", escalator.miss_follow_up, every=_SWEEP, wake="follow-ups"),
        Worker("on-call", watch.refresh, every=timedelta(seconds=5), wake="on-call"),
        Worker("reviews", reviews.look, every=late.EVERY, wake="reviews"),
        Worker("auditor", watch.look, every=auditor.EVERY),
        Worker("deliveries", deliveries.step, every=_SWEEP, wake="deliveries"),
        Worker("keeping", keeping.step, every=_SWEEP, wake="keeping"),
    )
