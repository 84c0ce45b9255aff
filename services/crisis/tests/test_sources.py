"""Where signals come from beside people who call: what other services tell of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from haven.crisis.v1 import alerts_pb2 as pb
from haven.crisis.v1 import events_pb2, signals_pb2
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.intake.v1 import events_pb2 as intake
from haven.sessions.v1 import events_pb2 as sessions

from haven_kit import ids
from haven_kit.errors import Denied, Invalid, NotFound, Stale

from .world import World, care_team


async def opened(world: World, person_id: str) -> pb.Alert | None:
    """The person's open alert."""
    from haven.crisis.v1.alert_service_pb2 import ListAlertsRequest

    found = (await world.alerts().ListAlerts(ListAlertsRequest(person_id=person_id))).alerts
    return found[0] if found else None


def at_now(world: World, event: Any) -> Any:
    event.raised_at.FromDatetime(world.clock.now())
    return event


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        ("", pb.SEVERITY_HIGH),
        ("high", pb.SEVERITY_HIGH),
        ("immediate", pb.SEVERITY_IMMEDIATE),
        ("a word of a later release", pb.SEVERITY_HIGH),
    ],
)
async def test_a_screening_is_as_severe_as_intake_says(
    world: World, person_id: str, level: str, severity: pb.Severity.ValueType
) -> None:
    await world.plan()
    signal_id = ids.new_id()
    event = intake.ConcernRaised(signal_id=signal_id, person_id=person_id, screening_id=ids.new_id(), level=level)
    await world.crisis.react(at_now(world, event), key=person_id)
    alert = await opened(world, person_id)
    assert alert is not None
    assert alert.severity == severity
    # The other road of the same signal changes nothing.
    call = {"signal_id": signal_id, "source": signals_pb2.SIGNAL_SOURCE_SCREENING}
    again = await world.signal(person_id, world.crisis.as_service("intake"), **call)
    assert again.alert_id == alert.alert_id
    assert (await world.alert(alert.alert_id)).severity == severity
    await world.replays(alert.alert_id)


async def test_days_that_became_worse_need_a_human_today(world: World, person_id: str) -> None:
    await world.plan()
    event = intake.CheckInTrendNoticed(signal_id=ids.new_id(), person_id=person_id, rule_id="check-in-trend/1")
    await world.crisis.react(at_now(world, event), key=person_id)
    alert = await opened(world, person_id)
    assert alert is not None
    assert alert.severity == pb.SEVERITY_ELEVATED
    await world.paged("first", alert.alert_id)


async def test_only_staff_and_services_judge_how_severe_a_call_is(world: World, person_id: str) -> None:
    await world.plan()
    immediate = {"level": signals_pb2.SIGNAL_LEVEL_IMMEDIATE}
    raised = await world.signal(person_id, **immediate)
    assert (await world.alert(raised.alert_id)).severity == pb.SEVERITY_HIGH
    facilitator = world.staff("facilitator", "facilitator")
    source = signals_pb2.SIGNAL_SOURCE_FACILITATOR
    again = await world.signal(person_id, facilitator, **immediate, source=source)
    assert again.alert_id == raised.alert_id
    assert (await world.alert(raised.alert_id)).severity == pb.SEVERITY_IMMEDIATE
    odd = await world.signal(ids.new_id(), facilitator, level=77, source=source)
    assert (await world.alert(odd.alert_id)).severity == pb.SEVERITY_HIGH


def absent(world: World, person_id: str) -> sessions.ParticipantAbsent:
    event = sessions.ParticipantAbsent(session_id=ids.new_id(), person_id=person_id, facilitator_id="leader")
    event.starts_at.FromDatetime(world.clock.now() - timedelta(minutes=15))
    event.noticed_at.FromDatetime(world.clock.now())
    return event


async def watched(world: World, person_id: str, until: timedelta, therapist: str = "therapist-9", **given: Any) -> Any:
    watch = signals_pb2.RiskWatch(reason="said goodbye last week", **given)
    watch.until.FromDatetime(world.clock.now() + until)
    stub: Any = world.staff(therapist, "individual_therapist").stub(CrisisServiceStub)
    return await stub.PutRiskWatch(signals_pb2.PutRiskWatchRequest(person_id=person_id, watch=watch))


