"""ReviewService: what is due after a severe alert was closed."""

from __future__ import annotations

from haven.crisis.v1 import alerts_pb2
from haven.crisis.v1 import review_service_pb2 as pb

from haven_crisis import facts, policy
from haven_crisis.api import tell
from haven_crisis.api.alert_commands import closing_of
from haven_crisis.api.desk import Desk, after, micros
from haven_crisis.domain import commands
from haven_crisis.store import alerts, reviews
from haven_crisis.store.alerts import Told
from haven_crisis.store.reviews import ReviewKind
from haven_kit.call import Call
from haven_kit.errors import Refused
from haven_kit.paging import Page


class ReviewApi:
    """Answers ReviewService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list_reviews(self, call: Call, request: pb.ListReviewsRequest) -> pb.ListReviewsResponse:
        page = Page.of(request)
        rows = await reviews.visible(
            call.tx,
            call.principal.id,
            policy.sees_all(call, await self._desk.book(call.tx)),
            done=request.include_done,
            kind=request.kind,
            after=after(page),
            limit=page.size + 1,
        )
        shown, token = page.cut(rows, lambda row: [micros(row["due_at"]), row["review_id"]])
        call.about(*(row["person_id"] for row in shown))
        return pb.ListReviewsResponse(reviews=[reviews.message(row) for row in shown], next_page_token=token)

    async def co_sign(self, call: Call, request: pb.CoSignRequest) -> alerts_pb2.Alert:
        who = call.principal.id
        alert = await self._desk.alert(call, request.alert_id, lock=True)
        closer = await alerts.closed_by(call.tx, alert.alert_id)
        signed = await self._desk.add(
            call.tx, alert, lambda alert: commands.co_sign(alert, who, closer, call.now), Told(request.note)
        )
        await reviews.done(call.tx, alert.alert_id, ReviewKind.CO_SIGNATURE, who)
        tell.closing_reviewed(call.tx, signed, who, signed=True)
        return alerts.message(signed)

    async def decline_co_signature(self, call: Call, request: pb.DeclineCoSignatureRequest) -> alerts_pb2.Alert:
        who = call.principal.id
        alert = await self._desk.alert(call, request.alert_id, lock=True)
        closer = await alerts.closed_by(call.tx, alert.alert_id)
        declined = await self._desk.add(
            call.tx,
            alert,
            lambda alert: commands.decline_co_signature(alert, who, closer, call.now),
            Told(request.reason),
        )
        await reviews.done(call.tx, alert.alert_id, ReviewKind.CO_SIGNATURE, who)
        due_at = call.now + facts.closing_rules().answer_within
        await reviews.begin(call.tx, alert.alert_id, alert.person_id, ReviewKind.ANSWER, due_at, asked_of=closer)
        tell.closing_reviewed(call.tx, declined, who, signed=False)
        return alerts.message(declined)

    async def amend_closing(self, call: Call, request: pb.AmendClosingRequest) -> alerts_pb2.Alert:
        who = call.principal.id
        alert = await self._desk.alert(call, request.alert_id, lock=True)
        closing = closing_of(request, alert)
        closer = await alerts.closed_by(call.tx, alert.alert_id)
        late = await reviews.is_late(call.tx, alert.alert_id, ReviewKind.ANSWER)
        amended = await self._desk.add(
            call.tx,
            alert,
            lambda alert: commands.amend_closing(alert, who, closer, call.now, late=late),
            Told(request.note, closing),
        )
        await reviews.done(call.tx, alert.alert_id, ReviewKind.ANSWER, who)
        due_at = call.now + facts.closing_rules().sign_within
        await reviews.begin(call.tx, alert.alert_id, alert.person_id, ReviewKind.CO_SIGNATURE, due_at)
        return alerts.message(amended)

    async def record_debrief(self, call: Call, request: pb.RecordDebriefRequest) -> pb.Review:
        alert = await self._desk.alert(call, request.alert_id, lock=True)
        await self._desk.add(
            call.tx,
            alert,
            lambda alert: commands.debrief(alert, call.principal.id, call.now),
            Told(debrief=request.debrief),
        )
        row = await reviews.done(call.tx, alert.alert_id, ReviewKind.DEBRIEF, call.principal.id)
        if row is None:
            raise Refused("none_due", "No debrief of this alert is due.")
        return reviews.message(row)
