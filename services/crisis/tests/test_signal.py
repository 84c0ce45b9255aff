"""From the button to the page."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac

import pytest
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import alerts_pb2 as pb
from haven.crisis.v1 import events_pb2, people_pb2, signals_pb2
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.intake.v1 import events_pb2 as intake_events
from haven.sessions.v1 import events_pb2 as session_events
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from haven_kit import ids, telemetry
from haven_kit.errors import Denied, Invalid, NotFound
from haven_kit.paging import Page
from haven_kit.testing import eventually

from .world import SECRET, World


async def test_without_any_plan_the_signal_is_kept_and_the_last_resort_is_paged(world: World, person_id: str) -> None:
    raised = await world.signal(person_id)
    (page,) = await world.paged("last", raised.alert_id)
    assert page["title"] == "Haven: crisis alert"
    assert page["link"].startswith("https://crisis.example/p/")
    assert raised.alert_id not in page["link"]


async def test_one_press_pages_whoever_is_on_call_without_health_information(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id, note="I cannot go on")
    assert "988" in {line.number for line in raised.help_lines}
    assert raised.message
    assert raised.withdraw
    await world.paged("first", raised.alert_id)
    received = world.hooks["first"].received[-1]
    assert person_id.encode() not in received.body
    assert b"cannot" not in received.body
    signed = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode() + received.body
    mac = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert received.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    alert = await world.alert(raised.alert_id)
    assert alert.HasField("next_deadline")
    (event,) = [each for each in await world.crisis.told(events_pb2.AlertRaised) if each.alert_id == raised.alert_id]
    assert event.person_id == person_id
    await world.replays(raised.alert_id)


async def test_the_same_signal_by_call_and_by_event_is_one(world: World, person_id: str) -> None:
    await world.plan()
    signal_id, session_id = ids.new_id(), ids.new_id()
    sessions = world.crisis.as_service("sessions")
    raised = await world.signal(
        person_id, sessions, signal_id=signal_id, session_id=session_id, facilitator_id="facilitator-1"
    )
    event = session_events.DistressSignalled(
        signal_id=signal_id, person_id=person_id, session_id=session_id, facilitator_id="facilitator-1"
    )
    event.raised_at.FromDatetime(world.clock.now())
    await world.crisis.react(event, key=person_id)
    again = await world.signal(person_id, sessions, signal_id=signal_id)
    assert again.alert_id == raised.alert_id
    assert len(await world.paged("first", raised.alert_id)) == 1
    view = await world.alerts().GetAlertTimeline(_timeline(raised.alert_id))
    assert [each.kind for each in view.entries if each.kind != pb.ENTRY_KIND_PAGED] == [pb.ENTRY_KIND_RAISED]


async def test_an_event_alone_is_enough(world: World, person_id: str) -> None:
    await world.plan()
    event = intake_events.ConcernRaised(signal_id=ids.new_id(), person_id=person_id, screening_id=ids.new_id())
    event.raised_at.FromDatetime(world.clock.now())
    await world.crisis.react(event, key=person_id)
    told = [each for each in await world.crisis.told(events_pb2.AlertRaised) if each.person_id == person_id]
    assert len(told) == 1
    await world.paged("first", told[0].alert_id)
    async with world.transaction() as tx:
        noted = await tx.fetch("SELECT principal_id FROM audit_entry WHERE person_id = $1", person_id)
    assert [each["principal_id"] for each in noted] == ["system:crisis/concern_raised"]


async def test_many_signals_at_once_are_one_alert_and_one_page(world: World, person_id: str) -> None:
    await world.plan()
    shared = ids.new_id()
    signal_ids = [shared if number % 2 else ids.new_id() for number in range(12)]
    raised = await asyncio.gather(*(world.signal(person_id, signal_id=each) for each in signal_ids))
    (alert_id,) = {each.alert_id for each in raised}
    entries = (await world.alerts().GetAlertTimeline(_timeline(alert_id))).entries
    assert len([each for each in entries if "signal_id" in each.facts]) == 7
    assert len(await world.paged("first", alert_id)) == 1
    assert (await world.alert(alert_id)).severity == pb.SEVERITY_IMMEDIATE
    await world.replays(alert_id)


async def test_a_drill_says_so_and_never_hides_a_real_call(world: World, person_id: str) -> None:
    await world.plan()
    drill = await world.signal(person_id, world.staff("first"), source=signals_pb2.SIGNAL_SOURCE_DRILL)
    (page,) = await world.paged("first", drill.alert_id)
    assert page["drill"]
    assert "DRILL" in page["title"]
    real = await world.signal(person_id)
    assert real.alert_id != drill.alert_id
    assert not (await world.paged("first", real.alert_id))[0]["drill"]


async def test_who_may_call_for_whom(world: World, person_id: str) -> None:
    await world.plan()
    stranger = world.crisis.as_role("partner", person_id=ids.new_id())
    with pytest.raises(NotFound):
        await world.signal(person_id, stranger)
    partner = ids.new_id()
    link = intake_events.PeopleLinked(
        link_id=ids.new_id(), person_id=person_id, linked_person_id=partner, kind="couple", version=1
    )
    await world.crisis.react(link, key=person_id)
    await world.signal(person_id, world.crisis.as_role("partner", person_id=partner))
    (alert,) = (await world.alerts().ListAlerts(alert_pb.ListAlertsRequest(person_id=person_id))).alerts
    entries = (await world.alerts().GetAlertTimeline(_timeline(alert.alert_id))).entries
    assert entries[0].facts["source"] == "partner_or_family"
    with pytest.raises(Denied):
        await world.signal(person_id, world.crisis.as_role("biller"))
    with pytest.raises(Invalid) as missing:
        await world.signal("", world.crisis.as_service("sessions"))
    assert missing.value.violations[0].field == "person_id"


async def test_a_participant_cannot_make_a_real_call_a_drill(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id, source=signals_pb2.SIGNAL_SOURCE_DRILL)
    assert not (await world.alert(raised.alert_id)).drill


async def test_a_call_for_help_with_an_id_that_somebody_else_used_is_not_lost(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    other = ids.new_id()
    second = await world.signal(other, signal_id=raised.signal_id)
    assert second.signal_id != raised.signal_id
    assert second.alert_id != raised.alert_id
    assert len(await world.paged("first", second.alert_id)) == 1
    again = await world.signal(other, signal_id=raised.signal_id)
    assert (again.signal_id, again.alert_id) == (second.signal_id, second.alert_id)


async def test_a_withdrawn_signal_leaves_the_alert_open(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    me = world.participant(person_id).stub(CrisisServiceStub)
    answer = await me.WithdrawSignal(
        signals_pb2.WithdrawSignalRequest(signal_id=raised.signal_id, note="pressed by mistake")
    )
    assert answer.message
    alert = await world.alert(raised.alert_id)
    assert alert.withdrawn
    assert alert.state != pb.ALERT_STATE_CLOSED
    with pytest.raises(NotFound):
        await (
            world.participant(ids.new_id())
            .stub(CrisisServiceStub)
            .WithdrawSignal(signals_pb2.WithdrawSignalRequest(signal_id=raised.signal_id))
        )
    await world.replays(raised.alert_id)


async def test_a_press_that_is_tried_again_after_it_was_withdrawn_is_one_call_more(
    world: World, person_id: str
) -> None:
    """However often a client tries on a bad line: three calls would be an immediate alert."""
    await world.plan()
    raised = await world.signal(person_id)
    me = world.participant(person_id).stub(CrisisServiceStub)
    await me.WithdrawSignal(signals_pb2.WithdrawSignalRequest(signal_id=raised.signal_id))
    again = [await world.signal(person_id, signal_id=raised.signal_id) for _ in range(4)]
    assert len({each.signal_id for each in again} | {raised.signal_id}) == 2
    alert = await world.alert(raised.alert_id)
    assert not alert.withdrawn
    assert alert.severity == pb.SEVERITY_HIGH
    await world.replays(raised.alert_id)


async def test_the_person_sees_who_is_coming(world: World, person_id: str) -> None:
    from haven.crisis.v1.alert_service_pb2 import AcknowledgeAlertRequest

    await world.plan()
    me = world.participant(person_id).stub(CrisisServiceStub)
    ask = signals_pb2.GetMyHelpRequest(person_id=person_id)
    assert (await me.GetMyHelp(ask)).state == signals_pb2.HELP_STATE_NONE
    raised = await world.signal(person_id)
    calling = await me.GetMyHelp(ask)
    assert calling.state == signals_pb2.HELP_STATE_CALLING
    assert calling.signal_id == raised.signal_id
    await world.alerts().AcknowledgeAlert(AcknowledgeAlertRequest(alert_id=raised.alert_id))
    coming = await me.GetMyHelp(ask)
    assert (coming.state, coming.helper_name) == (signals_pb2.HELP_STATE_COMING, "First")
    with pytest.raises(NotFound):
        await world.participant(ids.new_id()).stub(CrisisServiceStub).GetMyHelp(ask)


async def test_cards_and_places_that_arrive_late_are_ignored(world: World, person_id: str) -> None:
    intake = world.crisis.as_service("intake").stub(CrisisServiceStub)
    put = people_pb2.PutPersonCardRequest(person_id=person_id, version=2, chosen_name="Robin")
    assert (await intake.PutPersonCard(put)).version == 2
    late = people_pb2.PutPersonCardRequest(person_id=person_id, version=1, chosen_name="Old")
    assert (await intake.PutPersonCard(late)).version == 2
    with pytest.raises(Denied):
        await world.crisis.as_service("sessions").stub(CrisisServiceStub).PutPersonCard(put)


def _timeline(alert_id: str) -> object:
    from haven.crisis.v1.alert_service_pb2 import GetAlertTimelineRequest

    return GetAlertTimelineRequest(alert_id=alert_id, page_size=200)


async def test_a_page_belongs_to_the_trace_of_its_signal(world: World, person_id: str) -> None:
    await world.plan()
    spans = InMemorySpanExporter()
    tracing = telemetry.setup(world.crisis.process.settings, exporter=spans, always=True)
    try:
        raised = await world.signal(person_id)
        await world.paged("first", raised.alert_id)
        page = await eventually(lambda: [each for each in spans.get_finished_spans() if each.name == "page webhook"])
        call = [each for each in spans.get_finished_spans() if each.name.endswith("RaiseSignal")]
    finally:
        tracing.close()
    assert {each.context.trace_id for each in page} == {each.context.trace_id for each in call}
    assert page[0].attributes is not None
    assert page[0].attributes["haven.alert_id"] == raised.alert_id
    received = world.hooks["first"].received[-1]
    assert received.headers["traceparent"].split("-")[1] == f"{page[0].context.trace_id:032x}"


async def test_page_tokens_that_were_not_made_here_are_named(world: World) -> None:
    await world.plan()
    made = Page.of(alert_pb.ListAlertsRequest(include_closed=True)).next_token((0, "nowhere"))
    with pytest.raises(Invalid) as unknown:
        await world.alerts().ListAlerts(alert_pb.ListAlertsRequest(page_token=made))
    assert unknown.value.violations[0].field == "page_token"
    with pytest.raises(Invalid):
        await world.alerts().WatchAlerts(alert_pb.WatchAlertsRequest(last_event_id="x")).__anext__()
