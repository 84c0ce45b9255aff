"""The life of an alert. Its timeline is the truth: `replay` of the entries gives the alert's state.

What people do to it is in `commands`. Every open alert has a next deadline: it is what makes sure that nobody is
forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum

from haven_crisis.domain.escalation import turn_of
from haven_crisis.domain.severity import Severity


class State(IntEnum):
    """Numbers of haven.crisis.v1.AlertState."""

    RAISED = 1
    PAGED = 2
    ACKNOWLEDGED = 3
    CONTACTED = 4
    STABILISED = 5
    CLOSED = 6


class Kind(IntEnum):
    """Numbers of haven.crisis.v1.EntryKind."""

    RAISED = 1
    SIGNAL_JOINED = 2
    SIGNAL_WITHDRAWN = 3
    PAGED = 4
    PAGE_FAILED = 5
    ESCALATED = 6
    ACKNOWLEDGED = 7
    LEASE_EXPIRED = 8
    REASSIGNED = 9
    CONTACTED = 10
    STABILISED = 11
    SEVERITY_CHANGED = 12
    BREAK_GLASS = 13
    CLOSED = 14
    CONTACT_TRIED = 15
    HAND_OVER_OFFERED = 16
    HAND_OVER_ACCEPTED = 17
    HAND_OVER_DECLINED = 18
    RESPONDER_ADDED = 19
    OBSERVER_JOINED = 20
    OBSERVER_LEFT = 21
    LEASE_RENEWED = 22
    CO_SIGNED = 23
    CO_SIGNATURE_DECLINED = 24
    CLOSING_AMENDED = 25
    DEBRIEFED = 26
    FOLLOWED_UP = 27


class CoSignature(IntEnum):
    """Numbers of haven.crisis.v1.CoSignature."""

    UNSPECIFIED = 0
    AWAITED = 1
    DECLINED = 2
    GIVEN = 3


UNANSWERED = frozenset({State.RAISED, State.PAGED})
"""States in which people are paged."""
ANSWERED = frozenset({State.ACKNOWLEDGED, State.CONTACTED, State.STABILISED})
"""States in which one responder has it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a responder has."""

    lease: timedelta
    """From the acknowledgement to contact."""
    close_within: timedelta
    """From contact, or from stabilising, to closing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `facts` hold ids, numbers, states and times, never health information."""

    kind: Kind
    at: datetime
    actor: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as its timeline says it is."""

    alert_id: str
    person_id: str
    drill: bool
    state: State
    severity: Severity
    raised_at: datetime
    next_deadline: datetime | None
    stage: int = 0
    cycle: int = 0
    """How often paging began anew. Pages of an earlier cycle are moot."""
    seq: int = 1
    session_id: str = ""
    facilitator_id: str = ""
    responder_id: str = ""
    acknowledged_at: datetime | None = None
    contacted_at: datetime | None = None
    closed_at: datetime | None = None
    follow_up_id: str = ""
    withdrawn: bool = False
    signals: int = 1
    offered_to: str = ""
    """Who was asked to take it over and has not answered yet."""
    observers: tuple[str, ...] = ()
    lease_renewed: bool = False
    co_signature: CoSignature = CoSignature.UNSPECIFIED
    turn: int = 0
    """Where the round robins that it goes through begin."""


def replay(alert_id: str, person_id: str, entries: Iterable[Entry]) -> Alert:
    """The alert whose timeline this is. Raises ValueError where the first entry does not raise it."""
    alert: Alert | None = None
    for entry in entries:
        alert = _raised(alert_id, person_id, entry) if alert is None else apply(alert, entry)
    if alert is None:
        raise ValueError("an empty timeline")
    return alert


