"""FollowUpService: looking in after an alert was closed."""

from __future__ import annotations

from haven.crisis.v1 import follow_up_service_pb2 as pb
from haven.options.v1 import options_pb2 as options

from haven_crisis import policy
from haven_crisis.api.desk import Desk, after, micros
from haven_crisis.domain.alerts import Entry, Kind
from haven_crisis.store import alerts, follow_ups
from haven_crisis.store.alerts import Told
from haven_kit import relations
from haven_kit.call import Call
from haven_kit.errors import Invalid, NotFound, Refused
from haven_kit.paging import Page


class FollowUpApi:
    """Answers FollowUpService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cipher = desk.parts.cipher

    async def list_follow_ups(self, call: Call, request: pb.ListFollowUpsRequest) -> pb.ListFollowUpsResponse:
        page = Page.of(request)
        book = await self._desk.book(call.tx)
        rows = await follow_ups.visible(
            call.tx,
            call.principal.id,
            policy.sees_all(call, book),
            done=request.include_done,
            after=after(page),
            limit=page.size + 1,
        )
        shown, token = page.cut(rows, lambda row: [micros(row["due_at"]), row["follow_up_id"]])
        call.about(*(row["person_id"] for row in shown))
        return pb.ListFollowUpsResponse(follow_ups=[follow_ups.message(row) for row in shown], next_page_token=token)

    async def record_follow_up(self, call: Call, request: pb.RecordFollowUpRequest) -> pb.FollowUp:
        row = await follow_ups.get(call.tx, request.follow_up_id)
        if call.principal.id != row["responder_id"] and not policy.sees_all(call, await self._desk.book(call.tx)):
            held = await relations.of(call.tx, call.principal, row["person_id"])
            if options.RELATION_CARE_TEAM not in held:
                raise NotFound("follow-up")
        call.about(row["person_id"])
        if row["state"] == follow_ups.RECORDED:
            raise Refused("recorded", "This follow-up is recorded already.")
        if row["state"] == follow_ups.MISSED:
            raise Refused("missed", "This follow-up was missed and an alert was raised. Record the contact there.")
        if request.reached:
            if not request.risk_level:
                raise Invalid("risk_level", "required", "Say how you judge the risk now.")
            sealed = self._cipher.seal(request, context=f"follow_up/{request.follow_up_id}")
            await follow_ups.record(call.tx, request.follow_up_id, call.principal.id, sealed)
        else:
            await follow_ups.tried(call.tx, request.follow_up_id)
        alert = await alerts.get(call.tx, row["alert_id"], lock=True)
        told = {"follow_up_id": request.follow_up_id, "reached": str(request.reached).lower()}
        entry = Entry(Kind.FOLLOWED_UP, call.now, call.principal.id, told)
        await alerts.add(call.tx, self._cipher, alert, [entry], Told(request.note))
        return follow_ups.message(await follow_ups.get(call.tx, request.follow_up_id))
