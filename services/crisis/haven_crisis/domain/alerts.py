"""The life of an alert. Its timeline is the truth: `replay` of the entries gives the alert's state.

A command takes the alert as it is and gives the entries to add; it raises RuleBroken where the state does not allow it.
Every open alert has a next deadline: it is what makes sure that nobody is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum

from haven_crisis.domain.escalation import NAMED_STAGE
from haven_crisis.domain.rules import RuleBroken
from haven_crisis.domain.severity import Severity

LATEST_FOLLOW_UP = timedelta(hours=24)
"""After a crisis somebody looks in within 24 hours: the shorter end of the 24 to 72 hours in Best Practices in Care
Transitions (National Action Alliance for Suicide Prevention, 2019)."""


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
    )


def apply(alert: Alert, entry: Entry) -> Alert:
    """The alert after one more entry."""
    facts = entry.facts
    after = replace(alert, seq=alert.seq + 1)
    if entry.kind in _PAGING:
        return _paged(after, entry)
    if entry.kind in _HELPING:
        return _helped(replace(after, next_deadline=_deadline(facts)), entry)
    match entry.kind:
        case Kind.RAISED:
            raise ValueError("an alert is raised once")
        case Kind.SIGNAL_JOINED:
            return _joined(after, facts)
        case Kind.SIGNAL_WITHDRAWN:
            return replace(after, withdrawn=True)
        case Kind.SEVERITY_CHANGED:
            return replace(after, severity=Severity(int(facts["severity"])))
        case Kind.CLOSED:
            closed = replace(after, state=State.CLOSED, closed_at=entry.at, next_deadline=None)
            return replace(closed, follow_up_id=facts["follow_up_id"])
        case _:
            return after


_PAGING = frozenset({Kind.PAGED, Kind.ESCALATED, Kind.LEASE_EXPIRED, Kind.REASSIGNED})
_HELPING = frozenset({Kind.ACKNOWLEDGED, Kind.CONTACT_TRIED, Kind.CONTACTED, Kind.STABILISED})


def _paged(after: Alert, entry: Entry) -> Alert:
    facts = entry.facts
    if entry.kind is Kind.PAGED:
        current = after.state is State.RAISED and facts["cycle"] == str(after.cycle)
        return replace(after, state=State.PAGED) if current else after
    if entry.kind is Kind.ESCALATED:
        return replace(after, stage=int(facts["stage"]), next_deadline=_deadline(facts))
    return _again(after, int(facts["stage"]), _deadline(facts))


def _helped(after: Alert, entry: Entry) -> Alert:
    if entry.kind is Kind.ACKNOWLEDGED:
        return replace(after, state=State.ACKNOWLEDGED, responder_id=entry.actor, acknowledged_at=entry.at)
    if entry.kind is Kind.CONTACTED:
        return replace(after, state=State.CONTACTED, responder_id=entry.actor, contacted_at=entry.at)
    return replace(after, state=State.STABILISED) if entry.kind is Kind.STABILISED else after


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
    return replace(fresh, responder_id="", acknowledged_at=None, contacted_at=None)


def _deadline(facts: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(facts["deadline"])


def until(at: datetime) -> dict[str, str]:
    """The fact that names the next deadline."""
    return {"deadline": at.isoformat()}


def acknowledge(alert: Alert, by: str, now: datetime, limits: Limits) -> list[Entry]:
    """`by` takes the alert for the length of the lease. Nothing to add when they have it already."""
    _open(alert)
    if alert.state in ANSWERED:
        if alert.responder_id == by:
            return []
        raise RuleBroken(
            "taken", "A colleague has this alert. Ask them to hand it over, or record contact if you made it."
        )
    return [Entry(Kind.ACKNOWLEDGED, now, by, until(now + limits.lease))]


def reassign(alert: Alert, by: str, to: str, now: datetime, answer_within: timedelta) -> list[Entry]:
    """`to` is paged at once and has `answer_within` to take it; then paging begins anew."""
    _open(alert)
    facts = {"responder_id": to, "stage": str(NAMED_STAGE), **until(now + answer_within)}
    return [Entry(Kind.REASSIGNED, now, by, facts)]


def contact(alert: Alert, by: str, way: str, reached: bool, now: datetime, limits: Limits) -> list[Entry]:
    """`by` was in contact with the person, or tried. Contact counts from any state; a try needs the alert taken."""
    _open(alert)
    if reached:
        return [Entry(Kind.CONTACTED, now, by, {"way": way, **until(now + limits.close_within)})]
    if alert.state is not State.ACKNOWLEDGED or alert.responder_id != by:
        raise RuleBroken("not_yours", "Acknowledge the alert first; then record what you tried.")
    return [Entry(Kind.CONTACT_TRIED, now, by, {"way": way, **until(now + limits.lease)})]


def stabilise(alert: Alert, by: str, now: datetime, limits: Limits) -> list[Entry]:
    """The person is safe for now. Needs contact."""
    _open(alert)
    if alert.state is State.STABILISED:
        return []
    if alert.state is not State.CONTACTED:
        raise RuleBroken("no_contact", "Record contact with the person first.")
    return [Entry(Kind.STABILISED, now, by, until(now + limits.close_within))]


def change_severity(alert: Alert, by: str, severity: Severity, now: datetime) -> list[Entry]:
    """A human raises or lowers the severity; the reason is kept with the entry."""
    _open(alert)
    if severity is alert.severity:
        return []
    return [Entry(Kind.SEVERITY_CHANGED, now, by, {"severity": str(int(severity)), "was": str(int(alert.severity))})]


def withdraw(alert: Alert, by: str, signal_id: str, now: datetime) -> list[Entry]:
    """The signal was a mistake, says who sent it. A human still makes sure."""
    if alert.state is State.CLOSED:
        return []
    return [Entry(Kind.SIGNAL_WITHDRAWN, now, by, {"signal_id": signal_id})]


def close(alert: Alert, by: str, follow_up_id: str, follow_up_due_at: datetime, now: datetime) -> list[Entry]:
    """A human ends it. Needs contact, and a follow-up after now and within 24 hours."""
    _open(alert)
    if alert.state not in (State.CONTACTED, State.STABILISED):
        raise RuleBroken("no_contact", "An alert is closed after contact with the person. Record the contact first.")
    if not now < follow_up_due_at <= now + LATEST_FOLLOW_UP:
        raise RuleBroken("follow_up_within_24_hours", "Set a follow-up that is due within 24 hours from now.")
    return [
        Entry(Kind.CLOSED, now, by, {"follow_up_id": follow_up_id, "follow_up_due_at": follow_up_due_at.isoformat()})
    ]


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


def _open(alert: Alert) -> None:
    if alert.state is State.CLOSED:
        raise RuleBroken("closed", "This alert is closed.")
