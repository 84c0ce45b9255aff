"""What the other services are told of an alert: ids, states and times."""

from __future__ import annotations

from datetime import datetime

from haven.crisis.v1 import events_pb2 as pb

from haven_crisis.domain.alerts import Alert
from haven_kit.database import Tx


def acknowledged(tx: Tx, alert: Alert) -> None:
    """A responder took it."""
    event = pb.AlertAcknowledged(
        alert_id=alert.alert_id,
        person_id=alert.person_id,
        session_id=alert.session_id,
        responder_id=alert.responder_id,
    )
    event.acknowledged_at.FromDatetime(tx.now)
    tx.emit(event, key=alert.alert_id)


def handed_over(tx: Tx, before: Alert, after: Alert) -> None:
    """A colleague took it over."""
    event = pb.AlertHandedOver(
        alert_id=after.alert_id,
        person_id=after.person_id,
        session_id=after.session_id,
        responder_id=after.responder_id,
        was_with=before.responder_id,
    )
    event.handed_over_at.FromDatetime(tx.now)
    tx.emit(event, key=after.alert_id)


def reassigned(tx: Tx, alert: Alert, by: str) -> None:
    """Nobody has it; others are being paged."""
    event = pb.AlertReassigned(alert_id=alert.alert_id, person_id=alert.person_id, session_id=alert.session_id, by=by)
    event.reassigned_at.FromDatetime(tx.now)
    tx.emit(event, key=alert.alert_id)


def severity_changed(tx: Tx, before: Alert, after: Alert, by: str) -> None:
    """A human judged it anew."""
    event = pb.AlertSeverityChanged(
        alert_id=after.alert_id, severity=int(after.severity), was=int(before.severity), by=by
    )
    event.changed_at.FromDatetime(tx.now)
    tx.emit(event, key=after.alert_id)


def contact_made(tx: Tx, alert: Alert) -> None:
    """The responder spoke with the person."""
    event = pb.ContactMade(
        alert_id=alert.alert_id,
        person_id=alert.person_id,
        session_id=alert.session_id,
        responder_id=alert.responder_id,
    )
    event.contacted_at.FromDatetime(tx.now)
    tx.emit(event, key=alert.alert_id)


def stabilised(tx: Tx, alert: Alert) -> None:
    """The person is safe for now."""
    event = pb.AlertStabilised(alert_id=alert.alert_id, person_id=alert.person_id, session_id=alert.session_id)
    event.stabilised_at.FromDatetime(tx.now)
    tx.emit(event, key=alert.alert_id)


def closed(tx: Tx, alert: Alert, follow_up_due_at: datetime, chain_head: bytes) -> None:
    """It is over. The chain's head leaves the database with this, so that a change of the record shows."""
    event = pb.AlertClosed(
        alert_id=alert.alert_id,
        person_id=alert.person_id,
        session_id=alert.session_id,
        chain_head=chain_head,
        co_signature_awaited=bool(alert.co_signature),
    )
    event.closed_at.FromDatetime(tx.now)
    if alert.follow_up_id:
        event.follow_up_due_at.FromDatetime(follow_up_due_at)
    tx.emit(event, key=alert.alert_id)


def closing_reviewed(tx: Tx, alert: Alert, by: str, *, signed: bool) -> None:
    """A second clinician signed, or said why not."""
    event = pb.ClosingReviewed(alert_id=alert.alert_id, person_id=alert.person_id, by=by, signed=signed)
    event.reviewed_at.FromDatetime(tx.now)
    tx.emit(event, key=alert.alert_id)


def late(tx: Tx, alert_id: str, kind: str, due_at: datetime) -> None:
    """What is due after a crisis was not done in time."""
    event = pb.ReviewLate(alert_id=alert_id, kind=kind)
    event.due_at.FromDatetime(due_at)
    tx.emit(event, key=alert_id)


def glass_broken(tx: Tx, alert_id: str, break_glass_id: str, principal_id: str, review_due_at: datetime) -> None:
    """Somebody without a relation to the person opened the alert."""
    event = pb.BreakGlassUsed(alert_id=alert_id, break_glass_id=break_glass_id, principal_id=principal_id)
    event.used_at.FromDatetime(tx.now)
    event.review_due_at.FromDatetime(review_due_at)
    tx.emit(event, key=alert_id)
