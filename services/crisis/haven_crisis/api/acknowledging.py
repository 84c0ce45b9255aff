"""Taking an alert: one way for all channels, be it the service's own interface, a link, a text message, a key press."""

from __future__ import annotations

from haven.crisis.v1 import events_pb2

from haven_crisis import metrics
from haven_crisis.api.desk import Desk
from haven_crisis.domain import commands
from haven_crisis.domain.alerts import Alert
from haven_crisis.store import alerts, pages
from haven_kit.database import Tx
from haven_kit.errors import NotFound


async def acknowledge(desk: Desk, tx: Tx, alert_id: str, responder_id: str, channel: str) -> Alert:
    """`responder_id` takes the alert, as they said by `channel`: `link`, `sms`, `voice`, `push`.

    The caller has made sure that it was they who said so. It takes its turn with the escalator: whoever locks the alert
    first is first. Raises NotFound for an alert they were never paged for, Refused("taken") where a colleague has it,
    Refused("closed") where it is over. Taking it twice is the same as once.
    """
    alert = await alerts.get(tx, alert_id, lock=True)
    if responder_id != alert.responder_id and not await pages.was_paged(tx, alert_id, responder_id):
        raise NotFound("alert")
    tx.audit(alert.person_id, action=f"crisis/{channel}", seen_as="took your call for help", role="on_call_responder")
    return await take(desk, tx, alert, responder_id, channel)


async def take(desk: Desk, tx: Tx, alert: Alert, responder_id: str, channel: str = "") -> Alert:
    """The locked alert, taken by somebody who may see it; told and counted where that changed anything."""
    after = await desk.add(
        tx, alert, lambda alert: commands.acknowledge(alert, responder_id, tx.now, desk.limits, channel)
    )
    if after.seq == alert.seq:
        return after
    if alert.offered_to == responder_id:
        handed_over(tx, alert, after)
    else:
        event = events_pb2.AlertAcknowledged(
            alert_id=after.alert_id, person_id=after.person_id, session_id=after.session_id, responder_id=responder_id
        )
        event.acknowledged_at.FromDatetime(tx.now)
        tx.emit(event, key=after.alert_id)
        metrics.TO_ACKNOWLEDGED.observe((tx.now - after.raised_at).total_seconds())
    return after


def handed_over(tx: Tx, before: Alert, after: Alert) -> None:
    """Tell that a colleague has the alert now."""
    event = events_pb2.AlertHandedOver(
        alert_id=after.alert_id,
        person_id=after.person_id,
        session_id=after.session_id,
        responder_id=after.responder_id,
        was_with=before.responder_id,
    )
    event.handed_over_at.FromDatetime(tx.now)
    tx.emit(event, key=after.alert_id)
