"""TimeOffService: when responders are away."""

from __future__ import annotations

from datetime import UTC, timedelta

from haven.crisis.v1 import time_off_service_pb2 as pb

from haven_crisis import away
from haven_crisis.api.desk import Desk, after, micros
from haven_crisis.api.on_call import own_or_office
from haven_crisis.api.planning import Planning
from haven_crisis.calendar_source import UnreachableCalendar
from haven_crisis.calendars import UnreadableCalendar
from haven_crisis.domain.rotation import Stretch
from haven_crisis.store import on_call, time_off
from haven_kit import times
from haven_kit.call import Call, own_transactions
from haven_kit.errors import Invalid, Refused
from haven_kit.paging import Page

LONGEST = timedelta(days=366)


class TimeOffApi:
    """Answers TimeOffService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._planning = Planning(desk)

    async def create_time_off(self, call: Call, request: pb.CreateTimeOffRequest) -> pb.TimeOff:
        own_or_office(call, request.responder_id)
        stretch = Stretch(request.starts_at.ToDatetime(UTC), request.ends_at.ToDatetime(UTC))
        if not timedelta(0) < stretch.ends_at - stretch.starts_at <= LONGEST:
            raise Invalid("ends_at", "range", "Time off ends after it begins, and is at most a year long.")
        await on_call.get(call.tx, "responder", request.responder_id)
        async with self._planning.time_off(call.tx):
            return await time_off.create(call.tx, request.responder_id, stretch)

    @own_transactions
    async def import_time_off(self, call: Call, request: pb.ImportTimeOffRequest) -> pb.ImportTimeOffResponse:
        own_or_office(call, request.responder_id)
        zone = times.zone("time_zone", request.time_zone)
        try:
            found = await away.read(self._desk.parts, request, zone, call.now)
        except UnreachableCalendar as refused:
            raise Refused("unreachable_calendar", str(refused)) from refused
        except UnreadableCalendar as refused:
            raise Invalid("ics", "calendar", str(refused)) from refused
        async with call.transaction() as tx:
            await on_call.get(tx, "responder", request.responder_id)
            async with self._planning.time_off(tx):
                shown = await time_off.replace_imported(tx, request.responder_id, found)
            kept = None
            if request.url:
                address = pb.ImportTimeOffRequest(
                    responder_id=request.responder_id, url=request.url, time_zone=request.time_zone
                )
                kept = self._desk.parts.cipher.seal(address, away.context(request.responder_id))
            await time_off.keep_calendar(tx, request.responder_id, kept)
        return pb.ImportTimeOffResponse(time_off=shown)

    async def list_time_off(self, call: Call, request: pb.ListTimeOffRequest) -> pb.ListTimeOffResponse:
        own_or_office(call, request.responder_id)
        page = Page.of(request)
        found = await time_off.listed(call.tx, request.responder_id, after(page), page.size + 1)
        shown, token = page.cut(found, lambda each: [micros(each.starts_at.ToDatetime(UTC)), each.time_off_id])
        return pb.ListTimeOffResponse(time_off=shown, next_page_token=token)

    async def delete_time_off(self, call: Call, request: pb.DeleteTimeOffRequest) -> pb.TimeOff:
        own_or_office(call, request.responder_id)
        async with self._planning.time_off(call.tx):
            return await time_off.drop(call.tx, request.responder_id, request.time_off_id)