def _raised(alert_id: str, person_id: str, entry: Entry) -> Alert:
    if entry.kind is not Kind.RAISED:
        raise ValueError("a timeline begins with the signal that raised the alert")
    facts = entry.facts
    return Alert(
        alert_id=alert_id,
        person_id=person_id,
        drill=facts["drill"] == "true",
        state=State.RAISED,
        severity=Severity(int(facts["severity"])),
        raised_at=entry.at,
        next_deadline=_deadline(facts),
        stage=int(facts["stage"]),
        session_id=facts["session_id"],
        facilitator_id=facts["facilitator_id"],
        turn=turn_of(alert_id, int(facts["turn"]) if "turn" in facts else None),
    )


def apply(alert: Alert, entry: Entry) -> Alert:
    """The alert after one more entry."""
    facts = entry.facts
    after = replace(alert, seq=alert.seq + 1)
    if entry.kind in _PAGING:
        return _paged(after, entry)
    if entry.kind in _HELPING:
        return _helped(replace(after, next_deadline=_deadline(facts)), entry)
    if entry.kind in _CO_SIGNATURES:
        return replace(after, co_signature=_CO_SIGNATURES[entry.kind])
    if entry.kind in _TOLD:
        return _TOLD[entry.kind](after, entry)
    if entry.kind is Kind.RAISED:
        raise ValueError("an alert is raised once")
    return after


_PAGING = frozenset({Kind.PAGED, Kind.ESCALATED, Kind.LEASE_EXPIRED, Kind.REASSIGNED})
_HELPING = frozenset(
    {
        Kind.ACKNOWLEDGED,
        Kind.LEASE_RENEWED,
        Kind.HAND_OVER_ACCEPTED,
        Kind.CONTACT_TRIED,
        Kind.CONTACTED,
        Kind.STABILISED,
    }
)
_CO_SIGNATURES = {
    Kind.CO_SIGNED: CoSignature.GIVEN,
    Kind.CO_SIGNATURE_DECLINED: CoSignature.DECLINED,
    Kind.CLOSING_AMENDED: CoSignature.AWAITED,
}


def _paged(after: Alert, entry: Entry) -> Alert:
    facts = entry.facts
    if entry.kind is Kind.PAGED:
        current = after.state is State.RAISED and facts["cycle"] == str(after.cycle)
        return replace(after, state=State.PAGED) if current else after
    if entry.kind is Kind.ESCALATED:
        return replace(after, stage=int(facts["stage"]), next_deadline=_deadline(facts))
    return _again(after, int(facts["stage"]), _deadline(facts))


def _helped(after: Alert, entry: Entry) -> Alert:
    match entry.kind:
        case Kind.ACKNOWLEDGED:
            return replace(_held(after, entry.actor), state=State.ACKNOWLEDGED, acknowledged_at=entry.at)
        case Kind.HAND_OVER_ACCEPTED:
            return _held(after, entry.actor)
        case Kind.CONTACTED:
            return replace(_held(after, entry.actor), state=State.CONTACTED, contacted_at=entry.at)
        case Kind.LEASE_RENEWED:
            return replace(after, lease_renewed=True)
        case Kind.STABILISED:
            return replace(after, state=State.STABILISED)
        case _:
            return after


def _held(after: Alert, by: str) -> Alert:
    """`by` has the alert. Where it was somebody else's, nothing of their hand-over and their lease is left."""
    if after.responder_id == by:
        return after
    return replace(after, responder_id=by, offered_to="", lease_renewed=False, observers=_without(after, by))


def _without(after: Alert, observer: str) -> tuple[str, ...]:
    return tuple(each for each in after.observers if each != observer)


def _closed(after: Alert, entry: Entry) -> Alert:
    awaited = entry.facts.get("co_signature") == "true"
    return replace(
        after,
        state=State.CLOSED,
        closed_at=entry.at,
        next_deadline=None,
        follow_up_id=entry.facts["follow_up_id"],
        offered_to="",
        observers=(),
        co_signature=CoSignature.AWAITED if awaited else CoSignature.UNSPECIFIED,
    )


