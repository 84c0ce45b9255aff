"""AlertService: from the first page to closing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import alerts_pb2

from haven_crisis import policy
from haven_crisis.api import view
from haven_crisis.api.alert_commands import AlertCommands
from haven_crisis.api.desk import EPOCH, after, micros
from haven_crisis.domain.alerts import State
from haven_crisis.store import alert_lists, alerts, pages
from haven_crisis.store.alert_lists import Choice
from haven_kit.call import Call
from haven_kit.clock import Pace
from haven_kit.errors import Invalid, Refused
from haven_kit.paging import Page

OVERLAP = timedelta(seconds=10)
"""A watch looks back this far, so that a transaction that committed late is not passed by."""
LOOK_EVERY_S = 0.5
LOOK_AGAIN_S = 0.25
"""The least between two looks of one watch, by the machine's clock: every call for help rings for every watch."""
_DRILLS = {pb.DRILL_FILTER_UNSPECIFIED: None, pb.DRILL_FILTER_REAL: False, pb.DRILL_FILTER_DRILLS: True}
AT_ONCE = 500
"""How many alerts a watch reads at once; it goes on to the next ones before it waits."""


class AlertApi(AlertCommands):
    """Answers AlertService."""

    async def list_alerts(self, call: Call, request: pb.ListAlertsRequest) -> pb.ListAlertsResponse:
        page = Page.of(request)
        book = await self.desk.book(call.tx)
        choice = Choice(
            request.person_id,
            request.include_closed,
            request.states,
            request.at_least,
            _DRILLS[request.drills],
            request.mine,
        )
        found = await alert_lists.visible(
            call.tx,
            call.principal.id,
            policy.sees_all(call, book),
            choice,
            before=after(page),
            limit=page.size + 1,
        )
        shown, token = page.cut(found, lambda each: [micros(each.raised_at), each.alert_id])
        call.about(*(each.person_id for each in shown))
        return pb.ListAlertsResponse(alerts=[alerts.message(each) for each in shown], next_page_token=token)

    async def count_alerts(self, call: Call, _: pb.CountAlertsRequest) -> pb.CountAlertsResponse:
        call.about()
        book = await self.desk.book(call.tx)
        rows = await alert_lists.count(call.tx, call.principal.id, policy.sees_all(call, book))
        counts = [
            pb.AlertCount(state=row["state"], severity=row["severity"], drill=row["drill"], count=row["found"])
            for row in rows
        ]
        return pb.CountAlertsResponse(counts=counts, mine=sum(row["mine"] for row in rows))

    async def get_alert(self, call: Call, request: pb.GetAlertRequest) -> alerts_pb2.Alert:
        return alerts.message(await self.desk.alert(call, request.alert_id))

    async def get_alert_timeline(self, call: Call, request: pb.GetAlertTimelineRequest) -> pb.GetAlertTimelineResponse:
        page = Page.of(request)
        alert = await self.desk.alert(call, request.alert_id)
        seq = page.after[0] if page.after else 0
        entries = await alerts.timeline(call.tx, self._cipher, alert.alert_id, seq, page.size + 1)
        shown, token = page.cut(entries, lambda each: [each.seq])
        return pb.GetAlertTimelineResponse(entries=shown, next_page_token=token)

    async def list_pages(self, call: Call, request: pb.ListPagesRequest) -> pb.ListPagesResponse:
        page = Page.of(request)
        alert = await self.desk.alert(call, request.alert_id)
        start = page.after[0] if page.after else pages.FIRST
        found = await pages.of_alert(call.tx, alert.alert_id, start, page.size + 1)
        shown, token = page.cut(found, lambda each: [each.page_id])
        return pb.ListPagesResponse(pages=shown, next_page_token=token)

    async def watch_alerts(self, call: Call, request: pb.WatchAlertsRequest) -> AsyncIterator[pb.WatchAlertsResponse]:
        since, saw_all = _resume(request.last_event_id, call.now)
        anew, settled = not request.last_event_id, False
        sent: dict[str, tuple[int, datetime]] = {}
        after: tuple[datetime, str] | None = None
        pace = Pace(LOOK_AGAIN_S)
        while True:
            if after is None:
                await pace.turn()
            async with call.transaction(self.desk.watches) as tx:
                book = await self.desk.book(tx)
                sees_all = policy.sees_all(call, book)
                reset = saw_all and not sees_all
                if sees_all is not saw_all:
                    saw_all, anew, settled, sent, after = sees_all, True, False, {}, None
                changed = await alert_lists.changed(
                    tx, call.principal.id, sees_all, since - OVERLAP, all_open=anew, after=after, limit=AT_ONCE
                )
                fresh = [(at, each) for at, each in changed if sent.get(each.alert_id, (0, at))[0] != each.seq]
                call.about(*(each.person_id for _, each in fresh))
            if reset:
                yield pb.WatchAlertsResponse(reset=True)
            for at, each in fresh:
                sent[each.alert_id] = (each.seq, at)
                yield pb.WatchAlertsResponse(event_id=_event_id(at, sees_all), alert=alerts.message(each))
            if len(changed) == AT_ONCE:
                after = (changed[-1][0], changed[-1][1].alert_id)
                continue
            anew, after = False, None
            since = max([since, *(min(at, call.now) for _, at in sent.values())])
            sent = {key: each for key, each in sent.items() if each[1] >= since - OVERLAP}
            if not settled:
                settled = True
                yield pb.WatchAlertsResponse(event_id=_event_id(since, sees_all))
            await self.desk.parts.database.wake.wait("watch", LOOK_EVERY_S)

    async def get_responder_view(self, call: Call, request: pb.GetResponderViewRequest) -> alerts_pb2.ResponderView:
        alert = await self.desk.alert(call, request.alert_id)
        return await view.of(call.tx, self._cipher, alert, self.desk.directory)

    async def export_alert(self, call: Call, request: pb.ExportAlertRequest) -> alerts_pb2.AlertRecord:
        alert = await self.desk.alert(call, request.alert_id)
        if alert.state is not State.CLOSED:
            raise Refused("open", "The record is whole once the alert is closed.")
        timeline = await alerts.timeline(call.tx, self._cipher, alert.alert_id, 0, None)
        return alerts_pb2.AlertRecord(
            alert=alerts.message(alert),
            timeline=timeline,
            pages=await pages.of_alert(call.tx, alert.alert_id),
            chain_head=timeline[-1].hash,
            problem=await alerts.verify(call.tx, alert.alert_id) or "",
        )


def _event_id(at: datetime, sees_all: bool) -> str:
    """The moment in microseconds; a zero before it says that the caller saw every alert then."""
    return f"{'0' if sees_all else ''}{micros(at)}"


def _resume(event_id: str, now: datetime) -> tuple[datetime, bool]:
    """When to go on from, and whether the caller saw every alert then."""
    if not event_id:
        return now, False
    try:
        return min(EPOCH + timedelta(microseconds=int(event_id)), now), event_id.startswith("0")
    except (ValueError, OverflowError) as error:
        raise Invalid("last_event_id", "known_event", "This event_id was not made by this service.") from error