async def test_signs_that_a_facilitator_saw_are_as_severe_as_they_are_and_one_signal(
    world: World, person_id: str
) -> None:
    await world.plan()
    event = sessions.DistressObserved(
        signal_id=ids.new_id(),
        person_id=person_id,
        session_id=ids.new_id(),
        facilitator_id="leader",
        level="immediate",
    )
    await world.crisis.react(at_now(world, event), key=event.signal_id)
    alert = await opened(world, person_id)
    assert alert is not None
    assert (alert.severity, alert.facilitator_id) == (pb.SEVERITY_IMMEDIATE, "leader")
    direct = {"signal_id": event.signal_id, "source": signals_pb2.SIGNAL_SOURCE_FACILITATOR, "note": "holds a blade"}
    again = await world.signal(person_id, world.staff("leader", "facilitator"), **direct)
    assert again.alert_id == alert.alert_id
    async with world.transaction() as tx:
        (row,) = await tx.fetch("SELECT signals FROM alert WHERE alert_id = $1", alert.alert_id)
    assert row["signals"] == 1


async def test_who_does_not_come_is_looked_after_only_where_there_is_reason_to(world: World, person_id: str) -> None:
    await world.plan()
    await world.crisis.react(absent(world, person_id), key=person_id)
    assert await opened(world, person_id) is None
    async with world.transaction() as tx:
        await care_team(tx, person_id, "therapist-9")
    set_now = await watched(world, person_id, timedelta(days=14))
    event = absent(world, person_id)
    for _ in range(2):
        await world.crisis.react(event, key=person_id)
    alert = await opened(world, person_id)
    assert alert is not None
    assert (alert.severity, alert.session_id) == (pb.SEVERITY_ELEVATED, event.session_id)
    async with world.transaction() as tx:
        (row,) = await tx.fetch("SELECT signals FROM alert WHERE alert_id = $1", alert.alert_id)
    assert row["signals"] == 1, "told twice is one signal"
    assert set_now.etag


@pytest.mark.parametrize(("days_ago", "at_risk"), [(1, True), (89, True), (91, False)])
async def test_an_alert_of_the_last_months_is_reason_enough(
    world: World, person_id: str, days_ago: int, at_risk: bool
) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    async with world.transaction() as tx:
        await tx.fetch(
            "UPDATE alert SET state = 6, next_deadline = NULL, closed_at = $2 WHERE alert_id = $1",
            raised.alert_id,
            world.clock.now() - timedelta(days=days_ago),
        )
    await world.crisis.react(absent(world, person_id), key=person_id)
    assert (await opened(world, person_id) is not None) == at_risk


async def test_a_drill_and_a_watch_that_is_over_are_no_reason(world: World, person_id: str) -> None:
    await world.plan()
    await world.signal(person_id, world.staff("first"), source=signals_pb2.SIGNAL_SOURCE_DRILL)
    async with world.transaction() as tx:
        await care_team(tx, person_id, "therapist-9")
    await watched(world, person_id, timedelta(days=-1))
    await world.crisis.react(absent(world, person_id), key=person_id)
    told = [each for each in await world.crisis.told(events_pb2.AlertRaised) if each.person_id == person_id]
    assert [each.drill for each in told] == [True]


async def test_the_care_team_alone_says_who_is_at_risk_and_the_person_may_read_it(world: World, person_id: str) -> None:
    async with world.transaction() as tx:
        await care_team(tx, person_id, "therapist-9")
    made = await watched(world, person_id, timedelta(days=3))
    with pytest.raises(Stale):
        await watched(world, person_id, timedelta(days=4))
    await watched(world, person_id, timedelta(days=4), etag=made.etag)
    with pytest.raises(NotFound):
        await watched(world, person_id, timedelta(days=4), therapist="elsewhere")
    with pytest.raises(Invalid) as long:
        await watched(world, person_id, timedelta(days=400), etag="*")
    assert long.value.violations[0].field == "watch.until"
    ask = signals_pb2.GetRiskWatchRequest(person_id=person_id)
    read = await world.participant(person_id).stub(CrisisServiceStub).GetRiskWatch(ask)
    assert (read.set_by, read.reason) == ("therapist-9", "said goodbye last week")
    with pytest.raises(NotFound):
        await world.participant(ids.new_id()).stub(CrisisServiceStub).GetRiskWatch(ask)
    with pytest.raises(Denied):
        await world.crisis.as_role("partner", person_id=ids.new_id()).stub(CrisisServiceStub).GetRiskWatch(ask)
    async with world.transaction() as tx:
        (row,) = await tx.fetch("SELECT sealed FROM person_record WHERE person_id = $1", person_id)
    assert b"goodbye" not in row["sealed"]


