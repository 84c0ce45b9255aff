"""BreakGlassService: emergency access, and its review."""

from __future__ import annotations

from haven.crisis.v1 import break_glass_service_pb2 as pb

from haven_crisis import facts, metrics
from haven_crisis.api import tell
from haven_crisis.api.desk import Desk, after
from haven_crisis.domain.alerts import Entry, Kind
from haven_crisis.store import alerts, break_glass
from haven_crisis.store.alerts import Told
from haven_kit import logs
from haven_kit.call import Call
from haven_kit.errors import Refused
from haven_kit.paging import Page

_log = logs.get(__name__)


class BreakGlassApi:
    """Answers BreakGlassService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cipher = desk.parts.cipher

    async def break_glass(self, call: Call, request: pb.BreakGlassRequest) -> pb.BreakGlassUse:
        alert = await alerts.get(call.tx, request.alert_id, lock=True)
        call.about(alert.person_id)
        call.break_glass = True
        who = call.principal.id
        due_at = call.now + facts.closing_rules().break_glass_within
        used = await break_glass.use(
            call.tx,
            self._cipher,
            alert.alert_id,
            alert.person_id,
            who,
            request.reason,
            due_at,
            tell=self._desk.parts.settings.crisis_privacy_reviewer is not None,
        )
        entry = Entry(Kind.BREAK_GLASS, call.now, who, {"break_glass_id": used.break_glass_id})
        await alerts.add(call.tx, self._cipher, alert, [entry], Told(request.reason))
        tell.glass_broken(call.tx, alert.alert_id, used.break_glass_id, who, due_at)
        metrics.BREAK_GLASS.inc()
        _log.warning("break_glass.used", alert_id=alert.alert_id, principal_id=who)
        return used

    async def list_break_glass_uses(
        self, call: Call, request: pb.ListBreakGlassUsesRequest
    ) -> pb.ListBreakGlassUsesResponse:
        page = Page.of(request)
        uses = await break_glass.listed(
            call.tx, self._cipher, unreviewed=request.unreviewed, before=after(page), limit=page.size + 1
        )
        shown, token = page.cut(uses, lambda each: [each.used_at.ToMicroseconds(), each.break_glass_id])
        call.about(*(each.person_id for each in shown))
        return pb.ListBreakGlassUsesResponse(uses=shown, next_page_token=token)

    async def review_break_glass(self, call: Call, request: pb.ReviewBreakGlassRequest) -> pb.BreakGlassUse:
        used = await break_glass.get(call.tx, self._cipher, request.break_glass_id)
        call.about(used.person_id)
        if used.principal_id == call.principal.id:
            raise Refused("own_use", "Somebody else has to review this: it was you who opened the record.")
        if used.reviewed_by:
            raise Refused("reviewed", "This use is reviewed already.")
        used.justified = request.justified
        used.review_note = request.note
        await break_glass.review(call.tx, self._cipher, used, call.principal.id)
        return used
