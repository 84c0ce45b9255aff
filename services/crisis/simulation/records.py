"""The records of the crisis path on the model of the server."""

from __future__ import annotations

from collections.abc import Callable

from haven_crisis.records import Records
from simulation.alerts import Alerts, FollowUps
from simulation.pages import Pages
from simulation.signals import Signals


def records(version: Callable[[], int]) -> Records:
    """All records on the model; `version` is that of the on-call plan."""
    return Records(Signals(version), Alerts(), Pages(), FollowUps())
