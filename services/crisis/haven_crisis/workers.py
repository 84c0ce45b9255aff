"""Background loops, each safe on many replicas. Those that watch them are in `watching`."""

from __future__ import annotations

from datetime import timedelta

from haven_crisis.away import Calendars
from haven_crisis.deliveries import Deliveries
from haven_crisis.escalator import Escalator
from haven_crisis.keeping.keeping import Keeping
from haven_crisis.pager import Pager
from haven_crisis.systems import EVERY as SYSTEMS_EVERY
from haven_crisis.systems import Systems
from haven_kit.workers import Worker

_SWEEP = timedelta(seconds=1)


def workers(
    pager: Pager,
    escalator: Escalator,
    deliveries: Deliveries,
    keeping: Keeping,
    systems: Systems,
    calendars: Calendars,
) -> tuple[Worker, ...]:
    """The loops that do the work."""
    return (
        Worker("pages", keeping.first(pager.sweep), every=_SWEEP, wake="pages"),
        Worker("gathered", keeping.first(pager.gather), every=_SWEEP, wake="gathered"),
        Worker("escalations", keeping.first(escalator.escalate), every=_SWEEP, wake="escalations"),
        Worker("follow-ups", escalator.miss_follow_up, every=_SWEEP, wake="follow-ups"),
        Worker("deliveries", deliveries.step, every=_SWEEP, wake="deliveries"),
        Worker("keeping", keeping.step, every=_SWEEP, wake="keeping"),
        Worker("calendars", calendars.step, every=timedelta(minutes=1)),
        Worker("systems", systems.step, every=SYSTEMS_EVERY),
    )
