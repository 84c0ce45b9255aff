"""A case: one alert as it runs while there is no record of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum

from pydantic import TypeAdapter

from haven_crisis.domain.signals import Signal
from haven_crisis.store.pages import PageState


class Kept(IntEnum):
    """Numbers of haven.crisis.v1.Kept."""

    DATABASE = 1
    STREAM = 2
    JOURNAL = 3
    NOWHERE = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """Who called, as the access history will tell the person."""

    principal_id: str
    service: str = ""
    role: str = ""
    action: str = ""
    seen_as: str = ""
    person_id: str = ""
    """Their own record's, where they have one."""
    unverified: bool = False
    """Whether they are linked with the person could not be looked up; the record will say."""


@dataclass(frozen=True, slots=True)
class KeptSignal:
    """One call for help, with all that accepting it had decided."""

    signal: Signal
    asked: Asked
    at: datetime
    """When it was accepted."""
    entry_id: str
    severity: int
    drill: bool
    stage: int
    deadline: datetime
    traceparent: str = ""

    def renamed(self, signal_id: str) -> KeptSignal:
        """The same call under another id."""
        return replace(self, signal=replace(self.signal, signal_id=signal_id))


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Who sent a signal, or whom it is about, said that it was a mistake."""

    signal_id: str
    asked: Asked
    at: datetime
    by_person: bool
    """The person's own word, and nobody else's."""
    note: str = ""


@dataclass(slots=True)
class KeptPage:
    """One page and how it went."""

    page_id: str
    responder_id: str
    place: int
    channel: str
    stage: int
    created_at: datetime
    due_at: datetime
    attempt: int = 1
    resent: bool = False
    state: PageState = PageState.QUEUED
    lease_until: datetime | None = None
    ended_at: datetime | None = None
    failure: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Escalated:
    """A deadline passed: on to `stage`."""

    at: datetime
    stage: int
    deadline: datetime
    last_resort: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A responder took it."""

    at: datetime
    responder_id: str
    channel: str = ""
    """By which they said so: `link`, `voice`, `push`."""


@dataclass(slots=True)
class Case:
    """One alert without a record. Only its owner pages for it."""

    case_id: str
    alert_id: str
    person_id: str
    drill: bool
    severity: int
    raised_at: datetime
    owner: str
    """The replica that pages for it."""
    stage: int
    deadline: datetime
    signals: list[KeptSignal] = field(default_factory=list)
    """Empty for an alert that the record had, and that nobody had answered when the database went away."""
    pages: list[KeptPage] = field(default_factory=list)
    escalated: list[Escalated] = field(default_factory=list)
    acknowledged: Acknowledged | None = None
    withdrawn: list[Withdrawn] = field(default_factory=list)
    traceparent: str = ""
    turn: int | None = None
    """Of the round robins, where the alert had taken one in the record."""

    @property
    def untouched(self) -> bool:
        """Whether this is the claim to an alert of the record for which nothing was done yet: there is nothing to write
        into the record."""
        return not (self.signals or self.pages or self.escalated or self.acknowledged or self.withdrawn)

    def due_at(self) -> datetime:
        """When the owner has to act next: a page that should have gone out or ended, or the next step."""
        if self.acknowledged:
            return self.deadline
        waiting = [each.lease_until or each.due_at for each in self.pages if each.state in OPEN]
        return min([self.deadline, *waiting])

    def open_pages(self) -> Iterator[KeptPage]:
        """Pages that have not ended."""
        return (each for each in self.pages if each.state in OPEN)

    def page(self, page_id: str) -> KeptPage | None:
        """The page of that id, where it is one of these."""
        return next((each for each in self.pages if each.page_id == page_id), None)

    def has(self, signal_id: str) -> KeptSignal | None:
        """The signal of that id, where it is one of these."""
        return next((each for each in self.signals if each.signal.signal_id == signal_id), None)

    def takes_back(self, withdrawn: Withdrawn) -> bool:
        """Whether the same was said before."""
        return any(replace(each, at=withdrawn.at) == withdrawn for each in self.withdrawn)

    def take(self, acknowledged: Acknowledged, deadline: datetime) -> None:
        """A responder has it: no page begins any more."""
        self.acknowledged, self.deadline = acknowledged, deadline
        for each in self.pages:
            if each.state is PageState.QUEUED:
                each.state = PageState.NOT_NEEDED


def merge(mine: Case, theirs: Case) -> None:
    """Add to a case what another replica has written into it: that somebody took it, more signals, or that one
    was a mistake; and, where that one went on with it, pages."""
    if theirs.acknowledged and not mine.acknowledged:
        mine.take(theirs.acknowledged, theirs.deadline)
    mine.signals += [each for each in theirs.signals if mine.has(each.signal.signal_id) is None]
    mine.severity = max(mine.severity, theirs.severity)
    mine.withdrawn += [each for each in theirs.withdrawn if not mine.takes_back(each)]
    mine.pages += [each for each in theirs.pages if mine.page(each.page_id) is None]


OPEN = frozenset({PageState.QUEUED, PageState.SENDING})
_CASE: TypeAdapter[Case] = TypeAdapter(Case)


def dump(case: Case) -> bytes:
    """The case as bytes, to be sealed: it holds what was written with a signal."""
    return _CASE.dump_json(case)


def load(plain: bytes) -> Case:
    """The case in what `dump` made, of this release or another. Raises ValueError."""
    return _CASE.validate_json(plain)
