"""After a severe alert: a second clinician's signature, a debrief, the record and its chain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import alerts_pb2, events_pb2, signals_pb2
from haven.crisis.v1 import review_service_pb2 as review_pb
from haven.crisis.v1.review_service_pb2_grpc import ReviewServiceStub

from haven_crisis import facts
from haven_crisis.domain.severity import Severity
from haven_crisis.store import alerts, reviews
from haven_kit.errors import Denied, Invalid, NotFound, Refused

from .world import World, care_team

NONE, AWAITED, DECLINED, GIVEN = range(4)


class _Undone(Exception):
    """What the test did to the record is rolled back."""


async def _closed(world: World, person_id: str, **given: Any) -> alerts_pb2.Alert:
    await world.plan()
    raised = await world.signal(person_id, **given.pop("signal", {}))
    desk = world.alerts("first")
    await desk.RecordContact(pb.RecordContactRequest(alert_id=raised.alert_id, reached=True, way="video"))
    if severity := given.pop("judged", 0):
        change = pb.ChangeSeverityRequest(alert_id=raised.alert_id, severity=severity, reason="as we spoke")
        await desk.ChangeSeverity(change)
    closed: alerts_pb2.Alert = await desk.CloseAlert(_closing(world, raised.alert_id, **given))
    return closed


def _closing(world: World, alert_id: str, **given: Any) -> pb.CloseAlertRequest:
    values: dict[str, Any] = {
        "disposition": alerts_pb2.DISPOSITION_SUPPORTED,
        "risk_level": alerts_pb2.RISK_LEVEL_LOW,
        "nobody_told": True,
        "note": "we talked it through",
    }
    request = pb.CloseAlertRequest(alert_id=alert_id, **{**values, **given})
    request.follow_up_due_at.FromDatetime(world.clock.now() + timedelta(hours=20))
    return request


async def _clinician(world: World, person_id: str, name: str = "therapist-7") -> Any:
    async with world.transaction() as tx:
        if not await tx.fetch("SELECT 1 FROM care_team WHERE person_id = $1 AND principal_id = $2", person_id, name):
            await care_team(tx, person_id, name)
    return world.staff(name, "individual_therapist").stub(ReviewServiceStub)


def _debrief() -> alerts_pb2.Debrief:
    return alerts_pb2.Debrief(
        went_well="the sister was reached",
        to_change="the plan was old",
        support_offered="peer call",
        took_part=["first"],
    )


async def test_a_severe_alert_is_closed_and_awaits_a_second_clinician(world: World, person_id: str) -> None:
    closed = await _closed(world, person_id)
    assert (closed.state, closed.co_signature) == (alerts_pb2.ALERT_STATE_CLOSED, AWAITED)
    assert not closed.HasField("next_deadline")  # nobody is paged for a signature
    (told,) = [each for each in await world.crisis.told(events_pb2.AlertClosed) if each.alert_id == closed.alert_id]
    assert told.co_signature_awaited
    sign = review_pb.CoSignRequest(alert_id=closed.alert_id, note="I agree")
    for role, error in (("on_call_responder", Denied), ("facilitator", Denied), ("administrator", Denied)):
        with pytest.raises(error):
            await world.staff("second", role).stub(ReviewServiceStub).CoSign(sign)
    closer = world.crisis.as_role("on_call_responder", "individual_therapist", sub="first").stub(ReviewServiceStub)
    with pytest.raises(Refused) as own:
        await closer.CoSign(sign)
    assert own.value.reason == "own_closing"
    with pytest.raises(NotFound):
        await world.staff("stranger", "individual_therapist").stub(ReviewServiceStub).CoSign(sign)
    therapist = await _clinician(world, person_id)
    due = (await therapist.ListReviews(review_pb.ListReviewsRequest())).reviews
    assert {(each.kind, each.asked_of) for each in due} == {
        (review_pb.REVIEW_KIND_CO_SIGNATURE, ""),
        (review_pb.REVIEW_KIND_DEBRIEF, "first"),
    }
    assert (await therapist.CoSign(sign)).co_signature == GIVEN
    with pytest.raises(Refused) as again:
        await therapist.CoSign(sign)
    assert again.value.reason == "none_awaited"
    only = review_pb.ListReviewsRequest(include_done=True, kind=review_pb.REVIEW_KIND_CO_SIGNATURE, page_size=1)
    (done,) = (await therapist.ListReviews(only)).reviews
    assert (done.state, done.done_by) == (review_pb.REVIEW_STATE_DONE, "therapist-7")
    await world.replays(closed.alert_id)


async def test_a_declined_signature_goes_back_to_the_closer_and_comes_again(world: World, person_id: str) -> None:
    closed = await _closed(world, person_id, co_signer_id="therapist-9")
    # Who is asked by name may see it without any other relation.
    asked = world.staff("therapist-9", "prescriber").stub(ReviewServiceStub)
    (task,) = (await asked.ListReviews(review_pb.ListReviewsRequest())).reviews
    assert task.asked_of == "therapist-9"
    reason = review_pb.DeclineCoSignatureRequest(alert_id=closed.alert_id, reason="the risk was moderate")
    assert (await asked.DeclineCoSignature(reason)).co_signature == DECLINED
    with pytest.raises(Refused):
        await asked.CoSign(review_pb.CoSignRequest(alert_id=closed.alert_id))
    closer = world.staff("first").stub(ReviewServiceStub)
    answer = review_pb.AmendClosingRequest(
        alert_id=closed.alert_id,
        disposition=alerts_pb2.DISPOSITION_SAFETY_PLAN_USED,
        risk_level=alerts_pb2.RISK_LEVEL_MODERATE,
        note="You are right.",
    )
    with pytest.raises(Invalid):
        await closer.AmendClosing(answer)  # it says neither who was told nor that nobody was
    answer.nobody_told = True
    async with world.transaction() as tx:
        await care_team(tx, person_id, "therapist-7")
    with pytest.raises(Refused) as not_theirs:
        await world.staff("therapist-7", "individual_therapist").stub(ReviewServiceStub).AmendClosing(answer)
    assert not_theirs.value.reason == "not_yours"
    assert (await closer.AmendClosing(answer)).co_signature == AWAITED
    assert (await asked.CoSign(review_pb.CoSignRequest(alert_id=closed.alert_id))).co_signature == GIVEN
    record = await world.alerts("first").ExportAlert(pb.ExportAlertRequest(alert_id=closed.alert_id))
    closings = [each.closing.risk_level for each in record.timeline if each.HasField("closing")]
    assert closings == [alerts_pb2.RISK_LEVEL_LOW, alerts_pb2.RISK_LEVEL_MODERATE]
    told = [each for each in await world.crisis.told(events_pb2.ClosingReviewed) if each.alert_id == closed.alert_id]
    assert [each.signed for each in told] == [False, True]
    await world.replays(closed.alert_id)


async def test_a_colleague_answers_where_the_closer_does_not_in_time(world: World, person_id: str) -> None:
    closed = await _closed(world, person_id)
    declining = await _clinician(world, person_id)
    await declining.DeclineCoSignature(review_pb.DeclineCoSignatureRequest(alert_id=closed.alert_id, reason="unclear"))
    world.clock.advance(facts.closing_rules().answer_within)
    answer = review_pb.AmendClosingRequest(
        alert_id=closed.alert_id,
        disposition=alerts_pb2.DISPOSITION_SUPPORTED,
        risk_level=alerts_pb2.RISK_LEVEL_LOW,
        nobody_told=True,
        note="Asked the team.",
    )
    colleague = await _clinician(world, person_id, "therapist-8")
    assert (await colleague.AmendClosing(answer)).co_signature == AWAITED
    with pytest.raises(Refused) as own:
        await colleague.CoSign(review_pb.CoSignRequest(alert_id=closed.alert_id))
    assert own.value.reason == "own_closing"
    assert await (await _clinician(world, person_id)).CoSign(review_pb.CoSignRequest(alert_id=closed.alert_id))
    await world.replays(closed.alert_id)


async def test_lowering_the_severity_before_closing_spares_no_signature(world: World, person_id: str) -> None:
    closed = await _closed(world, person_id, judged=alerts_pb2.SEVERITY_ELEVATED)
    assert (closed.severity, closed.co_signature) == (alerts_pb2.SEVERITY_ELEVATED, AWAITED)


async def test_what_was_never_severe_needs_none_unless_the_closing_says_so(world: World, person_id: str) -> None:
    trend = {"source": signals_pb2.SIGNAL_SOURCE_CHECK_IN_TREND}
    service = {"caller": world.crisis.as_service("intake"), **trend}
    assert (await _closed(world, person_id, signal=service)).co_signature == NONE
    high = await _closed(world, person_id, signal=service, risk_level=alerts_pb2.RISK_LEVEL_HIGH)
    assert high.co_signature == AWAITED


async def test_a_drill_needs_neither_follow_up_nor_signature(world: World, person_id: str) -> None:
    await world.plan()
    drill = await world.signal(person_id, world.staff("first"), source=signals_pb2.SIGNAL_SOURCE_DRILL)
    desk = world.alerts("first")
    await desk.RecordContact(pb.RecordContactRequest(alert_id=drill.alert_id, reached=True, way="phone"))
    with pytest.raises(Invalid):
        await desk.CloseAlert(_closing(world, drill.alert_id))
    closed = await desk.CloseAlert(_closing(world, drill.alert_id, disposition=alerts_pb2.DISPOSITION_DRILL))
    assert (closed.follow_up_id, closed.co_signature) == ("", NONE)
    drills = await desk.ListAlerts(
        pb.ListAlertsRequest(states=[alerts_pb2.ALERT_STATE_CLOSED], drills=pb.DRILL_FILTER_DRILLS, page_size=200)
    )
    assert drill.alert_id in {each.alert_id for each in drills.alerts}
    assert all(each.drill for each in drills.alerts)
    await world.later(timedelta(hours=25))
    assert not [each for each in await world.crisis.told(events_pb2.FollowUpMissed) if each.person_id == person_id]


async def test_a_closing_says_who_was_told(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    desk = world.alerts("first")
    await desk.RecordContact(pb.RecordContactRequest(alert_id=raised.alert_id, reached=True, way="video"))
    told = alerts_pb2.Disclosure(told="Sister", ground=alerts_pb2.LEGAL_GROUND_CONSENT)
    for wrong in ({"nobody_told": False}, {"disclosures": [told]}, {"co_signer_id": "first"}):
        with pytest.raises(Invalid):
            await desk.CloseAlert(_closing(world, raised.alert_id, **wrong))
    await desk.CloseAlert(_closing(world, raised.alert_id, disclosures=[told], nobody_told=False))


async def test_a_debrief_is_recorded_once_and_sealed(world: World, person_id: str) -> None:
    closed = await _closed(world, person_id)
    desk = world.staff("first").stub(ReviewServiceStub)
    ask = review_pb.RecordDebriefRequest(alert_id=closed.alert_id, debrief=_debrief())
    incomplete = review_pb.RecordDebriefRequest(alert_id=closed.alert_id, debrief=_debrief())
    incomplete.debrief.support_offered = ""
    with pytest.raises(Invalid):
        await desk.RecordDebrief(incomplete)
    assert (await desk.RecordDebrief(ask)).done_by == "first"
    with pytest.raises(Refused) as again:
        await desk.RecordDebrief(ask)
    assert again.value.reason == "none_due"
    record = await world.alerts("first").ExportAlert(pb.ExportAlertRequest(alert_id=closed.alert_id))
    assert record.timeline[-1].debrief.to_change == "the plan was old"
    async with world.transaction() as tx:
        rows = await tx.fetch("SELECT facts::text, sealed FROM timeline WHERE alert_id = $1", closed.alert_id)
        looks = await tx.fetch(
            "SELECT seen_as FROM audit_entry WHERE action LIKE '%RecordDebrief' AND person_id = $1", person_id
        )
    assert not [row for row in rows if "plan was old" in row["facts"] or b"plan was old" in (row["sealed"] or b"")]
    assert looks
    await world.replays(closed.alert_id)


async def test_what_is_late_is_told_once_and_found_until_it_is_done(world: World, person_id: str) -> None:
    closed = await _closed(world, person_id)
    before = len(world.pages("first", closed.alert_id))
    world.clock.advance(facts.closing_rules().debrief_within)
    for _ in range(2):
        await world.step("reviews")
    told = [each for each in await world.crisis.told(events_pb2.ReviewLate) if each.alert_id == closed.alert_id]
    assert sorted(each.kind for each in told) == ["co_signature", "debrief"]
    assert len(world.pages("first", closed.alert_id)) == before
    async with world.transaction() as tx:
        late = await reviews.overdue(tx, tx.now + timedelta(seconds=1))
    assert late >= 2
    desk = world.staff("first").stub(ReviewServiceStub)
    listed = (await desk.ListReviews(review_pb.ListReviewsRequest(page_size=200))).reviews
    assert {each.state for each in listed if each.alert_id == closed.alert_id} == {review_pb.REVIEW_STATE_LATE}
    done = await desk.RecordDebrief(review_pb.RecordDebriefRequest(alert_id=closed.alert_id, debrief=_debrief()))
    assert done.state == review_pb.REVIEW_STATE_DONE


async def test_the_record_of_a_closed_alert_shows_whether_its_chain_holds(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    ask = pb.ExportAlertRequest(alert_id=raised.alert_id)
    with pytest.raises(Refused):
        await world.alerts("first").ExportAlert(ask)
    closed = await _closed(world, person_id)
    record = await world.alerts("first").ExportAlert(ask)
    assert (record.problem, record.alert.etag) == ("", closed.etag)
    (told,) = [each for each in await world.crisis.told(events_pb2.AlertClosed) if each.alert_id == closed.alert_id]
    assert record.chain_head == told.chain_head == record.timeline[-1].hash
    assert len({each.hash for each in record.timeline}) == len(record.timeline)


@pytest.mark.parametrize(
    ("tampering", "problem"),
    [
        ("UPDATE timeline SET actor = 'somebody' WHERE alert_id = $1 AND seq = 2", "Entry 2 is not"),
        (
            'UPDATE timeline SET facts = facts || \'{"way": "letter"}\' WHERE alert_id = $1 AND seq = 2',
            "Entry 2 is not",
        ),
        ("UPDATE timeline SET at = at - interval '1 microsecond' WHERE alert_id = $1 AND seq = 1", "Entry 1 is not"),
        ("UPDATE timeline SET sealed = 'x' WHERE alert_id = $1 AND seq = 1", "Entry 1 is not"),
        ("DELETE FROM timeline WHERE alert_id = $1 AND seq = 2", "Entry 2 is missing"),
        ("DELETE FROM timeline WHERE alert_id = $1 AND seq = (SELECT seq FROM alert WHERE alert_id = $1)", "There are"),
        ("UPDATE alert SET responder_id = 'somebody' WHERE alert_id = $1", "do not give the alert"),
    ],
)
async def test_a_change_of_the_timeline_is_found(world: World, person_id: str, tampering: str, problem: str) -> None:
    closed = await _closed(world, person_id)
    with pytest.raises(_Undone):
        async with world.transaction() as tx:
            assert await alerts.verify(tx, closed.alert_id) is None
            await tx.fetch("ALTER TABLE timeline DISABLE TRIGGER timeline_is_final")
            await tx.fetch(tampering, closed.alert_id)
            found = await alerts.verify(tx, closed.alert_id)
            assert found is not None
            assert problem in found
            raise _Undone


async def test_counts_and_filters(world: World, person_id: str) -> None:
    await world.plan()
    desk = world.alerts("first")
    before = {
        (each.state, each.severity): each.count for each in (await desk.CountAlerts(pb.CountAlertsRequest())).counts
    }
    raised = await world.signal(person_id)
    await desk.AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    counted = await desk.CountAlerts(pb.CountAlertsRequest())
    key = (alerts_pb2.ALERT_STATE_ACKNOWLEDGED, alerts_pb2.SEVERITY_HIGH)
    after = {(each.state, each.severity): each.count for each in counted.counts if not each.drill}
    assert after[key] == before.get(key, 0) + 1
    assert counted.mine >= 1
    immediate = await desk.ListAlerts(pb.ListAlertsRequest(person_id=person_id, at_least=alerts_pb2.SEVERITY_IMMEDIATE))
    assert not immediate.alerts
    mine = await desk.ListAlerts(pb.ListAlertsRequest(person_id=person_id, mine=True, states=[key[0]]))
    assert [each.alert_id for each in mine.alerts] == [raised.alert_id]
    assert not (await world.alerts("outsider").CountAlerts(pb.CountAlertsRequest())).counts


def test_the_rules_of_closing_are_read_as_written() -> None:
    rules = facts.closing_rules()
    assert rules.severity is Severity.HIGH
    assert rules.risk_levels == {alerts_pb2.RISK_LEVEL_HIGH}
    assert alerts_pb2.DISPOSITION_EMERGENCY_SERVICES in rules.dispositions
    assert rules.sign_within < rules.debrief_within
