"""What responders do to an alert by AlertService."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import alerts_pb2
from haven.crisis.v1 import review_service_pb2 as review_pb

from haven_crisis import facts, journeys
from haven_crisis.api import tell
from haven_crisis.api.desk import Desk
from haven_crisis.domain import commands
from haven_crisis.domain.alerts import Alert, asked_stage
from haven_crisis.domain.escalation import Step, Target
from haven_crisis.domain.severity import Severity
from haven_crisis.store import alerts, follow_ups, reviews
from haven_crisis.store.alerts import Told
from haven_crisis.store.pages import Round
from haven_crisis.store.reviews import ReviewKind
from haven_kit import ids, telemetry
from haven_kit.call import Call
from haven_kit.errors import Invalid, Refused

CANNOT_BE_PAGED = "This person cannot be paged. Choose a responder with a channel."


class AlertCommands:
    """The half of AlertService that changes something."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._cipher = desk.parts.cipher

    async def acknowledge_alert(self, call: Call, request: pb.AcknowledgeAlertRequest) -> alerts_pb2.Alert:
        alert = await self.desk.alert(call, request.alert_id, lock=True)
        return alerts.message(await self.desk.take(call.tx, alert, call.principal.id))

    async def renew_lease(self, call: Call, request: pb.RenewLeaseRequest) -> alerts_pb2.Alert:
        _, alert = await self.desk.command(
            call,
            request.alert_id,
            lambda alert: commands.renew_lease(alert, call.principal.id, call.now, self.desk.limits),
            Told(request.reason),
        )
        return alerts.message(alert)

    async def offer_hand_over(self, call: Call, request: pb.OfferHandOverRequest) -> alerts_pb2.Alert:
        alert = await self.desk.alert(call, request.alert_id, lock=True)
        await self._reachable(call, [request.responder_id])
        after = await self.desk.add(
            call.tx,
            alert,
            lambda alert: commands.offer_hand_over(alert, call.principal.id, request.responder_id, call.now),
            Told(request.note),
        )
        await self._ask(call, alert, after, [request.responder_id])
        return alerts.message(after)

    async def answer_hand_over(self, call: Call, request: pb.AnswerHandOverRequest) -> alerts_pb2.Alert:
        who, limits = call.principal.id, self.desk.limits
        before, alert = await self.desk.command(
            call,
            request.alert_id,
            lambda alert: (
                commands.accept_hand_over(alert, who, call.now, limits)
                if request.accept
                else commands.decline_hand_over(alert, who, call.now)
            ),
            Told(request.note),
        )
        if request.accept:
            tell.handed_over(call.tx, before, alert)
        return alerts.message(alert)

    async def add_responders(self, call: Call, request: pb.AddRespondersRequest) -> alerts_pb2.Alert:
        alert = await self.desk.alert(call, request.alert_id, lock=True)
        await self._reachable(call, request.responder_ids)
        for place, each in enumerate(request.responder_ids):
            self._may_take(call, f"responder_ids[{place}]", each)
        after = await self.desk.add(
            call.tx,
            alert,
            lambda alert: commands.add_responders(alert, call.principal.id, request.responder_ids, call.now),
            Told(request.note),
        )
        await self._ask(call, alert, after, request.responder_ids)
        return alerts.message(after)

    async def observe_alert(self, call: Call, request: pb.ObserveAlertRequest) -> alerts_pb2.Alert:
        who = call.principal.id
        _, alert = await self.desk.command(call, request.alert_id, lambda alert: commands.observe(alert, who, call.now))
        return alerts.message(alert)

    async def stop_observing_alert(self, call: Call, request: pb.StopObservingAlertRequest) -> alerts_pb2.Alert:
        who = call.principal.id
        _, alert = await self.desk.command(
            call, request.alert_id, lambda alert: commands.stop_observing(alert, who, call.now)
        )
        return alerts.message(alert)

    async def reassign_alert(self, call: Call, request: pb.ReassignAlertRequest) -> alerts_pb2.Alert:
        # Who can be paged is said only to those who may see the alert.
        alert = await self.desk.alert(call, request.alert_id, lock=True)
        to = await self._chosen(call, request)
        within = timedelta(seconds=self.desk.parts.settings.crisis_answer_within_seconds)
        group = request.rotation_id or request.team_id
        after = await self.desk.add(
            call.tx,
            alert,
            lambda alert: commands.reassign(alert, call.principal.id, to, call.now, within, group),
            Told(request.note),
        )
        of = Round(after.alert_id, after.cycle, after.stage, after.drill, after.raised_at, telemetry.traceparent())
        await self.desk.pager.page(call.tx, of, self.desk.pager.drafts(to, after.severity))
        tell.reassigned(call.tx, after, call.principal.id)
        return alerts.message(after)

    async def record_contact(self, call: Call, request: pb.RecordContactRequest) -> alerts_pb2.Alert:
        who, limits = call.principal.id, self.desk.limits
        before, alert = await self.desk.command(
            call,
            request.alert_id,
            lambda alert: commands.contact(alert, who, request.way, request.reached, call.now, limits),
            Told(request.note),
        )
        if request.reached:
            tell.contact_made(call.tx, alert)
            if before.contacted_at is None:
                journeys.contacted(alert, await alerts.called_at(call.tx, alert), call.now)
        return alerts.message(alert)

    async def record_stabilised(self, call: Call, request: pb.RecordStabilisedRequest) -> alerts_pb2.Alert:
        before, alert = await self.desk.command(
            call,
            request.alert_id,
            lambda alert: commands.stabilise(alert, call.principal.id, call.now, self.desk.limits),
            Told(request.note),
        )
        if alert.seq != before.seq:
            tell.stabilised(call.tx, alert)
        return alerts.message(alert)

    async def change_severity(self, call: Call, request: pb.ChangeSeverityRequest) -> alerts_pb2.Alert:
        who = call.principal.id
        before, alert = await self.desk.command(
            call,
            request.alert_id,
            lambda alert: commands.change_severity(alert, who, Severity(request.severity), call.now),
            Told(request.reason),
        )
        if alert.severity is not before.severity:
            tell.severity_changed(call.tx, before, alert, who)
        if alert.severity > before.severity:
            await self.desk.pager.widen(call.tx, alert.alert_id)
        return alerts.message(alert)

    async def close_alert(self, call: Call, request: pb.CloseAlertRequest) -> alerts_pb2.Alert:
        who, follow_up_id = call.principal.id, ids.new_id()
        due_at = request.follow_up_due_at.ToDatetime(UTC)
        alert = await self.desk.alert(call, request.alert_id, lock=True)
        closing = closing_of(request, alert)
        if request.co_signer_id == who:
            raise Invalid("co_signer_id", "another_clinician", "Somebody else has to sign. Name a colleague or nobody.")
        past = await alerts.entries(call.tx, alert.alert_id)
        second = not alert.drill and facts.closing_rules().needs_second(past, closing.disposition, closing.risk_level)
        after = await self.desk.add(
            call.tx,
            alert,
            lambda alert: commands.close(alert, who, follow_up_id, due_at, call.now, co_signature=second),
            Told(request.note, closing),
        )
        if after.follow_up_id:
            await follow_ups.create(call.tx, follow_up_id, after.alert_id, after.person_id, who, due_at)
        if second:
            await self._review(call, after, request.co_signer_id)
        tell.closed(call.tx, after, due_at, await alerts.chain_head(call.tx, after.alert_id))
        return alerts.message(after)

    async def _review(self, call: Call, alert: Alert, co_signer: str) -> None:
        """A severe alert is over: a second clinician signs, and a debrief is held."""
        rules = facts.closing_rules()

        async def begin(kind: ReviewKind, due_at: datetime, asked_of: str) -> None:
            await reviews.begin(call.tx, alert.alert_id, alert.person_id, kind, due_at, asked_of=asked_of)

        await begin(ReviewKind.CO_SIGNATURE, call.now + rules.sign_within, co_signer)
        await begin(ReviewKind.DEBRIEF, call.now + rules.debrief_within, call.principal.id)

    async def _ask(self, call: Call, before: Alert, after: Alert, responders: Sequence[str]) -> None:
        """Page people whom somebody asked for by the entry that came after `before`."""
        stage = asked_stage(before)
        of = Round(after.alert_id, after.cycle, stage, after.drill, after.raised_at, telemetry.traceparent())
        await self.desk.pager.page(call.tx, of, self.desk.pager.drafts(responders, after.severity))

    async def _reachable(self, call: Call, responders: Sequence[str]) -> None:
        book = await self.desk.book(call.tx)
        if not book.reachable.issuperset(responders):
            raise Refused("no_such_responder", CANNOT_BE_PAGED)

    def _may_take(self, call: Call, field: str, responder_id: str) -> None:
        """Raises Invalid for somebody who only watches: nobody is to wait for an answer that they may not give."""
        book = self.desk.directory.book
        if book.observes(responder_id, call.now):
            who = book.names.get(responder_id, "This person")
            raise Invalid(
                field,
                "observer",
                f"{who} shadows a rotation now and cannot take alerts. Choose somebody else, or offer them yours: what "
                "they accept is theirs.",
            )

    async def _chosen(self, call: Call, request: pb.ReassignAlertRequest) -> tuple[str, ...]:
        """Whom an alert is given to: the one who is named, or whoever is on call in a rotation or a team."""
        book = await self.desk.book(call.tx)
        if sum(map(bool, (request.responder_id, request.rotation_id, request.team_id))) != 1:
            raise Invalid("responder_id", "exactly_one", "Name a responder, a rotation or a team: one of them.")
        target = Target(request.rotation_id, request.responder_id, team_id=request.team_id)
        to = book.paged_by(Step((target,), timedelta()), call.now)
        if not to and request.responder_id:
            raise Refused("no_such_responder", CANNOT_BE_PAGED)
        self._may_take(call, "responder_id", request.responder_id)
        if not to:
            raise Refused("nobody_on_call", "Nobody who can be paged is on call there now. Choose a responder.")
        return to


def closing_of(request: pb.CloseAlertRequest | review_pb.AmendClosingRequest, alert: Alert) -> alerts_pb2.Closing:
    """What a closing says. Raises Invalid where it does not say who was told, or calls a call for help a drill."""
    if alert.drill != (request.disposition == alerts_pb2.DISPOSITION_DRILL):
        raise Invalid("disposition", "drill", "A drill is closed as a drill, and nothing else is.")
    if not alert.drill and bool(request.disclosures) == request.nobody_told:
        raise Invalid("disclosures", "who_was_told", "Say who was told and on what ground, or that nobody was told.")
    return alerts_pb2.Closing(
        disposition=request.disposition, risk_level=request.risk_level, disclosures=request.disclosures
    )
