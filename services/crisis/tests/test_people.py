"""Safety plan, contacts, place, and the responder's one page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import alerts_pb2, people_pb2, signals_pb2
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.crisis.v1.plan_service_pb2_grpc import PlanServiceStub
from haven.sessions.v1 import events_pb2 as session_events

from haven_crisis import facts, texts
from haven_kit import ids
from haven_kit.errors import Denied, Invalid, NotFound, Stale

from .world import World, care_team


async def test_the_person_and_the_care_team_write_the_safety_plan(world: World, person_id: str) -> None:
    mine = world.participant(person_id).stub(PlanServiceStub)
    put = people_pb2.PutSafetyPlanRequest(person_id=person_id, plan=people_pb2.SafetyPlan(warning_signs=["no sleep"]))
    first = await mine.PutSafetyPlan(put)
    with pytest.raises(Stale):
        await mine.PutSafetyPlan(put)
    async with world.transaction() as tx:
        await care_team(tx, person_id, "therapist-2")
    therapist: Any = world.staff("therapist-2", "individual_therapist").stub(PlanServiceStub)
    put.plan.etag = first.etag
    put.plan.coping.append("walk")
    await therapist.PutSafetyPlan(put)
    read = await mine.GetSafetyPlan(people_pb2.GetSafetyPlanRequest(person_id=person_id))
    assert (list(read.warning_signs), list(read.coping)) == (["no sleep"], ["walk"])
    outsider = world.staff("outsider", "individual_therapist").stub(PlanServiceStub)
    with pytest.raises(NotFound):
        await outsider.GetSafetyPlan(people_pb2.GetSafetyPlanRequest(person_id=person_id))
    async with world.transaction() as tx:
        (row,) = await tx.fetch("SELECT sealed FROM person_record WHERE person_id = $1", person_id)
    assert b"no sleep" not in row["sealed"]


async def test_partners_and_family_never_see_contacts(world: World, person_id: str) -> None:
    mine = world.participant(person_id).stub(PlanServiceStub)
    contacts = people_pb2.CrisisContacts(
        contacts=[
            people_pb2.CrisisContact(name="Partner", never_contact=True),
            people_pb2.CrisisContact(name="Sister", consented=True),
        ]
    )
    await mine.PutCrisisContacts(people_pb2.PutCrisisContactsRequest(person_id=person_id, contacts=contacts))
    ask = people_pb2.GetCrisisContactsRequest(person_id=person_id)
    assert len((await mine.GetCrisisContacts(ask)).contacts) == 2
    for role in ("partner", "family_member"):
        with pytest.raises(Denied):
            await world.crisis.as_role(role, person_id=ids.new_id()).stub(PlanServiceStub).GetCrisisContacts(ask)
    contacts.contacts[0].consented = True
    with pytest.raises(Invalid):
        await mine.PutCrisisContacts(people_pb2.PutCrisisContactsRequest(person_id=person_id, contacts=contacts))


async def test_the_responder_has_everything_on_one_page(world: World, person_id: str) -> None:
    await world.plan()
    session_id = await _in_session(world, person_id)
    world.clock.advance(timedelta(minutes=30))
    raised = await world.signal(person_id, note="panic")
    await world.paged("first", raised.alert_id)
    view = await world.alerts().GetResponderView(alert_pb.GetResponderViewRequest(alert_id=raised.alert_id))
    assert (view.person.chosen_name, view.person.pronouns) == ("Robin", "they/them")
    assert view.safety_plan.warning_signs == ["no sleep"]
    assert [each.name for each in view.contacts.contacts] == ["Sister", "Ex-partner"]
    assert view.contacts.contacts[0].ways[0].safe_times == "after 18:00"
    assert not view.contacts.contacts[1].ways
    assert view.location.address == "12 Oak Street"
    assert view.location_age_seconds == 30 * 60
    assert [each.number for each in view.emergency_lines] == ["911", "988"]
    assert view.present_facilitator_id == "facilitator-9"
    assert view.timeline[0].note == "panic"
    assert "first" in {each.responder_id for each in view.pages}
    assert [each.label for each in view.plan_parts] == [label for _, label in texts.PLAN_PARTS]
    assert [list(each.lines) for each in view.plan_parts] == [["no sleep"], [], [], [], [], []]
    assert any("making the surroundings safer" in each for each in view.cautions)
    ages = {each.name: each.age_seconds for each in view.copies}
    assert ages == dict.fromkeys(("card", "safety_plan", "contacts", "location", "presence"), 30 * 60)
    assert view.names["first"] == "First"
    assert any("home" in each for each in view.cautions)
    with pytest.raises(NotFound):
        await world.alerts("outsider").GetResponderView(alert_pb.GetResponderViewRequest(alert_id=raised.alert_id))
    async with world.transaction() as tx:
        looks = await tx.fetch(
            "SELECT principal_id FROM audit_entry WHERE person_id = $1 AND action LIKE '%GetResponderView'", person_id
        )
    assert [each["principal_id"] for each in looks] == ["first"]
    left = session_events.ParticipantLeft(session_id=session_id, person_id=person_id)
    left.left_at.FromDatetime(world.clock.now())
    await world.crisis.react(left, key=session_id)
    view = await world.alerts().GetResponderView(alert_pb.GetResponderViewRequest(alert_id=raised.alert_id))
    assert not view.present_facilitator_id


async def test_what_was_tried_stands_by_itself(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    desk = world.alerts()
    await desk.AcknowledgeAlert(alert_pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    for reached in (False, True):
        await desk.RecordContact(
            alert_pb.RecordContactRequest(alert_id=raised.alert_id, way="phone", reached=reached, note="rang twice")
        )
    view = await desk.GetResponderView(alert_pb.GetResponderViewRequest(alert_id=raised.alert_id))
    kinds = [alerts_pb2.ENTRY_KIND_CONTACT_TRIED, alerts_pb2.ENTRY_KIND_CONTACTED]
    assert [(each.kind, each.note, each.facts["way"]) for each in view.tried] == [
        (kind, "rang twice", "phone") for kind in kinds
    ]


async def test_the_person_is_told_whom_to_reach_where_they_are(world: World, person_id: str) -> None:
    await world.plan()
    mine = world.participant(person_id).stub(CrisisServiceStub)
    ask = signals_pb2.GetMyHelpRequest(person_id=person_id)
    assert [each.number for each in (await mine.GetMyHelp(ask)).help_lines] == ["988", "911"]
    raised = await world.signal(person_id)
    for country, region, numbers in (
        ("GB", "NIR", ["0808 808 8000", "116 123", "999"]),
        ("FR", "", ["3114", "112"]),
        ("US", "CA", ["988", "911"]),
        ("IS", "", ["112"]),
    ):
        world.clock.advance(timedelta(seconds=1))
        place = people_pb2.Location(address="Somewhere 1", country=country, region=region)
        await mine.ConfirmLocation(people_pb2.ConfirmLocationRequest(person_id=person_id, location=place))
        assert [each.number for each in (await mine.GetMyHelp(ask)).help_lines] == numbers
        assert [each.number for each in (await world.signal(person_id)).help_lines] == numbers
    other = await world.signal(person_id, world.staff("first"))
    assert [each.number for each in other.help_lines] == ["988", "911"]  # says nothing of where the person is
    async with world.transaction() as tx:
        await tx.fetch("UPDATE person_record SET sealed = 'damaged' WHERE person_id = $1", person_id)
    assert [each.number for each in (await world.signal(person_id)).help_lines] == ["988", "911"]
    async with world.transaction() as tx:
        await tx.fetch("DELETE FROM person_record WHERE person_id = $1", person_id)
    place = people_pb2.Location(address="Somewhere 1", country="IS")
    await mine.ConfirmLocation(people_pb2.ConfirmLocationRequest(person_id=person_id, location=place))
    view = await world.alerts().GetResponderView(alert_pb.GetResponderViewRequest(alert_id=raised.alert_id))
    assert [each.number for each in view.emergency_lines] == ["112"]


def test_what_somebody_writes_as_their_region_fills_no_memory() -> None:
    for number in range(2 * facts.PLACES):
        assert facts.help_lines("US", f"region {number}") == facts.help_lines("US", "")
        assert facts.lines_for_person("US", f"region {number}") == facts.lines_for_person("US", "")
    for each in (facts.help_lines, facts.lines_for_person):
        assert each.cache_info().currsize <= facts.PLACES


async def test_what_is_missing_is_said(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    view = await world.alerts().GetResponderView(alert_pb.GetResponderViewRequest(alert_id=raised.alert_id))
    assert len(view.cautions) == 4
    assert not view.HasField("location")


async def test_a_drill_shows_nobody_the_records_of_whom_it_names(world: World, person_id: str) -> None:
    await world.plan()
    await _in_session(world, person_id)
    off_duty = world.staff("off-duty")
    drill = await world.signal(person_id, off_duty, source=signals_pb2.SIGNAL_SOURCE_DRILL)
    ask = alert_pb.GetResponderViewRequest(alert_id=drill.alert_id)
    for who in ("off-duty", "first"):
        view = await world.alerts(who).GetResponderView(ask)
        assert view.alert.drill
        for of_the_person in ("person", "safety_plan", "contacts", "location"):
            assert not view.HasField(of_the_person)
        assert (list(view.plan_parts), list(view.copies), view.present_facilitator_id) == ([], [], "")
        assert list(view.cautions) == [texts.DRILL_CAUTION]
        assert [each.number for each in view.emergency_lines] == ["988", "911"]
    called = await world.signal(person_id)
    ask.alert_id = called.alert_id
    assert (await world.alerts("first").GetResponderView(ask)).person.chosen_name == "Robin"
    with pytest.raises(NotFound):
        await world.alerts("off-duty").GetResponderView(ask)


async def test_an_earlier_place_does_not_replace_a_later_one(world: World, person_id: str) -> None:
    sessions = world.crisis.as_service("sessions").stub(CrisisServiceStub)
    request = people_pb2.ConfirmLocationRequest(
        person_id=person_id, location=people_pb2.Location(address="Here", country="CA")
    )
    now = await sessions.ConfirmLocation(request)
    request.location.address = "There"
    request.location.confirmed_at.FromDatetime(world.clock.now() - timedelta(hours=1))
    kept = await sessions.ConfirmLocation(request)
    assert kept.confirmed_at == now.confirmed_at
    with pytest.raises(NotFound):
        await world.participant(ids.new_id()).stub(CrisisServiceStub).ConfirmLocation(request)


async def _in_session(world: World, person_id: str) -> str:
    """All that is known of the person, who joined a session a moment ago: its id."""
    session_id = ids.new_id()
    await _prepared(world, person_id)
    joined = session_events.ParticipantJoined(
        session_id=session_id, person_id=person_id, facilitator_id="facilitator-9"
    )
    joined.joined_at.FromDatetime(world.clock.now())
    await world.crisis.react(joined, key=session_id)
    return session_id


async def _prepared(world: World, person_id: str) -> None:
    intake = world.crisis.as_service("intake").stub(CrisisServiceStub)
    await intake.PutPersonCard(
        people_pb2.PutPersonCardRequest(
            person_id=person_id, version=1, chosen_name="Robin", pronouns="they/them", danger_at_home=True
        )
    )
    mine = world.participant(person_id)
    plans = mine.stub(PlanServiceStub)
    plan = people_pb2.SafetyPlan(warning_signs=["no sleep"])
    await plans.PutSafetyPlan(people_pb2.PutSafetyPlanRequest(person_id=person_id, plan=plan))
    way = people_pb2.Way(kind="phone", address="+1 555 0100", safe_times="after 18:00", safe_words="about the book")
    contacts = [
        people_pb2.CrisisContact(name="Ex-partner", never_contact=True, ways=[way]),
        people_pb2.CrisisContact(name="Sister", consented=True, ways=[way]),
    ]
    await plans.PutCrisisContacts(
        people_pb2.PutCrisisContactsRequest(person_id=person_id, contacts=people_pb2.CrisisContacts(contacts=contacts))
    )
    place = people_pb2.Location(address="12 Oak Street", region="TX", country="US")
    await mine.stub(CrisisServiceStub).ConfirmLocation(
        people_pb2.ConfirmLocationRequest(person_id=person_id, location=place)
    )
