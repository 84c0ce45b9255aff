"""DutyService: looks ahead in the on-call plan."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from haven.crisis.v1 import duty_service_pb2 as pb

from haven_crisis.api.desk import Desk, micros
from haven_crisis.domain import coverage, forecast, plan
from haven_crisis.domain.coverage import Finding
from haven_crisis.domain.escalation import Book
from haven_crisis.domain.rotation import Override, Rotation, Shadow, duties
from haven_crisis.domain.severity import Severity
from haven_crisis.messages import policy_of, rotation_of
from haven_kit.call import Call
from haven_kit.errors import Invalid, NotFound
from haven_kit.paging import Page

LONGEST = timedelta(days=100)
SHOWN = 500
MOST_PAGES = 2000


class DutyApi:
    """Answers DutyService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list_duties(self, call: Call, request: pb.ListDutiesRequest) -> pb.ListDutiesResponse:
        start, end = request.starts_at.ToDatetime(UTC), request.ends_at.ToDatetime(UTC)
        if not timedelta(0) < end - start <= LONGEST:
            raise Invalid("ends_at", "range", "Ask for a stretch of at most 100 days, with an end after its beginning.")
        page = Page.of(request)
        book = await self._desk.book(call.tx)
        found = [
            each
            for key, rotation in book.rotations.items()
            if request.rotation_id in ("", key)
            for each in _duties(book, rotation, start, end)
            if request.responder_id in ("", each.responder_id)
        ]
        found.sort(key=_place)
        after = page.after
        rest = [each for each in found if after is None or list(_place(each)) > after]
        shown, token = page.cut(rest[: page.size + 1], _place)
        return pb.ListDutiesResponse(duties=shown, next_page_token=token)

    async def check_coverage(self, call: Call, request: pb.CheckCoverageRequest) -> pb.CheckCoverageResponse:
        book = await self._desk.book(call.tx)
        refused: list[str] = []
        if request.HasField("rotation"):
            rotation = rotation_of(request.rotation)
            refused = await asyncio.to_thread(plan.of_draft, book, book, rotation, call.now)
        elif (saved := book.rotations.get(request.rotation_id)) is not None:
            rotation = saved
        else:
            raise NotFound("rotation")
        until = call.now + coverage.HORIZON
        response = pb.CheckCoverageResponse(
            problems=await asyncio.to_thread(plan.of_rotation, book, rotation, call.now), refused=refused
        )
        response.checked_until.FromDatetime(until)
        checked = await asyncio.to_thread(coverage.check, rotation, book.away, book.names, call.now, until)
        response.gaps.extend(_findings(checked.gaps))
        response.overlaps.extend(_findings(checked.overlaps))
        return response

    async def simulate_policy(self, call: Call, request: pb.SimulatePolicyRequest) -> pb.SimulatePolicyResponse:
        at = request.at.ToDatetime(UTC) if request.HasField("at") else call.now
        severity = request.severity or Severity.HIGH
        book = await self._desk.book(call.tx)
        policy = policy_of(request.policy)
        response = pb.SimulatePolicyResponse(problems=plan.of_policy(book, policy, at))
        found = forecast.pages(book, policy, at, lambda who: self._desk.directory.pages_of(who, severity))
        for each in found[:MOST_PAGES]:
            channels = self._desk.directory.channels(each.responder_id)
            shown = response.pages.add(
                stage=each.stage,
                step=each.step,
                responder_id=each.responder_id,
                responder_name=book.names.get(each.responder_id, ""),
                channel=channels[each.place].kind if each.place < len(channels) else "",
                shadow=each.shadow,
            )
            shown.after.FromTimedelta(each.after)
        return response


def _duties(book: Book, rotation: Rotation, start: datetime, end: datetime) -> list[pb.DutyShown]:
    held: list[tuple[Override | Shadow, bool]] = [(each, False) for each in duties(rotation, start, end)]
    held += [(each, True) for each in rotation.shadows if each.starts_at < end and each.ends_at > start]
    found = []
    for each, shadow in held:
        shown = pb.DutyShown(
            rotation_id=rotation.rotation_id,
            rotation_name=rotation.name,
            responder_id=each.responder_id,
            responder_name=book.names.get(each.responder_id, ""),
            shadow=shadow,
        )
        shown.starts_at.FromDatetime(max(each.starts_at, start))
        shown.ends_at.FromDatetime(min(each.ends_at, end))
        found.append(shown)
    return found


def _place(duty: pb.DutyShown) -> list[str | int]:
    return [micros(duty.starts_at.ToDatetime(UTC)), duty.rotation_id, int(duty.shadow), duty.responder_id]


def _findings(found: Sequence[Finding]) -> list[pb.Finding]:
    shown = []
    for each in found[:SHOWN]:
        made = pb.Finding(message=each.message)
        made.starts_at.FromDatetime(each.starts_at)
        made.ends_at.FromDatetime(each.ends_at)
        shown.append(made)
    return shown
