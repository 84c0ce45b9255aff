"""AlertService: from the first page to closing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import alerts_pb2, events_pb2

from haven_crisis import metrics, policy
from haven_crisis.api import view
from haven_crisis.api.desk import EPOCH, Desk, after, micros
from haven_crisis.domain import commands as rules
from haven_crisis.domain.alerts import Alert, Entry
from haven_crisis.domain.severity import Severity
from haven_crisis.store import alerts, follow_ups, pages
from haven_crisis.store.alerts import Told
from haven_crisis.store.pages import Round
from haven_kit import ids, telemetry
from haven_kit.call import Call
from haven_kit.errors import Invalid, Refused
from haven_kit.paging import Page

OVERLAP = timedelta(seconds=10)
"""A watch looks back this far, so that a transaction that committed late is not passed by."""
LOOK_EVERY_S = 0.5
AT_ONCE = 500
"""How many alerts a watch reads at once; it goes on to the next ones before it waits."""


class AlertApi:
    """Answers AlertService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cipher = desk.parts.cipher

    async def list_alerts(self, call: Call, request: pb.ListAlertsRequest) -> pb.ListAlertsResponse:
        page = Page.of(request)
        book = await self._desk.book(call.tx)
        found = await alerts.visible(
            call.tx,
            call.principal.id,
            policy.sees_all(call, book),
            person_id=request.person_id,
            closed=request.include_closed,
            before=after(page),
            limit=page.size + 1,
        )
        shown, token = page.cut(found, lambda each: [micros(each.raised_at), each.alert_id])
        call.about(*(each.person_id for each in shown))
        return pb.ListAlertsResponse(alerts=[alerts.message(each) for each in shown], next_page_token=token)

    async def get_alert(self, call: Call, request: pb.GetAlertRequest) -> alerts_pb2.Alert:
        return alerts.message(await self._desk.alert(call, request.alert_id))

    async def get_alert_timeline(self, call: Call, request: pb.GetAlertTimelineRequest) -> pb.GetAlertTimelineResponse:
        page = Page.of(request)
        alert = await self._desk.alert(call, request.alert_id)
        seq = page.after[0] if page.after else 0
        entries = await alerts.timeline(call.tx, self._cipher, alert.alert_id, seq, page.size + 1)
        shown, token = page.cut(entries, lambda each: [each.seq])
        return pb.GetAlertTimelineResponse(entries=shown, next_page_token=token)

    async def list_pages(self, call: Call, request: pb.ListPagesRequest) -> pb.ListPagesResponse:
        page = Page.of(request)
        alert = await self._desk.alert(call, request.alert_id)
        start = page.after[0] if page.after else pages.FIRST
        found = await pages.of_alert(call.tx, alert.alert_id, start, page.size + 1)
        shown, token = page.cut(found, lambda each: [each.page_id])
        return pb.ListPagesResponse(pages=shown, next_page_token=token)

    async def watch_alerts(self, call: Call, request: pb.WatchAlertsRequest) -> AsyncIterator[pb.WatchAlertsResponse]:
        since = min(_resume(request.last_event_id), call.now) if request.last_event_id else call.now
        first = not request.last_event_id
        sent: dict[str, tuple[int, datetime]] = {}
        after: tuple[datetime, str] | None = None
        while True:
            async with call.transaction() as tx:
                book = await self._desk.book(tx)
                sees_all = policy.sees_all(call, book)
                changed = await alerts.changed(
                    tx, call.principal.id, sees_all, since - OVERLAP, all_open=first, after=after, limit=AT_ONCE
                )
                fresh = [(at, each) for at, each in changed if sent.get(each.alert_id, (0, at))[0] != each.seq]
                call.about(*(each.person_id for _, each in fresh))
            for at, each in fresh:
                sent[each.alert_id] = (each.seq, at)
                yield pb.WatchAlertsResponse(event_id=str(micros(at)), alert=alerts.message(each))
            if len(changed) == AT_ONCE:
                after = (changed[-1][0], changed[-1][1].alert_id)
                continue
            first, after = False, None
            since = max([since, *(min(at, call.now) for _, at in sent.values())])
            sent = {key: each for key, each in sent.items() if each[1] >= since - OVERLAP}
            await self._desk.parts.database.wake.wait("watch", LOOK_EVERY_S)

    async def acknowledge_alert(self, call: Call, request: pb.AcknowledgeAlertRequest) -> alerts_pb2.Alert:
        alert = await self._desk.alert(call, request.alert_id, lock=True)
        return alerts.message(await self._desk.take(call.tx, alert, call.principal.id))

    async def reassign_alert(self, call: Call, request: pb.ReassignAlertRequest) -> alerts_pb2.Alert:
        book = await self._desk.book(call.tx)
        if request.responder_id not in book.reachable:
            # Said only to those who may see the alert.
            await self._desk.alert(call, request.alert_id)
            raise Refused("no_such_responder", "This person cannot be paged. Choose a responder with a channel.")
        within = timedelta(seconds=self._desk.parts.settings.crisis_answer_within_seconds)
        _, alert = await self._desk.command(
            call,
            request.alert_id,
            lambda alert: rules.reassign(alert, call.principal.id, [request.responder_id], call.now, within),
            Told(request.note),
        )
        of = Round(alert.alert_id, alert.cycle, alert.stage, alert.drill, alert.raised_at, telemetry.traceparent())
        await self._desk.pager.page(call.tx, of, self._desk.pager.drafts([request.responder_id], alert.severity))
        return alerts.message(alert)

    async def record_contact(self, call: Call, request: pb.RecordContactRequest) -> alerts_pb2.Alert:
        who = call.principal.id

        def decide(alert: Alert) -> list[Entry]:
            return rules.contact(alert, who, request.way, request.reached, call.now, self._desk.limits)

        _, alert = await self._desk.command(call, request.alert_id, decide, Told(request.note))
        if request.reached:
            event = events_pb2.ContactMade(
                alert_id=alert.alert_id, person_id=alert.person_id, session_id=alert.session_id, responder_id=who
            )
            event.contacted_at.FromDatetime(call.now)
            call.tx.emit(event, key=alert.alert_id)
            metrics.TO_CONTACT.observe((call.now - alert.raised_at).total_seconds())
        return alerts.message(alert)

    async def record_stabilised(self, call: Call, request: pb.RecordStabilisedRequest) -> alerts_pb2.Alert:
        _, alert = await self._desk.command(
            call,
            request.alert_id,
            lambda alert: rules.stabilise(alert, call.principal.id, call.now, self._desk.limits),
            Told(request.note),
        )
        return alerts.message(alert)

    async def change_severity(self, call: Call, request: pb.ChangeSeverityRequest) -> alerts_pb2.Alert:
        _, alert = await self._desk.command(
            call,
            request.alert_id,
            lambda alert: rules.change_severity(alert, call.principal.id, Severity(request.severity), call.now),
            Told(request.reason),
        )
        return alerts.message(alert)

    async def close_alert(self, call: Call, request: pb.CloseAlertRequest) -> alerts_pb2.Alert:
        who = call.principal.id
        due_at = request.follow_up_due_at.ToDatetime(UTC)
        follow_up_id = ids.new_id()
        closing = alerts_pb2.Closing(
            disposition=request.disposition, risk_level=request.risk_level, disclosures=request.disclosures
        )
        _, alert = await self._desk.command(
            call,
            request.alert_id,
            lambda alert: rules.close(alert, who, follow_up_id, due_at, call.now),
            Told(request.note, closing),
        )
        await follow_ups.create(call.tx, follow_up_id, alert.alert_id, alert.person_id, who, due_at)
        event = events_pb2.AlertClosed(alert_id=alert.alert_id, person_id=alert.person_id, session_id=alert.session_id)
        event.closed_at.FromDatetime(call.now)
        event.follow_up_due_at.FromDatetime(due_at)
        call.tx.emit(event, key=alert.alert_id)
        return alerts.message(alert)

    async def get_responder_view(self, call: Call, request: pb.GetResponderViewRequest) -> alerts_pb2.ResponderView:
        alert = await self._desk.alert(call, request.alert_id)
        return await view.of(call.tx, self._cipher, alert)


def _resume(event_id: str) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=int(event_id))
    except (ValueError, OverflowError) as error:
        raise Invalid("last_event_id", "known_event", "This event_id was not made by this service.") from error
