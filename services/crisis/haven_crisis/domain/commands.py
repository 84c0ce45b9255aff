"""What people do to an alert. A command takes the alert as it is and gives the entries to add to its timeline.

Each raises RuleBroken where the state does not allow it, and gives nothing where there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from haven_crisis.domain.alerts import ANSWERED, Alert, CoSignature, Entry, Kind, Limits, State, until
from haven_crisis.domain.escalation import NAMED_STAGE
from haven_crisis.domain.rules import RuleBroken
from haven_crisis.domain.severity import Severity

LATEST_FOLLOW_UP = timedelta(hours=24)
"""After a crisis somebody looks in within 24 hours: the shorter end of the 24 to 72 hours in Best Practices in Care
Transitions (National Action Alliance for Suicide Prevention, 2019)."""


def acknowledge(alert: Alert, by: str, now: datetime, limits: Limits, channel: str = "") -> list[Entry]:
    """`by` takes the alert for the length of the lease; what was offered to them, they take over.

    `channel` is how they said so: `sms`, `link`; empty for the service's own interface.
    """
    _open(alert)
    if alert.state not in ANSWERED:
        way = {"channel": channel} if channel else {}
        return [Entry(Kind.ACKNOWLEDGED, now, by, {**way, **until(now + limits.lease)})]
    if alert.responder_id == by:
        return []
    if alert.offered_to == by:
        return accept_hand_over(alert, by, now, limits)
    raise RuleBroken("taken", "A colleague has this alert. Ask them to hand it over, or record contact if you made it.")


def renew_lease(alert: Alert, by: str, now: datetime, limits: Limits) -> list[Entry]:
    """The holder needs longer to reach the person. Once; then contact or an attempt has to be recorded."""
    _held(alert, by)
    if alert.state is not State.ACKNOWLEDGED:
        raise RuleBroken("contacted", "Contact is recorded; there is no lease to renew.")
    if alert.lease_renewed:
        raise RuleBroken("renewed", "This was renewed once already. Record what you tried, or hand the alert over.")
    return [Entry(Kind.LEASE_RENEWED, now, by, until(now + limits.lease))]


def offer_hand_over(alert: Alert, by: str, to: str, now: datetime) -> list[Entry]:
    """The holder asks `to` to take the alert over. Until they do, the holder keeps it and the deadline stands."""
    _held(alert, by)
    if to == by:
        raise RuleBroken("own_hands", "You have this alert. Offer it to a colleague.")
    return [Entry(Kind.HAND_OVER_OFFERED, now, by, {"responder_id": to})]


def accept_hand_over(alert: Alert, by: str, now: datetime, limits: Limits) -> list[Entry]:
    """`by` takes over what was offered to them, with a lease of their own."""
    _open(alert)
    if alert.offered_to != by:
        raise RuleBroken("not_offered", "This alert is not offered to you, or not any more.")
    within = limits.lease if alert.state is State.ACKNOWLEDGED else limits.close_within
    return [Entry(Kind.HAND_OVER_ACCEPTED, now, by, {"was_with": alert.responder_id, **until(now + within)})]


def decline_hand_over(alert: Alert, by: str, now: datetime) -> list[Entry]:
    """`by` cannot take it; the holder keeps it."""
    _open(alert)
    if alert.offered_to != by:
        raise RuleBroken("not_offered", "This alert is not offered to you, or not any more.")
    return [Entry(Kind.HAND_OVER_DECLINED, now, by)]


def add_responders(alert: Alert, by: str, responders: Sequence[str], now: datetime) -> list[Entry]:
    """More people are paged now. Whoever has the alert keeps it, and its deadline stands."""
    _open(alert)
    return [Entry(Kind.RESPONDER_ADDED, now, by, {"responder_id": each}) for each in responders]


def observe(alert: Alert, by: str, now: datetime) -> list[Entry]:
    """`by` looks on. It changes nothing for anybody else."""
    _open(alert)
    if by in alert.observers:
        return []
    if alert.responder_id == by:
        raise RuleBroken("own_hands", "You have this alert: you see it already, and you count.")
    return [Entry(Kind.OBSERVER_JOINED, now, by)]


def stop_observing(alert: Alert, by: str, now: datetime) -> list[Entry]:
    """`by` looks on no longer."""
    return [Entry(Kind.OBSERVER_LEFT, now, by)] if by in alert.observers else []


def reassign(
    alert: Alert, by: str, to: Sequence[str], now: datetime, answer_within: timedelta, rotation_id: str = ""
) -> list[Entry]:
    """`to` are paged at once and have `answer_within` to take it; then paging begins anew."""
    _open(alert)
    facts = {"responder_id": to[0] if len(to) == 1 else "", "rotation_id": rotation_id, "stage": str(NAMED_STAGE)}
    return [Entry(Kind.REASSIGNED, now, by, {**facts, **until(now + answer_within)})]


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


def close(
    alert: Alert, by: str, follow_up_id: str, follow_up_due_at: datetime, now: datetime, *, co_signature: bool = False
) -> list[Entry]:
    """A human ends it. Needs contact, and a follow-up after now and within 24 hours; a drill, which is about nobody,
    needs none. `co_signature`: a second clinician has to sign."""
    _open(alert)
    if alert.state not in (State.CONTACTED, State.STABILISED):
        raise RuleBroken("no_contact", "An alert is closed after contact with the person. Record the contact first.")
    if alert.drill:
        return [Entry(Kind.CLOSED, now, by, {"follow_up_id": ""})]
    if not now < follow_up_due_at <= now + LATEST_FOLLOW_UP:
        raise RuleBroken("follow_up_within_24_hours", "Set a follow-up that is due within 24 hours from now.")
    facts = {"follow_up_id": follow_up_id, "follow_up_due_at": follow_up_due_at.isoformat()}
    return [Entry(Kind.CLOSED, now, by, {**facts, "co_signature": str(co_signature).lower()})]


def co_sign(alert: Alert, by: str, closed_by: str, now: datetime) -> list[Entry]:
    """A second clinician signs the closing. `closed_by` wrote what is signed."""
    _awaits_signature(alert, by, closed_by)
    return [Entry(Kind.CO_SIGNED, now, by)]


def decline_co_signature(alert: Alert, by: str, closed_by: str, now: datetime) -> list[Entry]:
    """A second clinician does not sign: whoever closed the alert has to answer."""
    _awaits_signature(alert, by, closed_by)
    return [Entry(Kind.CO_SIGNATURE_DECLINED, now, by)]


def amend_closing(alert: Alert, by: str, closed_by: str, now: datetime, *, late: bool = False) -> list[Entry]:
    """Whoever closed the alert answers a declined co-signature; a signature is awaited again. Where the answer is late,
    a colleague may give it, so that nothing waits for somebody who is gone."""
    if alert.co_signature is not CoSignature.DECLINED:
        raise RuleBroken("not_declined", "No declined co-signature waits for an answer.")
    if by != closed_by and not late:
        raise RuleBroken("not_yours", "Whoever closed this alert has to answer. A colleague may once that is late.")
    return [Entry(Kind.CLOSING_AMENDED, now, by)]


def debrief(alert: Alert, by: str, now: datetime) -> list[Entry]:
    """What was learnt is written down, once it is over."""
    if alert.state is not State.CLOSED:
        raise RuleBroken("open", "A debrief looks back: close the alert first.")
    return [Entry(Kind.DEBRIEFED, now, by)]


def _awaits_signature(alert: Alert, by: str, closed_by: str) -> None:
    if alert.co_signature is not CoSignature.AWAITED:
        raise RuleBroken("none_awaited", "This alert awaits no signature.")
    if by == closed_by:
        raise RuleBroken("own_closing", "You closed this alert; another clinician has to sign.")


def _held(alert: Alert, by: str) -> None:
    _open(alert)
    if alert.responder_id != by:
        raise RuleBroken("not_yours", "Acknowledge the alert first.")


def _open(alert: Alert) -> None:
    if alert.state is State.CLOSED:
        raise RuleBroken("closed", "This alert is closed.")
