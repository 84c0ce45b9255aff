"""What stays of a session: attendance, corrections, chat, and how safe it felt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from haven.intake.v1 import events_pb2 as intake
from haven.sessions.v1 import attendance_service_pb2 as rpc
from haven.sessions.v1 import events_pb2 as told
from haven.sessions.v1 import participation_service_pb2 as part
from haven.sessions.v1 import rooms_pb2 as pb
from haven.sessions.v1 import sessions_service_pb2 as rooms_rpc

from haven_kit.errors import Denied, Invalid, NotFound, Refused, Stale
from haven_kit.identity import system
from haven_kit.testing import eventually

from .conftest import Group, Neighbours, Person, plan, stranger


async def recorded(group: Group) -> dict[str, list[told.AttendanceRecorded]]:
    found: dict[str, list[told.AttendanceRecorded]] = {each.person_id: [] for each in group.people}
    for event in await group.neighbours.running.told(told.AttendanceRecorded):
        if event.session_id == group.session_id:
            found[event.person_id].append(event)
    return found


async def listed(person: Person, **given: Any) -> rpc.ListAttendanceResponse:
    request = rpc.ListAttendanceRequest(session_id=person.session_id, **given)
    answer: rpc.ListAttendanceResponse = await person.attendance.ListAttendance(request)
    return answer


async def test_closing_records_what_each_person_attended(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=3, zone="America/Los_Angeles")
    await group.open()
    await group.staff.join("Sam")
    ana, ben, absent = group.people
    await ana.join()
    await ben.join()
    neighbours.clock.advance(timedelta(seconds=20))
    await ben.leave()
    neighbours.clock.advance(timedelta(seconds=20))
    await ben.join()
    await ana.rooms.Heartbeat(rooms_rpc.HeartbeatRequest(session_id=group.session_id))
    neighbours.clock.advance(timedelta(seconds=40))
    await group.close()
    await group.close()  # a second time records nothing
    events = await recorded(group)
    assert {person: [each.attended_minutes for each in found] for person, found in events.items()} == {
        ana.person_id: [1],
        ben.person_id: [1],
        absent.person_id: [0],
    }
    assert events[ana.person_id][0].service_date == "2026-01-05"
    assert events[ana.person_id][0].facilitator_id == group.staff.caller.principal.id
    kept = {each.person_id: each for each in (await listed(group.staff)).attendance}
    assert len(kept[ana.person_id].intervals) == 1
    assert len(kept[ben.person_id].intervals) == 2
    assert not kept[absent.person_id].intervals


async def test_attendance_is_listed_in_pages(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=5)
    await group.open()
    await group.close()
    found, token = [], ""
    while True:
        page = await listed(group.staff, page_size=2, page_token=token)
        found += [each.person_id for each in page.attendance]
        token = page.next_page_token
        if not token:
            break
    assert sorted(found) == sorted(each.person_id for each in group.people)


async def test_people_follow_their_own_attendance_and_their_care_team_does(neighbours: Neighbours) -> None:
    first = await plan(neighbours, people=1)
    (ana,) = first.people
    await first.open()
    await first.close()
    ask = rpc.ListPersonAttendanceRequest(person_id=ana.person_id, page_size=10)
    assert [e.session_id for e in (await ana.attendance.ListPersonAttendance(ask)).attendance] == [first.session_id]
    therapist = Person(neighbours.running.as_role("individual_therapist"), first.session_id)
    with pytest.raises(NotFound):
        await therapist.attendance.ListPersonAttendance(ask)
    member = intake.CareTeamMember(principal_id=therapist.caller.principal.id, role="ROLE_INDIVIDUAL_THERAPIST")
    await neighbours.running.react(intake.CareTeamChanged(person_id=ana.person_id, members=[member], version=1))
    assert len((await therapist.attendance.ListPersonAttendance(ask)).attendance) == 1
    with pytest.raises(NotFound):
        await stranger(neighbours, first.session_id).attendance.ListPersonAttendance(ask)


async def test_a_correction_is_kept_told_and_guarded(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.open()
    await group.close()
    record = (await listed(group.staff)).attendance[0]
    correct = rpc.CorrectAttendanceRequest(
        attendance_id=record.attendance_id,
        attended_minutes=55,
        reason=rpc.CORRECTION_REASON_TELEPHONE,
        etag=record.etag,
    )
    corrected = await group.staff.attendance.CorrectAttendance(correct)
    assert corrected.attended_minutes == 55
    assert [(e.minutes_before, e.minutes_after, e.reason) for e in corrected.corrections] == [
        (0, 55, rpc.CORRECTION_REASON_TELEPHONE)
    ]
    events = (await recorded(group))[group.people[0].person_id]
    assert [(each.attendance_id, each.attended_minutes) for each in events] == [
        (record.attendance_id, 0),
        (record.attendance_id, 55),
    ]
    with pytest.raises(Stale):
        await group.staff.attendance.CorrectAttendance(correct)
    correct.etag = corrected.etag
    correct.attended_minutes = 61
    with pytest.raises(Invalid):
        await group.staff.attendance.CorrectAttendance(correct)
    other = Person(neighbours.running.as_role("facilitator"), group.session_id)
    with pytest.raises(NotFound):
        await other.attendance.CorrectAttendance(correct)
    with pytest.raises(Denied):
        await group.people[0].attendance.CorrectAttendance(correct)
    neighbours.clock.advance(timedelta(days=8))
    late = Person(neighbours.running.as_role("administrator"), group.session_id)
    correct.attended_minutes = 30
    with pytest.raises(Refused):
        await late.attendance.CorrectAttendance(correct)


async def test_an_abandoned_room_closes_itself_and_records(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.open()
    await group.people[0].join()
    neighbours.clock.advance(timedelta(minutes=91))
    await neighbours.running.process.service.workers[1].step()
    fresh = Person(neighbours.running.as_role("facilitator", sub=group.staff.caller.principal.id), group.session_id)

    async def closed() -> bool:
        return (await fresh.room()).state == pb.ROOM_STATE_CLOSED

    await eventually(closed)
    # Last heard of as they joined: what came after is not counted.
    assert [each.attended_minutes for each in (await recorded(group))[group.people[0].person_id]] == [0]


async def test_chat_reaches_whom_it_is_meant_for_and_is_sealed(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    for text, to_staff in (("hello everyone", False), ("only for you", True), ("goodbye", False)):
        await ana.taking_part.SendMessage(
            part.SendMessageRequest(session_id=group.session_id, text=text, to_staff=to_staff)
        )

    async def texts(person: Person) -> list[str]:
        request = part.ListMessagesRequest(session_id=group.session_id, page_size=2)
        found: list[str] = []
        while True:
            page = await person.taking_part.ListMessages(request)
            found += [each.text for each in page.messages]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    assert await texts(group.staff) == await texts(ana) == ["hello everyone", "only for you", "goodbye"]
    assert await texts(ben) == ["hello everyone", "goodbye"]
    async with neighbours.running.parts.database.transaction(system("test")) as tx:
        rows = await tx.fetch("SELECT sealed FROM message WHERE session_id = $1", group.session_id)
        shown = await tx.fetch("SELECT data::text AS data FROM room_event WHERE session_id = $1", group.session_id)
    assert len(rows) == 3
    assert not any(b"hello" in row["sealed"] for row in rows)
    assert not any("hello" in row["data"] or "Robin" in row["data"] for row in shown)


async def rate(person: Person, score: int) -> part.RateSessionResponse:
    request = part.RateSessionRequest(
        session_id=person.session_id, heard=score, respected=score, comfortable=score, private=5
    )
    answer: part.RateSessionResponse = await person.taking_part.RateSession(request)
    return answer


async def test_how_safe_it_felt_is_shown_without_names_and_only_for_three_or_more(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=4)
    await group.open()
    *three, absent = group.people
    for person in three:
        await person.join()
    with pytest.raises(Refused):
        await rate(three[0], 3)  # still in it
    await group.close()
    ask = part.GetSafetySummaryRequest(session_id=group.session_id)
    for score, person in enumerate(three[:2], start=2):
        assert (await rate(person, score)).text
    early = await group.staff.taking_part.GetSafetySummary(ask)
    assert (early.answers, early.heard) == (2, 0)
    await rate(three[2], 1)
    await rate(three[2], 4)  # takes the place of the first answer
    summary = await group.staff.taking_part.GetSafetySummary(ask)
    assert (summary.answers, summary.heard, summary.private) == (3, 3.0, 5.0)
    with pytest.raises(Refused):
        await rate(absent, 3)
    with pytest.raises(Denied):
        await three[0].taking_part.GetSafetySummary(ask)
