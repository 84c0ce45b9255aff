"""Who sees what: what one partner does in private, other people's names, agendas before sessions."""

import asyncio
from typing import Any

import pytest
from haven.intake.v1 import events_pb2 as intake
from haven.scheduling.v1 import calendar_pb2 as cal
from haven.scheduling.v1 import groups_pb2, people_pb2

from haven_kit.errors import Denied, Invalid, NotFound, Refused, Stale
from haven_kit.identity import system
from haven_kit.ids import new_id

SHARED = {"share_with_partner", "share_with_family"}


async def couple(world: Any) -> Any:
    """Two people linked as a couple, who share everything that consents can share."""
    one, other = new_id(), new_id()
    link = intake.PeopleLinked(link_id=new_id(), person_id=one, linked_person_id=other, kind="couple", version=1)
    await world.running.react(link, key=link.link_id)
    for person, grantee in ((one, other), (other, one)):
        for kind in SHARED:
            given = intake.ConsentGiven(person_id=person, consent_id=new_id(), kind=kind, grantee_id=grantee)
            await world.running.react(given, key=person)
    return one, other


async def test_a_partner_sees_joint_sessions_and_nothing_of_the_others_own(world: Any) -> None:
    one, other = await couple(world)
    leader = await world.leader()
    private = await world.plan(leader, one, title="About leaving safely")
    joint = await world.plan(leader, one, other, kind=cal.SESSION_KIND_COUPLES, starts_at=world.at(9, 14))
    partner = world.participant(other, "partner")
    assert [each.session_id for each in await world.sessions(partner)] == [joint.session_id]
    request = cal.GetSessionRequest(session_id=private.session_id)
    unknown = cal.GetSessionRequest(session_id=new_id())
    for each in (request, unknown):
        with pytest.raises(NotFound):
            await partner.call.GetSession(each)
    for hidden in (
        partner.call.GetAgenda(cal.GetAgendaRequest(session_id=private.session_id)),
        partner.call.ListSessions(cal.ListSessionsRequest(person_id=one)),
        partner.call.GetAvailability(people_pb2.GetAvailabilityRequest(person_id=one)),
        partner.call.ListPersonEnrolments(groups_pb2.ListPersonEnrolmentsRequest(person_id=one)),
    ):
        with pytest.raises(NotFound):
            await hidden
    seen = await partner.call.GetSession(cal.GetSessionRequest(session_id=joint.session_id))
    assert list(seen.person_ids) == [other]
    assert seen.seats_taken == 2


