"""Rows of the model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import asyncpg

from haven_crisis.domain.alerts import Alert, Entry
from haven_crisis.store.pages import PageState
from simulation.server import View

T = TypeVar("T")


def replace(row: T, **changes: Any) -> T:
    """As `dataclasses.replace`, which is most of what a schedule would wait for. Raises TypeError for no field."""
    kind: Any = type(row)
    names, known, values = _fields(kind)
    if not changes.keys() <= known:
        raise TypeError(f"{kind.__name__} has no {sorted(changes.keys() - known)}")
    made: T = kind(*map(changes.get, names, values(row)))
    return made


@cache
def _fields(kind: type[Any]) -> tuple[tuple[str, ...], frozenset[str], attrgetter[tuple[Any, ...]]]:
    names = tuple(each.name for each in fields(kind))
    return names, frozenset(names), attrgetter(*names)


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A row of `signal`."""

    signal_id: str
    person_id: str
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class AlertRow:
    """A row of `alert`."""

    alert: Alert
    cycle_signal_id: str
    traceparent: str
    origin: str = ""
    gathered: bool = False


@dataclass(frozen=True, slots=True)
class PageRow:
    """A row of `page`."""

    page_id: str
    alert_id: str
    cycle: int
    stage: int
    responder_id: str
    place: int
    channel: str
    attempt: int
    state: PageState
    resent: bool
    due_at: datetime
    lease_until: datetime | None
    worker: str
    traceparent: str
    created_at: datetime
    failure: str = ""
    lead: str = ""
    """The first of the pages that were one message with it; empty where it went alone."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What is unique of it."""
        return (self.alert_id, self.cycle, self.stage, self.responder_id, self.place, self.attempt)

    @property
    def open(self) -> bool:
        """Whether somebody is yet to send it, or to say how that went."""
        return self.state in (PageState.QUEUED, PageState.SENDING)


@dataclass(frozen=True, slots=True)
class FollowUpRow:
    """A row of `follow_up`."""

    follow_up_id: str
    alert_id: str
    person_id: str
    state: int
    due_at: datetime
    new_alert_id: str = ""


def write_entry(view: View, alert_id: str, seq: int, entry: Entry) -> None:
    """A new entry of a timeline, whose place must be free."""
    if not view.insert("entry", (alert_id, seq), entry):
        raise asyncpg.UniqueViolationError("timeline_pkey")
