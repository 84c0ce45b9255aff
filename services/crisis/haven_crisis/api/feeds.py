"""CalendarFeedService: addresses at which calendar programs read duties."""

from __future__ import annotations

import secrets

from haven.crisis.v1 import calendar_feed_service_pb2 as pb
from haven.options.v1 import options_pb2 as options

from haven_crisis.api.desk import Desk
from haven_crisis.api.on_call import own_or_office
from haven_crisis.store import feeds, on_call
from haven_kit.call import Call
from haven_kit.paging import Page


class CalendarFeedApi:
    """Answers CalendarFeedService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def create_calendar_feed(
        self, call: Call, request: pb.CreateCalendarFeedRequest
    ) -> pb.CreateCalendarFeedResponse:
        if request.rotation_id:
            await on_call.get(call.tx, "rotation", request.rotation_id)
        else:
            own_or_office(call, request.responder_id)
            await on_call.get(call.tx, "responder", request.responder_id)
        token = secrets.token_urlsafe(32)
        feed = await feeds.create(call.tx, token, request.responder_id, request.rotation_id)
        url = f"{self._desk.parts.settings.crisis_url}/calendars/{token}.ics"
        return pb.CreateCalendarFeedResponse(feed=feed, url=url)

    async def list_calendar_feeds(
        self, call: Call, request: pb.ListCalendarFeedsRequest
    ) -> pb.ListCalendarFeedsResponse:
        page = Page.of(request)
        found = await feeds.listed(call.tx, _own(call), page.after[0] if page.after else feeds.NEWEST, page.size + 1)
        shown, token = page.cut(found, lambda each: [each.feed_id])
        return pb.ListCalendarFeedsResponse(feeds=shown, next_page_token=token)

    async def revoke_calendar_feed(self, call: Call, request: pb.RevokeCalendarFeedRequest) -> pb.CalendarFeed:
        return await feeds.drop(call.tx, _own(call), request.feed_id)


def _own(call: Call) -> str:
    """Whose feeds are the caller's to see: an administrator's are everybody's."""
    return "" if call.principal.has(options.ROLE_ADMINISTRATOR) else call.principal.id
