"""Nobody is in two sessions at once; places in groups, waiting lists."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from haven.scheduling.v1 import calendar_pb2 as cal
from haven.scheduling.v1 import events_pb2, groups_pb2

from haven_kit.errors import Conflict, Denied, HavenError, Invalid, NotFound, Refused
from haven_kit.identity import system
from haven_kit.ids import new_id

ACTIVE, WAITING = groups_pb2.ENROLMENT_STATE_ACTIVE, groups_pb2.ENROLMENT_STATE_WAITING


async def test_the_database_itself_refuses_a_seat_at_the_same_time(world: Any, person: str) -> None:
    session = await world.plan(await world.leader(), person)
    async with world.running.process.database.transaction(system("test")) as tx:
        with pytest.raises(asyncpg.ExclusionViolationError):
            async with tx.savepoint():
                await tx.fetch(
                    """INSERT INTO seat (seat_id, session_id, holder_kind, holder_id, during)
                    SELECT $1, session_id, 1, $2, tstzrange(starts_at + interval '59 minutes', ends_at + interval '1 h')
                    FROM session WHERE session_id = $3""",
                    new_id(),
                    person,
                    session.session_id,
                )


async def test_a_person_and_a_leader_are_in_one_session_at_a_time(world: Any, person: str) -> None:
    leader = await world.leader()
    first = await world.plan(leader, person)
    with pytest.raises(Conflict) as of_person:
        await world.plan(await world.leader(), person, starts_at=world.at(8, 14, 30))
    assert of_person.value.reason == "double_booked"
    assert first.session_id in of_person.value.message
    with pytest.raises(Conflict):
        await world.plan(leader, new_id(), starts_at=world.at(8, 13, 30))
    assert await world.plan(leader, person, starts_at=world.at(8, 15))


async def test_what_is_in_the_way_is_not_named_to_those_who_may_not_see_it(world: Any, person: str) -> None:
    leader, therapist = await world.leader(), world.as_role("individual_therapist")
    hidden = await world.plan(leader, person)
    mine = new_id()
    await world.care_team(mine, therapist)
    with pytest.raises(Conflict) as conflict:
        await world.plan(leader, mine, by=therapist)
    assert hidden.session_id not in conflict.value.message


async def test_enrolment_takes_every_coming_seat_or_none(world: Any, person: str) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    await world.series(leader, group.group_id)
    other = await world.plan(await world.leader(), person, starts_at=world.at(16, 11))
    with pytest.raises(Conflict) as conflict:
        await world.enrol(group.group_id, person)
    assert other.session_id in conflict.value.message
    assert not [each for each in await world.sessions(leader, group_id=group.group_id) if each.person_ids]
    await world.office.call.CancelSession(cal.CancelSessionRequest(session_id=other.session_id))
    enrolled = await world.enrol(group.group_id, person)
    assert enrolled.state == ACTIVE
    sessions = await world.sessions(world.office, person_id=person)
    taken = [
        each for each in await world.running.told(events_pb2.SeatTaken) if each.enrolment_id == enrolled.enrolment_id
    ]
    assert {each.session_id for each in sessions} == set(taken[0].session_ids)
    with pytest.raises(Conflict) as again:
        await world.enrol(group.group_id, person)
    assert again.value.reason == "already_enrolled"


async def test_of_many_at_once_one_gets_the_last_seat_and_the_others_wait_in_turn(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader, capacity=1)
    await world.series(leader, group.group_id)
    people = [new_id() for _ in range(8)]
    got = await asyncio.gather(*(world.enrol(group.group_id, each) for each in people))
    assert sorted(each.state for each in got) == [ACTIVE] + [WAITING] * 7
    roster = await leader.call.ListEnrolments(groups_pb2.ListEnrolmentsRequest(group_id=group.group_id))
    assert sorted(each.waiting_position for each in roster.enrolments) == list(range(8))
    seated = {tuple(each.person_ids) for each in await world.sessions(leader, group_id=group.group_id)}
    assert len(seated) == 1


async def test_of_many_overlapping_bookings_at_once_one_holds(world: Any, person: str) -> None:
    leaders = [await world.leader() for _ in range(6)]
    groups = [await world.group(each) for each in leaders]
    for leader, group in zip(leaders, groups, strict=True):
        await world.series(leader, group.group_id)
    attempts = [world.enrol(each.group_id, person) for each in groups]
    attempts += [world.plan(await world.leader(), person, starts_at=world.at(7, 10)) for _ in range(2)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    failed = [each for each in outcomes if isinstance(each, BaseException)]
    assert len(failed) == len(outcomes) - 1
    assert {type(each) for each in failed} == {Conflict}
    held = await world.sessions(world.office, person_id=person)
    assert all(a.ends_at.ToDatetime() <= b.starts_at.ToDatetime() for a, b in pairwise(held))


async def test_a_freed_place_goes_to_the_one_who_waits_longest(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader, capacity=1)
    await world.series(leader, group.group_id)
    first, second, third = [await world.enrol(group.group_id, new_id()) for _ in range(3)]
    assert [each.waiting_position for each in (first, second, third)] == [0, 1, 2]
    await world.office.call.EndEnrolment(groups_pb2.EndEnrolmentRequest(enrolment_id=first.enrolment_id))
    roster = await leader.call.ListEnrolments(groups_pb2.ListEnrolmentsRequest(group_id=group.group_id))
    assert [(each.person_id, each.state, each.waiting_position) for each in roster.enrolments] == [
        (second.person_id, ACTIVE, 0),
        (third.person_id, WAITING, 1),
    ]
    sessions = await world.sessions(leader, group_id=group.group_id)
    assert {tuple(each.person_ids) for each in sessions} == {(second.person_id,)}
    released = [each for each in await world.running.told(events_pb2.SeatReleased) if each.person_id == first.person_id]
    assert set(released[0].session_ids) == {each.session_id for each in sessions}
    with pytest.raises(Refused):
        await world.office.call.EndEnrolment(groups_pb2.EndEnrolmentRequest(enrolment_id=first.enrolment_id))


async def test_who_is_elsewhere_keeps_waiting_and_the_next_is_asked(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader, capacity=1)
    await world.series(leader, group.group_id)
    _, busy, free = [await world.enrol(group.group_id, new_id()) for _ in range(3)]
    await world.plan(await world.leader(), busy.person_id, starts_at=world.at(7, 9))
    group.details.capacity = 2
    await leader.call.UpdateGroup(groups_pb2.UpdateGroupRequest(group_id=group.group_id, details=group.details))
    me = world.participant(busy.person_id)
    mine = await me.call.ListPersonEnrolments(groups_pb2.ListPersonEnrolmentsRequest(person_id=busy.person_id))
    assert [(each.state, each.waiting_position) for each in mine.enrolments] == [(WAITING, 1)]
    roster = await leader.call.ListEnrolments(groups_pb2.ListEnrolmentsRequest(group_id=group.group_id))
    assert {each.person_id for each in roster.enrolments if each.state == ACTIVE} >= {free.person_id}


async def test_a_group_does_not_shrink_below_those_who_are_in_it(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader, capacity=2)
    for _ in range(2):
        await world.enrol(group.group_id, new_id())
    group.details.capacity = 1
    with pytest.raises(Refused) as refused:
        await leader.call.UpdateGroup(groups_pb2.UpdateGroupRequest(group_id=group.group_id, details=group.details))
    assert refused.value.reason == "capacity_below_enrolled"


async def test_a_closed_cohort_takes_nobody_once_it_has_begun(world: Any, person: str) -> None:
    group = await world.group(await world.leader(), closed_cohort=True, starts_on="2026-01-05")
    with pytest.raises(Refused) as refused:
        await world.enrol(group.group_id, person)
    assert refused.value.reason == "cohort_started"


async def test_people_book_optional_sessions_themselves_until_they_are_full(world: Any) -> None:
    host = world.as_role("facilitator")
    walk = await world.plan(
        host, kind=cal.SESSION_KIND_GROUP, title="Sober coffee hour", optional=True, capacity=2, by=world.office
    )
    people = [new_id() for _ in range(3)]
    outcomes = await asyncio.gather(
        *(
            world.participant(each).call.BookSeat(cal.BookSeatRequest(session_id=walk.session_id, person_id=each))
            for each in people
        ),
        return_exceptions=True,
    )
    refused = [each for each in outcomes if isinstance(each, HavenError)]
    assert [each.reason for each in refused] == ["session_full"]
    seated = next(each for each, got in zip(people, outcomes, strict=True) if not isinstance(got, HavenError))
    me = world.participant(seated)
    given_up = await me.call.ReleaseSeat(cal.ReleaseSeatRequest(session_id=walk.session_id, person_id=seated))
    assert given_up.seats_taken == 1
    with pytest.raises(NotFound):
        await me.call.GetSession(cal.GetSessionRequest(session_id=walk.session_id))


async def test_people_do_not_give_up_treatment_by_themselves(world: Any, person: str) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    await world.series(leader, group.group_id)
    await world.enrol(group.group_id, person)
    me = world.participant(person)
    session = (await world.sessions(me))[0]
    with pytest.raises(Denied):
        await me.call.ReleaseSeat(cal.ReleaseSeatRequest(session_id=session.session_id, person_id=person))


async def test_a_moved_session_keeps_its_people_and_is_refused_where_they_are_elsewhere(
    world: Any, person: str
) -> None:
    leader = await world.leader()
    session = await world.plan(leader, person)
    await world.plan(await world.leader(), person, starts_at=world.at(9, 10))
    moved = await world.office.call.RescheduleSession(
        cal.RescheduleSessionRequest(session_id=session.session_id, starts_at=world.at(8, 14, 30), etag=session.etag)
    )
    assert (moved.starts_at.ToDatetime(), list(moved.person_ids)) == (
        (world.at(8, 14, 30)).replace(tzinfo=None),
        [person],
    )
    with pytest.raises(Conflict):
        await world.office.call.RescheduleSession(
            cal.RescheduleSessionRequest(session_id=session.session_id, starts_at=world.at(9, 10, 30))
        )
    kept = await world.office.call.GetSession(cal.GetSessionRequest(session_id=session.session_id))
    assert kept == moved
    told = [
        each for each in await world.running.told(events_pb2.SessionPlanned) if each.session_id == session.session_id
    ]
    assert [each.version for each in told] == [1, 2]
    assert told[1].ends_at.ToDatetime() - told[1].starts_at.ToDatetime() == timedelta(hours=1)


async def test_the_same_key_books_once(world: Any, person: str) -> None:
    leader = await world.leader()
    request = cal.PlanSessionRequest(
        kind=cal.SESSION_KIND_INDIVIDUAL,
        title="One to one",
        starts_at=world.at(8, 14),
        minutes=60,
        time_zone="America/New_York",
        facilitator_id=leader.id,
        person_ids=[person],
        format=groups_pb2.FORMAT_VIRTUAL,
    )
    key = (("idempotency-key", new_id()),)
    first = await world.office.call.PlanSession(request, metadata=key)
    assert await world.office.call.PlanSession(request, metadata=key) == first


async def test_an_id_in_capitals_is_the_same_person(world: Any, person: str) -> None:
    session = await world.plan(await world.leader(), person.upper())
    assert list(session.person_ids) == [person]
    with pytest.raises(Conflict):
        await world.plan(await world.leader(), person)
    assert [each.session_id for each in await world.sessions(world.office, person_id=person.upper())] == [
        session.session_id
    ]


async def test_who_is_named_and_enrolled_gets_one_seat_and_is_told_once(world: Any, person: str) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    enrolled = await world.enrol(group.group_id, person)
    extra = await world.plan(leader, person, kind=cal.SESSION_KIND_GROUP, group_id=group.group_id)
    assert (list(extra.person_ids), extra.title) == ([person], "One to one")
    told = [each for each in await world.running.told(events_pb2.SeatTaken) if each.person_id == person]
    assert [(each.enrolment_id, list(each.session_ids)) for each in told] == [
        (enrolled.enrolment_id, [extra.session_id])
    ]


async def test_times_that_no_calendar_needs_are_refused_by_name(world: Any, person: str) -> None:
    far = Timestamp(seconds=253402300799)
    since: dict[str, Any] = {"from": far}
    leader = await world.leader()
    attempts: dict[str, Any] = {
        "starts_at": lambda: world.plan(leader, person, starts_at=far),
        "from": lambda: world.office.call.ListSessions(cal.ListSessionsRequest(**since)),
        "start": lambda: world.office.call.GetWeek(cal.GetWeekRequest(person_id=person, start="0001-01-01")),
    }
    for field, attempt in attempts.items():
        with pytest.raises(Invalid) as invalid:
            await attempt()
        assert [each.field for each in invalid.value.violations] == [field]