async def partner_of(world: World, person_id: str) -> Any:
    partner = ids.new_id()
    link = intake.PeopleLinked(
        link_id=ids.new_id(), person_id=person_id, linked_person_id=partner, kind="couple", version=1
    )
    await world.crisis.react(link, key=person_id)
    return world.crisis.as_role("partner", person_id=partner)


async def test_a_partner_who_calls_learns_nothing_of_what_becomes_of_it(world: World, person_id: str) -> None:
    await world.plan()
    partner = await partner_of(world, person_id)
    signal_id = ids.new_id()
    answers = [await world.signal(person_id, partner, signal_id=signal_id)]
    alert = await opened(world, person_id)
    assert alert is not None
    await world.signal(person_id)  # the person's own call joins, and is theirs alone
    answers.append(await world.signal(person_id, partner, signal_id=signal_id))
    async with world.transaction() as tx:
        await tx.fetch(
            "UPDATE alert SET state = 6, next_deadline = NULL, closed_at = $2 WHERE alert_id = $1",
            alert.alert_id,
            world.clock.now(),
        )
    answers.append(await world.signal(person_id, partner, signal_id=signal_id))
    for each in answers:
        each.ClearField("accepted_at")
    assert answers[0] == answers[1] == answers[2]
    assert (answers[0].signal_id, answers[0].alert_id) == (signal_id, "")
    new = await opened(world, person_id)
    assert new is not None
    assert new.alert_id != alert.alert_id, "a call after the alert was closed is a new call all the same"


async def test_what_a_partner_takes_back_is_not_the_persons_word(world: World, person_id: str) -> None:
    from haven.crisis.v1 import alert_service_pb2 as alert_pb
    from haven.crisis.v1 import people_pb2

    await world.plan()
    card = people_pb2.PutPersonCardRequest(person_id=person_id, version=1, danger_at_home=True)
    await world.crisis.as_service("intake").stub(CrisisServiceStub).PutPersonCard(card)
    partner = await partner_of(world, person_id)
    raised = await world.signal(person_id, partner)
    take_back = signals_pb2.WithdrawSignalRequest(signal_id=raised.signal_id, note="all is well here")
    await partner.stub(CrisisServiceStub).WithdrawSignal(take_back)
    alert = await opened(world, person_id)
    assert alert is not None
    assert not alert.withdrawn
    view = await world.alerts().GetResponderView(alert_pb.GetResponderViewRequest(alert_id=alert.alert_id))
    assert [each.note for each in view.timeline if each.kind == pb.ENTRY_KIND_SIGNAL_WITHDRAWN] == ["all is well here"]
    assert "Tell them, and anybody at home, nothing" in view.cautions[0]
    assert "danger" in view.cautions[1]
    await world.replays(alert.alert_id)
    own = await world.signal(person_id)
    mine = signals_pb2.WithdrawSignalRequest(signal_id=own.signal_id)
    await world.participant(person_id).stub(CrisisServiceStub).WithdrawSignal(mine)
    assert (await world.alert(alert.alert_id)).withdrawn
    await world.replays(alert.alert_id)


async def test_signals_of_every_source_are_one_alert_with_each_on_its_timeline(world: World, person_id: str) -> None:
    from haven.crisis.v1.alert_service_pb2 import GetAlertTimelineRequest

    await world.plan()
    mine = signals_pb2.SIGNAL_SOURCE_DRILL, signals_pb2.SIGNAL_SOURCE_FOLLOW_UP_MISSED
    sources = [each for each in signals_pb2.SignalSource.values() if each and each not in mine]
    sessions_service = world.crisis.as_service("sessions")
    raised = [await world.signal(person_id, sessions_service, source=each, note=f"note {each}") for each in sources]
    (alert_id,) = {each.alert_id for each in raised}
    ask = GetAlertTimelineRequest(alert_id=alert_id, page_size=200)
    entries = [each for each in (await world.alerts().GetAlertTimeline(ask)).entries if "signal_id" in each.facts]
    assert [each.facts["source"] for each in entries] == [
        signals_pb2.SignalSource.Name(each).removeprefix("SIGNAL_SOURCE_").lower() for each in sources
    ]
    assert [each.note for each in entries] == [f"note {each}" for each in sources]
    severities = [int(each.facts["severity"]) for each in entries]
    assert severities == sorted(severities), "it only rises by itself"
    await world.replays(alert_id)