def _joined(after: Alert, facts: Mapping[str, str]) -> Alert:
    joined = replace(
        after,
        signals=after.signals + 1,
        severity=max(after.severity, Severity(int(facts["severity"]))),
        session_id=facts["session_id"] or after.session_id,
        facilitator_id=facts["facilitator_id"] or after.facilitator_id,
        withdrawn=False,
    )
    # A call for help after contact was made is a new call: paging begins anew.
    return _again(joined, int(facts["stage"]), _deadline(facts)) if facts["reopens"] == "true" else joined


def _again(after: Alert, stage: int, deadline: datetime | None) -> Alert:
    fresh = replace(after, state=State.RAISED, cycle=after.cycle + 1, stage=stage, next_deadline=deadline)
    fresh = replace(fresh, responder_id="", offered_to="", lease_renewed=False)
    return replace(fresh, acknowledged_at=None, contacted_at=None)


_TOLD: Mapping[Kind, Callable[[Alert, Entry], Alert]] = {
    Kind.SIGNAL_JOINED: lambda after, entry: _joined(after, entry.facts),
    Kind.SIGNAL_WITHDRAWN: lambda after, entry: replace(after, withdrawn=after.withdrawn or _by_person(entry)),
    Kind.SEVERITY_CHANGED: lambda after, entry: replace(after, severity=Severity(int(entry.facts["severity"]))),
    Kind.HAND_OVER_OFFERED: lambda after, entry: replace(after, offered_to=entry.facts["responder_id"]),
    Kind.HAND_OVER_DECLINED: lambda after, _: replace(after, offered_to=""),
    Kind.OBSERVER_JOINED: lambda after, entry: replace(after, observers=(*after.observers, entry.actor)),
    Kind.OBSERVER_LEFT: lambda after, entry: replace(after, observers=_without(after, entry.actor)),
    Kind.CLOSED: _closed,
}


def _deadline(facts: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(facts["deadline"])


def asked_stage(alert: Alert) -> int:
    """The stage of pages that somebody asked for by the entry after this one, whoever has the alert: below
    `NAMED_STAGE`, and another for each such entry, so that asking again pages again."""
    return -(alert.seq + 1)


def until(at: datetime) -> dict[str, str]:
    """The fact that names the next deadline."""
    return {"deadline": at.isoformat()}


def withdraw(alert: Alert, by: str, signal_id: str, now: datetime, *, by_person: bool = True) -> list[Entry]:
    """The signal was a mistake, says who sent it. A human still makes sure.

    Only the person's own word (`by_person`) is shown as theirs: what somebody else takes back is noted, no more.
    """
    if alert.state is State.CLOSED:
        return []
    facts = {"signal_id": signal_id} if by_person else {"signal_id": signal_id, "by_person": "false"}
    return [Entry(Kind.SIGNAL_WITHDRAWN, now, by, facts)]


def _by_person(entry: Entry) -> bool:
    return entry.facts.get("by_person") != "false"


def due(alert: Alert, stage: int, wait: timedelta, last_resort: bool, actor: str, now: datetime) -> list[Entry]:
    """The deadline passed. Unanswered: on to `stage`. Answered, but no contact or closing in time: paging begins anew.

    Nothing to add when the deadline has not passed: somebody acted meanwhile.
    """
    if alert.next_deadline is None or alert.next_deadline > now:
        return []
    facts = {"stage": str(stage), "last_resort": str(last_resort).lower(), **until(now + wait)}
    if alert.state in UNANSWERED:
        return [Entry(Kind.ESCALATED, now, actor, facts)]
    return [Entry(Kind.LEASE_EXPIRED, now, actor, {"responder_id": alert.responder_id, **facts})]


def next_stage(alert: Alert) -> int:
    """The stage to go to when the deadline passes, before steps that reach nobody are skipped."""
    return alert.stage + 1 if alert.state in UNANSWERED else 0
