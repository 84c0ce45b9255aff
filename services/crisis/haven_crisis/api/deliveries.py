"""DeliveryService: how pages went."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from haven.crisis.v1 import delivery_service_pb2 as pb

from haven_crisis.api.desk import after, micros
from haven_crisis.store import delivery_report
from haven_kit.call import Call
from haven_kit.errors import Invalid
from haven_kit.paging import Page

LONGEST = timedelta(days=93)
"""The longest stretch of one report: a quarter of a year."""


class DeliveryApi:
    """Answers DeliveryService."""

    async def list_deliveries(self, call: Call, request: pb.ListDeliveriesRequest) -> pb.ListDeliveriesResponse:
        page = Page.of(request)
        found = await delivery_report.listed(
            call.tx,
            request.since.ToDatetime(UTC),
            _until(request.until if request.HasField("until") else None, call.now),
            channel=request.channel,
            state=request.state,
            drills=request.include_drills,
            before=after(page),
            limit=page.size + 1,
        )
        shown, token = page.cut(found, lambda each: [micros(each.created_at.ToDatetime(UTC)), each.page_id])
        return pb.ListDeliveriesResponse(deliveries=shown, next_page_token=token)

    async def get_delivery_report(
        self, call: Call, request: pb.GetDeliveryReportRequest
    ) -> pb.GetDeliveryReportResponse:
        page = Page.of(request)
        since = request.since.ToDatetime(UTC)
        until = _until(request.until if request.HasField("until") else None, call.now)
        if until - since > LONGEST:
            raise Invalid("until", "at_most_93_days", "Ask for 93 days at most.")
        start = (page.after[0], page.after[1]) if page.after else ("", "")
        lines = await delivery_report.lines(
            call.tx, since, until, drills=request.include_drills, after=start, first=not page.after, limit=page.size + 1
        )
        shown, token = page.cut(lines, lambda each: [each.channel, each.provider])
        return pb.GetDeliveryReportResponse(lines=shown, next_page_token=token)


def _until(given: Timestamp | None, now: datetime) -> datetime:
    return given.ToDatetime(UTC) if given is not None else now + timedelta(seconds=1)
