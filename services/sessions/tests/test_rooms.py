"""The room over the wire: gates, presence, pauses, breakouts, moderation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from haven.scheduling.v1 import events_pb2 as scheduling
from haven.sessions.v1 import events_pb2 as told
from haven.sessions.v1 import moderation_service_pb2 as moderation
from haven.sessions.v1 import participation_service_pb2 as part
from haven.sessions.v1 import rooms_pb2 as pb
from haven.sessions.v1 import sessions_service_pb2 as rpc

from haven_kit.errors import Denied, HavenError, Invalid, NotFound, Refused
from haven_kit.identity import system
from haven_kit.ids import new_id
from haven_kit.testing import eventually
from haven_sessions.domain.room import replay
from haven_sessions.store import rooms

from .conftest import Neighbours, Person, plan, stranger


def refused(rule: str) -> pytest.RaisesExc[HavenError]:
    return pytest.RaisesExc(Refused, check=lambda error: error.reason == rule)


async def test_the_room_opens_with_its_agenda(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    assert (await group.staff.room()).state == pb.ROOM_STATE_WAITING
    room = await group.open()
    assert room.state == pb.ROOM_STATE_OPEN
    assert [each.title for each in room.agenda] == ["Arriving", "Skills: distress tolerance", "Closing"]
    assert not room.agenda_missing
    again = await group.open()
    assert again.event_id == room.event_id
    opened = [each for each in await neighbours.running.told(told.RoomOpened) if each.session_id == group.session_id]
    assert len(opened) == 1


async def test_the_room_opens_without_scheduling_and_learns_the_agenda_later(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    neighbours.scheduling.down = True
    try:
        room = await group.open()
        assert room.agenda_missing
        with refused("agenda_missing"):
            await group.staff.rooms.MoveAgenda(rpc.MoveAgendaRequest(session_id=group.session_id, agenda_position=1))
    finally:
        neighbours.scheduling.down = False
    assert len((await group.open()).agenda) == 3
    moved = await group.staff.rooms.MoveAgenda(rpc.MoveAgendaRequest(session_id=group.session_id, agenda_position=1))
    assert moved.agenda_position == 1


async def test_only_who_leads_the_session_in_a_licensed_role_opens_it(neighbours: Neighbours) -> None:
    group = await plan(neighbours, role="prescriber")
    with refused("licensed_facilitator"):
        await group.open()
    other = Person(neighbours.running.as_role("facilitator"), group.session_id)
    with pytest.raises(NotFound):
        await other.rooms.OpenRoom(rpc.OpenRoomRequest(session_id=group.session_id))
    with pytest.raises(Denied):
        await group.people[0].rooms.OpenRoom(rpc.OpenRoomRequest(session_id=group.session_id))


async def test_a_cancelled_session_does_not_open_even_if_the_news_came_first(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await neighbours.running.react(scheduling.SessionCancelled(session_id=group.session_id, version=2))
    with refused("cancelled"):
        await group.open()
    session_id = new_id()
    await neighbours.running.react(scheduling.SessionCancelled(session_id=session_id, version=2))
    late = await plan(neighbours)
    planned = scheduling.SessionPlanned(
        session_id=session_id,
        kind="group",
        starts_at=(await late.staff.room()).starts_at,
        ends_at=(await late.staff.room()).ends_at,
        time_zone="UTC",
        facilitator_id=late.staff.caller.principal.id,
        version=1,
    )
    await neighbours.running.react(planned)
    with refused("cancelled"):
        await late.staff.rooms.OpenRoom(rpc.OpenRoomRequest(session_id=session_id))


async def test_nobody_joins_before_accepting_the_group_agreement(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.open()
    ana = group.people[0]
    join = rpc.JoinRequest(session_id=group.session_id, display_name="Ana")
    with refused("group_agreement"):
        await ana.rooms.Join(join)
    agreement = await ana.rooms.GetAgreement(rpc.GetAgreementRequest(session_id=group.session_id))
    rules = {each.rule_id for each in agreement.rules}
    assert not agreement.accepted
    assert {"listening", "no_interrupting", "no_judgement", "no_criticism"} <= rules
    with refused("agreement_version"):
        await ana.rooms.AcceptAgreement(
            rpc.AcceptAgreementRequest(session_id=group.session_id, agreement_id="group-agreement/0")
        )
    assert (await ana.accept()).accepted
    assert (await ana.rooms.Join(join)).my_member_id


async def test_only_people_with_a_seat_see_or_join_the_room(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.open()
    nobody = stranger(neighbours, group.session_id)
    for ask in (nobody.room, nobody.accept, nobody.join):
        with pytest.raises(NotFound):
            await ask()
    ana = group.people[0]
    released = scheduling.SeatReleased(enrolment_id=new_id(), person_id=ana.person_id, session_ids=[group.session_id])
    await neighbours.running.react(released)
    assert (await ana.join()).my_member_id  # another enrolment's seat was released, not this one


@pytest.mark.parametrize("enrolment", [new_id(), ""], ids=["by an enrolment", "by none"])
async def test_a_seat_opens_the_door_and_its_release_closes_it(neighbours: Neighbours, enrolment: str) -> None:
    group = await plan(neighbours, people=0)
    await group.open()
    person = stranger(neighbours, group.session_id)
    seats: dict[str, Any] = {
        "enrolment_id": enrolment,
        "person_id": person.person_id,
        "session_ids": [group.session_id],
    }
    await neighbours.running.react(scheduling.SeatTaken(**seats))
    await person.room()
    await neighbours.running.react(scheduling.SeatReleased(**seats))
    with pytest.raises(NotFound):
        await person.room()


async def test_people_see_chosen_names_and_not_who_the_others_are(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    seen = {each.display_name: each for each in (await ana.room()).members}
    assert set(seen) == {"Sam", "Robin 0", "Robin 1"}
    assert seen["Robin 0"].person_id == ana.person_id
    assert seen["Robin 1"].person_id == ""
    by_staff = {each.display_name: each.person_id for each in (await group.staff.room()).members}
    assert by_staff["Robin 1"] == ben.person_id


async def test_who_has_not_joined_does_not_see_who_is_there(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.open()
    await group.people[0].join()
    room = await group.people[1].room()
    assert room.state == pb.ROOM_STATE_OPEN
    assert not room.members


async def test_a_location_goes_to_crisis_and_joining_never_fails_for_it(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.open()
    ana, ben = group.people
    place = pb.Whereabouts(address="1 Main Street, Springfield", region="OR", country="US")
    assert (await ana.join(location=place)).location_confirmed
    assert neighbours.crisis.locations[-1].person_id == ana.person_id
    assert neighbours.crisis.locations[-1].location.address == place.address
    neighbours.crisis.down = True
    try:
        room = await ben.join(location=place)
    finally:
        neighbours.crisis.down = False
    assert room.my_member_id
    assert not room.location_confirmed


async def test_a_lost_connection_lapses_and_coming_back_adds_up(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.open()
    (ana,) = group.people
    await ana.join()
    beat = rpc.HeartbeatRequest(session_id=group.session_id)
    for _ in range(10):
        neighbours.clock.advance(timedelta(seconds=30))
        assert (await ana.rooms.Heartbeat(beat)).lapse_seconds == 45
    neighbours.clock.advance(timedelta(seconds=60))  # five minutes there, then silence

    async def gone() -> bool:
        return not (await group.staff.room()).members

    await eventually(gone)
    with refused("not_joined"):
        await ana.rooms.Heartbeat(beat)
    await ana.join()
    neighbours.clock.advance(timedelta(seconds=30))
    await ana.rooms.Heartbeat(beat)
    await group.close()
    recorded = [
        each for each in await neighbours.running.told(told.AttendanceRecorded) if each.person_id == ana.person_id
    ]
    assert [each.attended_minutes for each in recorded] == [5]  # five minutes and a half


async def test_own_pace_and_turns(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    listening = {each.display_name: each.participation for each in (await ana.room()).members}
    assert listening["Robin 0"] == pb.PARTICIPATION_LISTEN
    turn = part.GiveTurnRequest(session_id=group.session_id, member_id=ana.member_id)
    with refused("own_pace"):
        await group.staff.taking_part.GiveTurn(turn)
    choice = part.ChooseParticipationRequest(session_id=group.session_id, participation=pb.PARTICIPATION_SPEAK)
    await ana.taking_part.ChooseParticipation(choice)
    await ben.taking_part.ChooseParticipation(choice)
    await group.staff.taking_part.GiveTurn(turn)
    neighbours.clock.advance(timedelta(seconds=20))
    await ana.taking_part.LowerHand(part.LowerHandRequest(session_id=group.session_id))
    shares = {each.member_id: each for each in (await group.staff.room()).speaking}
    assert shares[ana.member_id].seconds == 20
    assert shares[ana.member_id].share == 1.0
    assert shares[ben.member_id].invite
    assert not (await ana.room()).speaking
    await ana.taking_part.RaiseHand(part.RaiseHandRequest(session_id=group.session_id))
    assert {each.member_id for each in (await ben.room()).members if each.hand_raised} == {ana.member_id}


async def test_pauses(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana = group.people[0]
    grounding = rpc.StartPauseRequest(session_id=group.session_id, kind=pb.PAUSE_KIND_GROUNDING, minutes=5)
    await group.staff.rooms.StartPause(grounding)
    pause = (await ana.room()).pause
    assert pause.kind == pb.PAUSE_KIND_GROUNDING
    assert pause.exercise.exercise_id == "five-senses"
    assert len(pause.exercise.steps) >= 5
    with refused("already_paused"):
        await group.staff.rooms.StartPause(grounding)
    await group.staff.rooms.EndPause(rpc.EndPauseRequest(session_id=group.session_id))
    assert not (await ana.room()).HasField("pause")
    pet = rpc.StartPauseRequest(session_id=group.session_id, kind=pb.PAUSE_KIND_PET_BREAK, minutes=10)
    assert (await group.staff.rooms.StartPause(pet)).pause.kind == pb.PAUSE_KIND_PET_BREAK
    with pytest.raises(Denied):
        await ana.rooms.EndPause(rpc.EndPauseRequest(session_id=group.session_id))
    unknown = rpc.StartPauseRequest(
        session_id=group.session_id, kind=pb.PAUSE_KIND_GROUNDING, minutes=5, exercise_id="unknown"
    )
    with pytest.raises(Invalid):
        await group.staff.rooms.StartPause(unknown)


async def test_exercises_are_listed_in_pages(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    found, token = [], ""
    while True:
        request = rpc.ListGroundingExercisesRequest(page_size=3, page_token=token)
        page = await group.people[0].rooms.ListGroundingExercises(request)
        found += [each.exercise_id for each in page.exercises]
        token = page.next_page_token
        if not token:
            break
    assert len(found) == len(set(found)) == 4


async def test_breakouts_by_choice(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=3)
    await group.start()
    ana, ben, cem = group.people
    plans = [moderation.BreakoutPlan(name="Breathing", member_ids=[ana.member_id, ben.member_id])]
    opened = await group.staff.moderation.OpenBreakouts(
        moderation.OpenBreakoutsRequest(session_id=group.session_id, breakouts=plans)
    )
    breakout_id = opened.breakouts[0].breakout_id
    assert not (await cem.room()).breakouts
    join = moderation.JoinBreakoutRequest(session_id=group.session_id, breakout_id=breakout_id)
    await ana.moderation.JoinBreakout(join)
    with pytest.raises(NotFound):
        await cem.moderation.JoinBreakout(join)
    where = {each.member_id: each.breakout_id for each in (await cem.room()).members}
    assert where[ana.member_id] == ""  # where the others are is for those who are invited there
    where = {each.member_id: each.breakout_id for each in (await ben.room()).members}
    assert where[ana.member_id] == breakout_id
    await ana.moderation.LeaveBreakout(moderation.LeaveBreakoutRequest(session_id=group.session_id))
    closed = await group.staff.moderation.CloseBreakouts(moderation.CloseBreakoutsRequest(session_id=group.session_id))
    assert not closed.breakouts


async def test_people_kept_apart_never_share_a_breakout_and_never_learn_of_it(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    pair = pb.ApartPair(member_id=ana.member_id, from_member_id=ben.member_id)
    await group.staff.moderation.KeepApart(moderation.KeepApartRequest(session_id=group.session_id, pairs=[pair]))
    together = [moderation.BreakoutPlan(name="One", member_ids=[ana.member_id, ben.member_id])]
    with refused("kept_apart"):
        await group.staff.moderation.OpenBreakouts(
            moderation.OpenBreakoutsRequest(session_id=group.session_id, breakouts=together)
        )


async def test_an_individual_check_in_is_known_to_the_two_alone(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    began = await group.staff.moderation.StartCheckIn(
        moderation.StartCheckInRequest(session_id=group.session_id, member_id=ana.member_id)
    )
    breakout_id = began.breakouts[0].breakout_id
    assert began.breakouts[0].check_in
    assert not (await ben.room()).breakouts
    with pytest.raises(NotFound):
        await ben.moderation.JoinBreakout(
            moderation.JoinBreakoutRequest(session_id=group.session_id, breakout_id=breakout_id)
        )
    room = await ana.moderation.JoinBreakout(
        moderation.JoinBreakoutRequest(session_id=group.session_id, breakout_id=breakout_id)
    )
    assert room.breakouts[0].breakout_id == breakout_id


async def test_moderation_can_be_taken_back(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    target = {"session_id": group.session_id, "member_id": ana.member_id}
    staff = group.staff.moderation
    await staff.MuteMember(moderation.MuteMemberRequest(**target))
    assert next(each for each in (await ana.room()).members if each.member_id == ana.member_id).muted
    assert not any(each.muted for each in (await ben.room()).members)
    await staff.MoveToLobby(moderation.MoveToLobbyRequest(**target, reason=pb.REMOVAL_REASON_PRIVACY))
    assert not (await ana.room()).members
    assert {each.member_id for each in (await ben.room()).members} == {ben.member_id, group.staff.member_id}
    with refused("in_lobby"):
        await ana.join()
    await staff.AdmitMember(moderation.AdmitMemberRequest(**target))
    await ana.join()
    await staff.RemoveMember(moderation.RemoveMemberRequest(**target, reason=pb.REMOVAL_REASON_AGREEMENT))
    with refused("removed"):
        await ana.join()
    await staff.AdmitMember(moderation.AdmitMemberRequest(**target))
    assert (await ana.join()).my_member_id == target["member_id"]
    with pytest.raises(Denied):
        await ben.moderation.MuteMember(moderation.MuteMemberRequest(**target))


async def test_what_is_kept_replays_to_what_is_shown(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    await group.people[0].leave()
    async with neighbours.running.parts.database.transaction(system("test")) as tx:
        kept = replay(await rooms.happened(tx, group.session_id))
        places = {each.member_id: each.place for each in (await rooms.members(tx, group.session_id)).values()}
    assert {each.member_id: each.place for each in kept.members.values()} == places
    shown = await group.staff.room()
    assert {each.member_id for each in shown.members} == {each.member_id for each in kept.present()}
    assert shown.event_id == str(kept.last_seq)


async def test_people_and_facilitator_are_told_to_the_other_services(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.start()
    (ana,) = group.people
    await ana.leave()
    joined = [e for e in await neighbours.running.told(told.ParticipantJoined) if e.session_id == group.session_id]
    left = [e for e in await neighbours.running.told(told.ParticipantLeft) if e.session_id == group.session_id]
    assert [(each.person_id, each.facilitator_id) for each in joined] == [
        (ana.person_id, group.staff.caller.principal.id)
    ]
    assert [each.person_id for each in left] == [ana.person_id]


async def test_nobody_s_access_history_tells_who_else_is_in_the_group(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    await ana.room()
    await group.staff.room()
    async with neighbours.running.parts.database.transaction(system("test")) as tx:
        rows = await tx.fetch("SELECT DISTINCT principal_id FROM audit_entry WHERE person_id = $1", ben.person_id)
    looked = {row["principal_id"] for row in rows}
    assert looked == {ben.caller.principal.id, group.staff.caller.principal.id}


async def test_another_group_is_invisible(neighbours: Neighbours) -> None:
    mine, other = await plan(neighbours), await plan(neighbours)
    await mine.start()
    await other.start()
    with pytest.raises(NotFound):
        await mine.staff.moderation.MuteMember(
            moderation.MuteMemberRequest(session_id=other.session_id, member_id=other.people[0].member_id)
        )
    with pytest.raises(NotFound):
        await mine.staff.moderation.MuteMember(
            moderation.MuteMemberRequest(session_id=mine.session_id, member_id=other.people[0].member_id)
        )
