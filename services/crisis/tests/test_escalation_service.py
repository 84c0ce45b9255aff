"""From the page to the follow-up: acknowledging, escalating, contact, closing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import alerts_pb2, events_pb2
from haven.crisis.v1 import follow_up_service_pb2 as follow_pb
from haven.crisis.v1 import on_call_service_pb2 as on_call_pb
from haven.crisis.v1.follow_up_service_pb2_grpc import FollowUpServiceStub
from haven.crisis.v1.on_call_service_pb2_grpc import OnCallServiceStub

from haven_kit import ids
from haven_kit.errors import Invalid, NotFound, Refused

from .world import WAIT, World, care_team


async def test_nobody_answers_and_everyone_is_paged_in_turn(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    assert not world.pages("second", raised.alert_id)
    await world.later(WAIT)
    await world.paged("second", raised.alert_id)
    assert len(world.pages("first", raised.alert_id)) == 1
    await world.later(WAIT)
    await world.paged("boss", raised.alert_id)
    await world.paged("last", raised.alert_id)
    await world.later(WAIT)
    await world.paged("boss", raised.alert_id, 2)
    await world.paged("first", raised.alert_id, 2)  # the last resort pages everyone on duty too
    told = [each for each in await world.crisis.told(events_pb2.AlertEscalated) if each.alert_id == raised.alert_id]
    assert [each.step for each in told] == [1, 2, 3]
    await world.replays(raised.alert_id)


async def test_an_acknowledgement_ends_paging_until_the_lease_is_over(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    await world.noted()
    mine = await world.alerts("first").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    assert (mine.state, mine.responder_id) == (alerts_pb2.ALERT_STATE_ACKNOWLEDGED, "first")
    again = await world.alerts("first").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    assert again.etag == mine.etag
    with pytest.raises(NotFound):
        await world.alerts("second").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    await world.later(WAIT * 2)
    assert not world.pages("second", raised.alert_id)
    await world.later(timedelta(minutes=5))
    await world.paged("first", raised.alert_id, 2)
    after = await world.alert(raised.alert_id)
    assert after.state in (alerts_pb2.ALERT_STATE_RAISED, alerts_pb2.ALERT_STATE_PAGED)
    assert not after.responder_id
    await world.replays(raised.alert_id)


async def test_a_colleague_who_was_paged_may_not_take_what_is_taken(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.later(WAIT)
    await world.paged("second", raised.alert_id)
    await world.alerts("second").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    with pytest.raises(Refused) as taken:
        await world.alerts("first").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    assert taken.value.reason == "taken"


async def test_contact_keeps_the_lease_and_closing_has_its_rules(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    desk = world.alerts("first")
    await desk.AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    with pytest.raises(Refused) as early:
        await desk.CloseAlert(_closing(world, raised.alert_id))
    assert early.value.reason == "no_contact"
    with pytest.raises(Refused):
        await desk.RecordStabilised(pb.RecordStabilisedRequest(alert_id=raised.alert_id))
    tried = pb.RecordContactRequest(alert_id=raised.alert_id, reached=False, way="phone", note="no answer")
    await desk.RecordContact(tried)
    tried.reached = True
    contacted = await desk.RecordContact(tried)
    assert contacted.state == alerts_pb2.ALERT_STATE_CONTACTED
    await world.later(timedelta(minutes=10))
    assert (await world.alert(raised.alert_id)).state == alerts_pb2.ALERT_STATE_CONTACTED
    await desk.RecordStabilised(pb.RecordStabilisedRequest(alert_id=raised.alert_id))
    with pytest.raises(Refused) as late:
        await desk.CloseAlert(_closing(world, raised.alert_id, due=timedelta(hours=25)))
    assert late.value.reason == "follow_up_within_24_hours"
    without = _closing(world, raised.alert_id)
    without.ClearField("disposition")
    with pytest.raises(Invalid):
        await desk.CloseAlert(without)
    closed = await desk.CloseAlert(_closing(world, raised.alert_id))
    assert closed.state == alerts_pb2.ALERT_STATE_CLOSED
    assert not closed.HasField("next_deadline")
    with pytest.raises(Refused):
        await desk.AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    kinds: tuple[Any, ...] = (events_pb2.AlertAcknowledged, events_pb2.ContactMade, events_pb2.AlertClosed)
    for kind in kinds:
        assert [each for each in await world.crisis.told(kind) if each.alert_id == raised.alert_id]
    entries = (await desk.GetAlertTimeline(pb.GetAlertTimelineRequest(alert_id=raised.alert_id))).entries
    assert entries[-1].closing.disclosures[0].told == "Sister"
    await world.replays(raised.alert_id)
    fresh = await world.signal(person_id)
    assert fresh.alert_id != raised.alert_id


async def test_a_call_after_contact_is_paged_anew(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    await world.alerts("first").RecordContact(
        pb.RecordContactRequest(alert_id=raised.alert_id, reached=True, way="video")
    )
    again = await world.signal(person_id)
    assert again.alert_id == raised.alert_id
    await world.paged("first", raised.alert_id, 2)
    await world.replays(raised.alert_id)


async def test_a_contacted_alert_that_nobody_closes_is_paged_anew(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.alerts("first").RecordContact(
        pb.RecordContactRequest(alert_id=raised.alert_id, reached=True, way="video")
    )
    await world.later(timedelta(hours=1))
    await world.paged("first", raised.alert_id, 2)


async def test_a_missed_follow_up_becomes_an_alert_once(world: World, person_id: str) -> None:
    await world.plan()
    follow_up_id = await _closed(world, person_id)
    await world.later(timedelta(hours=2))
    await world.step("follow-ups")
    (missed,) = [each for each in await world.crisis.told(events_pb2.FollowUpMissed) if each.person_id == person_id]
    await world.paged("first", missed.new_alert_id)
    late = world.staff("first").stub(FollowUpServiceStub)
    with pytest.raises(Refused):
        await late.RecordFollowUp(_followed(follow_up_id))


async def test_a_recorded_follow_up_raises_nothing(world: World, person_id: str) -> None:
    await world.plan()
    follow_up_id = await _closed(world, person_id)
    desk = world.staff("first").stub(FollowUpServiceStub)
    listed = (await desk.ListFollowUps(follow_pb.ListFollowUpsRequest())).follow_ups
    assert follow_up_id in {each.follow_up_id for each in listed}
    with pytest.raises(NotFound):
        await world.staff("outsider").stub(FollowUpServiceStub).RecordFollowUp(_followed(follow_up_id))
    recorded = await desk.RecordFollowUp(_followed(follow_up_id))
    assert recorded.state == follow_pb.FOLLOW_UP_STATE_RECORDED
    await world.later(timedelta(hours=3))
    assert not [each for each in await world.crisis.told(events_pb2.FollowUpMissed) if each.person_id == person_id]


async def test_handing_over_pages_the_other_at_once_and_comes_back(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    desk = world.alerts("first")
    await desk.AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    with pytest.raises(Refused):
        await desk.ReassignAlert(pb.ReassignAlertRequest(alert_id=raised.alert_id, responder_id="nobody"))
    await desk.ReassignAlert(pb.ReassignAlertRequest(alert_id=raised.alert_id, responder_id="second"))
    await world.paged("second", raised.alert_id)
    await world.later(timedelta(seconds=60))
    await world.paged("first", raised.alert_id, 2)
    await world.replays(raised.alert_id)


async def test_an_attempt_that_reaches_nobody_leaves_the_follow_up_due(world: World, person_id: str) -> None:
    await world.plan()
    follow_up_id = await _closed(world, person_id)
    desk = world.staff("first").stub(FollowUpServiceStub)
    attempt = follow_pb.RecordFollowUpRequest(follow_up_id=follow_up_id, note="no answer")
    tried = await desk.RecordFollowUp(attempt)
    assert (tried.state, tried.attempts) == (follow_pb.FOLLOW_UP_STATE_DUE, 1)
    attempt.reached = True
    with pytest.raises(Invalid):
        await desk.RecordFollowUp(attempt)  # reached, and no word on the risk
    timeline = await world.alerts("first").GetAlertTimeline(pb.GetAlertTimelineRequest(alert_id=tried.alert_id))
    entry = timeline.entries[-1]
    assert (entry.kind, entry.facts["reached"], entry.note) == (
        alerts_pb2.ENTRY_KIND_FOLLOWED_UP,
        "false",
        "no answer",
    )
    await world.replays(tried.alert_id)
    await world.later(timedelta(hours=3))
    assert [each for each in await world.crisis.told(events_pb2.FollowUpMissed) if each.person_id == person_id]


async def test_only_a_human_lowers_the_severity(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    desk = world.alerts("first")
    lowered = await desk.ChangeSeverity(
        pb.ChangeSeverityRequest(
            alert_id=raised.alert_id, severity=alerts_pb2.SEVERITY_ELEVATED, reason="spoke with the facilitator"
        )
    )
    assert lowered.severity == alerts_pb2.SEVERITY_ELEVATED
    await world.signal(person_id)
    assert (await world.alert(raised.alert_id)).severity == alerts_pb2.SEVERITY_HIGH
    with pytest.raises(Invalid):
        await desk.ChangeSeverity(
            pb.ChangeSeverityRequest(alert_id=raised.alert_id, severity=alerts_pb2.SEVERITY_ELEVATED)
        )


async def test_who_sees_an_alert(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    ask = pb.GetAlertRequest(alert_id=raised.alert_id)
    with pytest.raises(NotFound):
        await world.alerts("outsider").GetAlert(ask)
    async with world.transaction() as tx:
        await care_team(tx, person_id, "therapist-1")
    therapist: Any = world.staff("therapist-1", "individual_therapist").stub(_stub())
    assert (await therapist.GetAlert(ask)).person_id == person_id
    assert [each.alert_id for each in (await therapist.ListAlerts(pb.ListAlertsRequest())).alerts] == [raised.alert_id]
    assert not (await world.alerts("outsider").ListAlerts(pb.ListAlertsRequest())).alerts
    on_duty = await world.alerts("first").ListAlerts(pb.ListAlertsRequest(page_size=1))
    assert on_duty.alerts[0].alert_id == raised.alert_id
    if on_duty.next_page_token:
        more = await world.alerts("first").ListAlerts(
            pb.ListAlertsRequest(page_size=1, page_token=on_duty.next_page_token)
        )
        assert more.alerts[0].alert_id != raised.alert_id


async def test_a_watch_shows_each_change_and_resumes(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    seen = []
    stream = world.alerts("first").WatchAlerts(pb.WatchAlertsRequest())
    async for each in stream:
        if each.alert.alert_id == raised.alert_id:
            seen.append(each)
            break
    await stream.aclose()
    world.clock.advance(timedelta(seconds=30))
    await world.alerts("first").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    stream = world.alerts("first").WatchAlerts(pb.WatchAlertsRequest(last_event_id=seen[0].event_id))
    async for each in stream:
        if each.alert.alert_id == raised.alert_id and each.alert.responder_id:
            break
    await stream.aclose()
    assert each.alert.responder_id == "first"


async def _on_duty(world: World, name: str) -> None:
    """Put somebody else on call."""
    plan = world.staff("admin", "administrator").stub(OnCallServiceStub)
    rotation = await plan.GetRotation(on_call_pb.GetRotationRequest(rotation_id=world.ids["rotation"]))
    del rotation.responder_ids[:], rotation.layers[:]
    rotation.responder_ids.append(name)
    await plan.PutRotation(on_call_pb.PutRotationRequest(rotation_id=rotation.rotation_id, rotation=rotation))


async def _look(stream: Any) -> tuple[set[str], bool, str]:
    """One whole look of a watch: the alerts that came, whether a reset came before them, and where it ended."""
    shown: set[str] = set()
    reset = False
    async for each in stream:
        reset = reset or each.reset
        if each.HasField("alert"):
            shown.add(each.alert.alert_id)
        elif not each.reset:
            return shown, reset, each.event_id
    raise AssertionError("the watch ended")


async def test_a_watch_tells_when_the_duty_and_with_it_the_sight_of_every_alert_ends(
    world: World, person_id: str
) -> None:
    await world.plan()
    own = await world.signal(person_id)
    await world.paged("first", own.alert_id)
    await _on_duty(world, "second")
    other = await world.signal(ids.new_id())
    await world.paged("second", other.alert_id)
    await _on_duty(world, "first")

    stream = world.alerts("first").WatchAlerts(pb.WatchAlertsRequest())
    shown, reset, on_duty = await _look(stream)
    assert ({own.alert_id, other.alert_id} <= shown, reset) == (True, False)
    await _on_duty(world, "second")
    shown, reset, off_duty = await _look(stream)
    assert (own.alert_id in shown, other.alert_id in shown, reset) == (True, False, True)
    await stream.aclose()

    for last, expected in ((on_duty, (False, True)), (off_duty, (False, False))):
        stream = world.alerts("first").WatchAlerts(pb.WatchAlertsRequest(last_event_id=last))
        shown, reset, _ = await _look(stream)
        assert (other.alert_id in shown, reset) == expected
        await stream.aclose()
    world.clock.advance(timedelta(minutes=2))
    await _on_duty(world, "first")
    stream = world.alerts("first").WatchAlerts(pb.WatchAlertsRequest(last_event_id=off_duty))
    shown, reset, _ = await _look(stream)
    assert (other.alert_id in shown, reset) == (True, False), "whoever comes on duty sees what is open"
    await stream.aclose()


async def test_the_auditor_pages_the_last_resort_for_a_forgotten_alert(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    async with world.transaction() as tx:
        # As an escalator that hangs would: it holds the alert, so that no other works on it.
        await tx.fetch("SELECT 1 FROM alert WHERE alert_id = $1 FOR NO KEY UPDATE", raised.alert_id)
        await world.later(WAIT + timedelta(seconds=31))
        assert not world.pages("second", raised.alert_id)
        assert not world.pages("last", raised.alert_id)
        loops = {each.name: each for each in world.crisis.process.service.workers}
        await loops["auditor"].step()
        await world.paged("last", raised.alert_id)
    await world.later(timedelta(seconds=0))
    await world.paged("second", raised.alert_id)


def _stub() -> Any:
    from haven.crisis.v1.alert_service_pb2_grpc import AlertServiceStub

    return AlertServiceStub


def _closing(world: World, alert_id: str, due: timedelta = timedelta(hours=2)) -> pb.CloseAlertRequest:
    at = Timestamp()
    at.FromDatetime(world.clock.now() + due)
    return pb.CloseAlertRequest(
        alert_id=alert_id,
        disposition=alerts_pb2.DISPOSITION_SAFETY_PLAN_USED,
        risk_level=alerts_pb2.RISK_LEVEL_MODERATE,
        disclosures=[alerts_pb2.Disclosure(told="Sister", ground=alerts_pb2.LEGAL_GROUND_CONSENT)],
        follow_up_due_at=at,
        note="went through the plan together",
    )


async def _closed(world: World, person_id: str) -> str:
    raised = await world.signal(person_id)
    desk = world.alerts("first")
    await desk.RecordContact(pb.RecordContactRequest(alert_id=raised.alert_id, reached=True, way="video"))
    closed = await desk.CloseAlert(_closing(world, raised.alert_id))
    return str(closed.follow_up_id)


def _followed(follow_up_id: str) -> follow_pb.RecordFollowUpRequest:
    return follow_pb.RecordFollowUpRequest(
        follow_up_id=follow_up_id or ids.new_id(), reached=True, risk_level=alerts_pb2.RISK_LEVEL_LOW, note="sleeping"
    )