async def test_other_participants_are_counted_and_not_named(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    await world.series(leader, group.group_id)
    me, other = new_id(), new_id()
    for each in (me, other):
        await world.enrol(group.group_id, each)
    mine = (await world.sessions(world.participant(me)))[0]
    assert (list(mine.person_ids), mine.seats_taken, mine.title) == ([me], 2, "Morning group")
    leaders = await leader.call.GetSession(cal.GetSessionRequest(session_id=mine.session_id))
    assert sorted(leaders.person_ids) == sorted((me, other))
    therapist = world.as_role("individual_therapist")
    await world.care_team(me, therapist)
    cared = await therapist.call.GetSession(cal.GetSessionRequest(session_id=mine.session_id))
    assert list(cared.person_ids) == [me]
    with pytest.raises(Denied):
        await therapist.call.CancelSession(cal.CancelSessionRequest(session_id=mine.session_id))
    with pytest.raises(Denied):
        await therapist.call.ListEnrolments(groups_pb2.ListEnrolmentsRequest(group_id=group.group_id))
    with pytest.raises(NotFound):
        await world.as_role("individual_therapist").call.GetSession(cal.GetSessionRequest(session_id=mine.session_id))


async def test_words_of_a_persons_session_are_sealed_where_they_are_kept(world: Any, person: str) -> None:
    session = await world.plan(await world.leader(), person, title="canary-title", place="canary-place")
    async with world.running.process.database.transaction(system("test")) as tx:
        (row,) = await tx.fetch("SELECT * FROM session WHERE session_id = $1", session.session_id)
    assert b"canary" not in b"".join(str(each).encode() for each in row.values())
    assert (session.title, session.place) == ("canary-title", "canary-place")


async def test_an_agenda_is_there_before_the_session_for_those_who_have_a_seat(world: Any, person: str) -> None:
    leader = await world.leader()
    session = await world.plan(leader, person)
    templates = (await leader.call.ListAgendaTemplates(cal.ListAgendaTemplatesRequest())).templates
    outline = next(each for each in templates if each.total_minutes == 60)
    items = [
        cal.AgendaItem(kind=each.kind, title=each.title, minutes=each.minutes, note=each.note, optional=each.optional)
        for each in outline.items
    ]
    request = cal.PutAgendaRequest(
        session_id=session.session_id, title=outline.title, objectives=outline.objectives, items=items
    )
    written = await leader.call.PutAgenda(request)
    me = world.participant(person)
    read = await me.call.GetAgenda(cal.GetAgendaRequest(session_id=session.session_id))
    assert read == written
    assert (list(read.items), read.total_minutes) == (items, 60)
    assert (await world.sessions(me))[0].has_agenda
    with pytest.raises(NotFound):
        await world.participant(new_id()).call.GetAgenda(cal.GetAgendaRequest(session_id=session.session_id))
    with pytest.raises(Denied):
        await me.call.PutAgenda(request)


async def test_an_agenda_fits_its_session_and_is_not_overwritten_unseen(world: Any, person: str) -> None:
    leader = await world.leader()
    session = await world.plan(leader, person)
    item = cal.AgendaItem(kind=cal.AGENDA_ITEM_KIND_SKILL, title="Practice", minutes=61)
    request = cal.PutAgendaRequest(session_id=session.session_id, title="Today", items=[item])
    with pytest.raises(Invalid) as invalid:
        await leader.call.PutAgenda(request)
    assert [(each.field, each.rule) for each in invalid.value.violations] == [("items", "agenda_fits")]
    request.items[0].minutes = 60
    first = await leader.call.PutAgenda(request)
    request.etag = first.etag
    await leader.call.PutAgenda(request)
    with pytest.raises(Stale):
        await leader.call.PutAgenda(request)
    shorter = cal.RescheduleSessionRequest(session_id=session.session_id, starts_at=world.at(8, 14), minutes=45)
    with pytest.raises(Refused) as refused:
        await leader.call.RescheduleSession(shorter)
    assert refused.value.reason == "agenda_longer"


async def test_a_cancelled_session_stays_visible_to_those_who_were_in_it(world: Any, person: str) -> None:
    leader = await world.leader()
    session = await world.plan(leader, person)
    await leader.call.CancelSession(cal.CancelSessionRequest(session_id=session.session_id))
    me = world.participant(person)
    assert not await world.sessions(me)
    (shown,) = await world.sessions(me, include_cancelled=True)
    assert (shown.state, shown.seats_taken) == (cal.SESSION_STATE_CANCELLED, 0)
    with pytest.raises(Refused):
        await leader.call.CancelSession(cal.CancelSessionRequest(session_id=session.session_id))
    assert await world.plan(leader, person), "the time is free again"


async def test_looks_at_a_record_are_noted_for_the_person(world: Any, person: str) -> None:
    leader = await world.leader()
    session = await world.plan(leader, person)
    await leader.call.GetSession(cal.GetSessionRequest(session_id=session.session_id))
    async with world.running.process.database.transaction(system("test")) as tx:
        rows = await tx.fetch("SELECT principal_id, seen_as FROM audit_entry WHERE person_id = $1 ORDER BY at", person)
    assert (leader.id, "looked at a session of yours") in {(row["principal_id"], row["seen_as"]) for row in rows}


async def test_other_peoples_calendars_do_not_exist_for_strangers(world: Any, person: str) -> None:
    stranger = world.participant(new_id())
    therapist = world.as_role("individual_therapist")
    for each in (stranger, therapist):
        for call in (
            each.call.ListSessions(cal.ListSessionsRequest(person_id=person)),
            each.call.GetWeek(cal.GetWeekRequest(person_id=person)),
            each.call.GetAvailability(people_pb2.GetAvailabilityRequest(person_id=person)),
        ):
            with pytest.raises(NotFound):
                await call
    with pytest.raises(NotFound):
        await world.plan(await world.leader(), person, by=therapist)


async def test_a_session_has_as_many_people_as_its_kind(world: Any) -> None:
    leader = await world.leader()
    people = [new_id() for _ in range(3)]
    for kind, count in (
        (cal.SESSION_KIND_INDIVIDUAL, 2),
        (cal.SESSION_KIND_CHECK_IN, 0),
        (cal.SESSION_KIND_COUPLES, 3),
        (cal.SESSION_KIND_FAMILY, 1),
    ):
        with pytest.raises(Invalid) as invalid:
            await world.plan(leader, *people[:count], kind=kind)
        assert [each.field for each in invalid.value.violations] == ["person_ids"]
    family = await world.plan(leader, *people, kind=cal.SESSION_KIND_FAMILY)
    assert sorted(family.person_ids) == sorted(people)


async def test_services_that_know_a_session_may_ask_for_it_and_others_may_not(world: Any, person: str) -> None:
    leader = await world.leader()
    session = await world.plan(leader, person)
    request = cal.GetSessionRequest(session_id=session.session_id)
    sessions = world.running.as_service("sessions").stub(world.stub)
    assert list((await sessions.GetSession(request)).person_ids) == [person]
    through = world.running.as_role("participant", person_id=new_id(), via="sessions").stub(world.stub)
    with pytest.raises(NotFound):
        await through.GetSession(request)


async def test_a_calendar_is_paged_in_order(world: Any, person: str) -> None:
    leader = await world.leader()
    planned = [await world.plan(leader, person, starts_at=world.at(8 + day, 14)) for day in range(5)]
    me, token, found = world.participant(person), "", []
    while True:
        page = await me.call.ListSessions(cal.ListSessionsRequest(page_size=2, page_token=token))
        found += [each.session_id for each in page.sessions]
        token = page.next_page_token
        if not token:
            break
    assert found == [each.session_id for each in planned]


async def test_two_writers_of_one_agenda_do_not_lose_each_others_words(world: Any, person: str) -> None:
    leader = await world.leader()
    session = await world.plan(leader, person)
    item = cal.AgendaItem(kind=cal.AGENDA_ITEM_KIND_SKILL, title="Practice", minutes=30)
    request = cal.PutAgendaRequest(session_id=session.session_id, title="Today", items=[item])
    request.etag = (await leader.call.PutAgenda(request)).etag
    outcomes = await asyncio.gather(*(leader.call.PutAgenda(request) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(each, Stale) for each in outcomes) == 3


async def test_optional_activities_are_for_everyone_to_see_and_name_nobody(world: Any, person: str) -> None:
    leader = await world.leader()
    facts = {"kind": cal.SESSION_KIND_GROUP, "optional": True, "capacity": 20}
    in_person = {"format": groups_pb2.FORMAT_IN_PERSON, "place": "Lakeside"}
    retreat = await world.plan(leader, title="Retreat", minutes=480, starts_at=world.at(12, 9), **facts, **in_person)
    await world.plan(leader, person)
    await world.office.call.BookSeat(cal.BookSeatRequest(session_id=retreat.session_id, person_id=person))
    partner = world.participant(new_id(), "partner")
    seen = (await partner.call.ListActivities(cal.ListActivitiesRequest(time_zone="UTC"))).sessions
    shown = next(each for each in seen if each.session_id == retreat.session_id)
    assert (shown.title, shown.place, shown.seats_taken, list(shown.person_ids)) == ("Retreat", "Lakeside", 1, [])
    assert all(each.optional for each in seen)


async def test_a_calendar_feed_says_when_and_never_what(world: Any, person: str) -> None:
    leader = await world.leader()
    kept = await world.plan(leader, person, title="canary-title", place="canary-place")
    gone = await world.plan(leader, person, starts_at=world.at(9, 14), title="canary-title")
    await leader.call.CancelSession(cal.CancelSessionRequest(session_id=gone.session_id))
    me = world.participant(person)
    feed = (await me.call.GetCalendarFeed(cal.GetCalendarFeedRequest(person_id=person))).icalendar
    assert "canary" not in feed
    assert "haven" not in feed.lower()
    events = feed.split("BEGIN:VEVENT")[1:]
    assert f"UID:{kept.session_id}\r\n" in events[0]
    assert "DTSTART:20260113T190000Z\r\nDTEND:20260113T200000Z\r\n" in events[0]
    assert "SUMMARY:Appointment\r\nBEGIN:VALARM" in events[0]
    assert "STATUS:CANCELLED" in events[1]
    assert all(len(line) <= 75 for line in feed.split("\r\n"))
    with pytest.raises(NotFound):
        await world.participant(new_id()).call.GetCalendarFeed(cal.GetCalendarFeedRequest(person_id=person))
