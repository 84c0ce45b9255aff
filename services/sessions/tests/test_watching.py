"""Watching a room: everything once, in order, resumed without a gap, and nothing that is not meant for the reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from haven.sessions.v1 import help_service_pb2 as help_rpc
from haven.sessions.v1 import moderation_service_pb2 as moderation
from haven.sessions.v1 import participation_service_pb2 as part
from haven.sessions.v1 import rooms_pb2 as pb
from haven.sessions.v1 import sessions_service_pb2 as rpc

from haven_kit.errors import Invalid, NotFound, Overloaded, Refused
from haven_kit.testing import eventually
from haven_kit.testing.module import Module
from haven_sessions.__main__ import SPEC
from haven_sessions.bells import Bells
from haven_sessions.store.rooms import bell

from .conftest import Neighbours, Person, plan, stranger


class Watched:
    """What one reader's stream has brought so far."""

    def __init__(self) -> None:
        self.events: list[pb.RoomEvent] = []

    @property
    def kinds(self) -> list[str]:
        return [str(each.WhichOneof("happened")) for each in self.events]

    @property
    def ids(self) -> list[int]:
        return [int(each.event_id) for each in self.events]

    def has(self, kind: str, count: int = 1) -> Callable[[], bool]:
        return lambda: self.kinds.count(kind) >= count


@asynccontextmanager
async def watching(person: Person, last_event_id: str) -> AsyncIterator[Watched]:
    watched = Watched()

    async def read() -> None:
        request = rpc.WatchRoomRequest(session_id=person.session_id, last_event_id=last_event_id)
        async for event in person.rooms.WatchRoom(request):
            watched.events.append(event)

    task = asyncio.create_task(read())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def hands(person: Person, times: int) -> None:
    for _ in range(times):
        await person.taking_part.RaiseHand(part.RaiseHandRequest(session_id=person.session_id))
        await person.taking_part.LowerHand(part.LowerHandRequest(session_id=person.session_id))


async def test_events_come_as_they_happen_and_resume_without_gap_or_double(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    start = (await ana.room()).event_id
    async with watching(ana, start) as first:
        await hands(ben, 5)
        await eventually(first.has("hand_changed", 10))
    await hands(ben, 5)  # while nobody watches
    async with watching(ana, first.events[6].event_id) as second:
        await hands(ben, 5)
        await eventually(second.has("hand_changed", 23))
    seen = [*first.ids[:7], *second.ids]
    assert seen == list(range(int(start) + 1, int(start) + 31))


async def test_many_who_act_at_once_are_seen_by_all_in_one_order(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=4)
    await group.start()
    start = (await group.staff.room()).event_id
    async with watching(group.staff, start) as staff, watching(group.people[0], start) as ana:
        await asyncio.gather(*(hands(person, 3) for person in group.people))
        await eventually(staff.has("hand_changed", 24))
        await eventually(ana.has("hand_changed", 24))
    assert staff.ids == ana.ids == list(range(int(start) + 1, int(start) + 25))
    assert [each.SerializeToString() for each in staff.events] == [each.SerializeToString() for each in ana.events]


async def test_quiet_things_reach_staff_and_never_a_participant(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    start = (await group.staff.room()).event_id
    session = {"session_id": group.session_id}
    async with watching(group.staff, start) as staff, watching(ana, start) as own, watching(ben, start) as other:
        await hands(ben, 1)
        for each in (staff, own, other):
            await eventually(each.has("hand_changed"))
        await ana.help.CallForHelp(help_rpc.CallForHelpRequest(**session))
        assert (await ana.taking_part.AskForPause(part.AskForPauseRequest(**session))).text
        pair = pb.ApartPair(member_id=ana.member_id, from_member_id=ben.member_id)
        await group.staff.moderation.KeepApart(moderation.KeepApartRequest(**session, pairs=[pair]))
        await group.staff.moderation.StartCheckIn(moderation.StartCheckInRequest(**session, member_id=ana.member_id))
        await ana.taking_part.SendMessage(part.SendMessageRequest(**session, text="quietly", to_staff=True))
        await eventually(staff.has("help"))
        await group.close()
        for each in (staff, own, other):
            await eventually(each.has("closed"))
    assert {"help", "pause_asked", "kept_apart", "breakout_opened", "message"} <= set(staff.kinds)
    assert set(own.kinds) == {"hand_changed", "breakout_opened", "breakout_moved", "message", "left", "closed"}
    assert set(other.kinds) == {"hand_changed", "left", "closed"}


async def test_the_stream_ends_when_one_is_moved_out(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    target = {"session_id": group.session_id, "member_id": ana.member_id}
    request = rpc.WatchRoomRequest(session_id=group.session_id, last_event_id=(await ana.room()).event_id)
    seen: list[str] = []

    async def read() -> None:
        async for event in ana.rooms.WatchRoom(request):
            seen.append(str(event.WhichOneof("happened")))  # noqa: PERF401 - what came before the end counts

    reading = asyncio.create_task(read())
    await hands(ben, 1)
    await eventually(lambda: len(seen) == 2)
    await group.staff.moderation.RemoveMember(moderation.RemoveMemberRequest(**target, reason=pb.REMOVAL_REASON_SAFETY))
    async with asyncio.timeout(10):
        await reading
    assert seen == ["hand_changed", "hand_changed", "moderated"]
    with pytest.raises(Refused):
        await collect(ana, request)


async def test_what_is_said_while_one_is_in_the_lobby_stays_unseen(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    start = (await ana.room()).event_id
    target = {"session_id": group.session_id, "member_id": ana.member_id}
    say = part.SendMessageRequest(session_id=group.session_id, text="while you were out")
    async with watching(ana, start) as seen:
        await group.staff.moderation.MoveToLobby(
            moderation.MoveToLobbyRequest(**target, reason=pb.REMOVAL_REASON_TECHNICAL)
        )
        await ben.taking_part.SendMessage(say)
        await group.staff.moderation.AdmitMember(moderation.AdmitMemberRequest(**target))
        await eventually(seen.has("moderated", 2))
    assert "message" not in seen.kinds
    await ana.join()
    async with watching(ana, start) as again:
        await ben.taking_part.SendMessage(part.SendMessageRequest(session_id=group.session_id, text="welcome back"))
        await eventually(again.has("message"))
    texts = [each.message.text for each in again.events if each.WhichOneof("happened") == "message"]
    assert texts == ["welcome back"]
    listed = await ana.taking_part.ListMessages(part.ListMessagesRequest(session_id=group.session_id))
    assert [each.text for each in listed.messages] == ["welcome back"]


async def test_who_may_watch(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.open()
    request = rpc.WatchRoomRequest(session_id=group.session_id)
    with pytest.raises(Refused):
        await collect(group.people[0], request)
    with pytest.raises(NotFound):
        await collect(stranger(neighbours, group.session_id), request)
    with pytest.raises(Invalid):
        await collect(group.staff, rpc.WatchRoomRequest(session_id=group.session_id, last_event_id="not-a-number"))


async def test_a_closed_room_is_replayed_to_staff_and_ends(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    await group.close()
    found = await collect(group.staff, rpc.WatchRoomRequest(session_id=group.session_id, last_event_id="0"))
    kinds = [each.WhichOneof("happened") for each in found]
    assert kinds == ["opened", "agenda_known", "joined", "joined", "joined", "left", "left", "left", "closed"]
    assert found[3].joined.member.display_name == "Robin 0"


async def collect(person: Person, request: rpc.WatchRoomRequest) -> list[Any]:
    return [each async for each in person.rooms.WatchRoom(request)]


async def test_as_many_watch_as_leave_room_for_other_calls(neighbours: Neighbours) -> None:
    bells = Bells(neighbours.running.parts.database.wake, most=2)
    with bells.watching("one"), bells.watching("two"), pytest.raises(Overloaded), bells.watching("three"):
        pytest.fail("a third one watches")
    with bells.watching("three") as rung:
        neighbours.running.parts.database.wake.ring(bell("three"))
        async with asyncio.timeout(5):
            await rung.wait()


async def test_what_one_replica_lets_happen_is_seen_on_another(neighbours: Neighbours, haven: Module) -> None:
    group = await plan(neighbours, people=1)
    await group.start()
    (ana,) = group.people
    other = await haven.serve(SPEC, clock=neighbours.clock)
    principal = group.staff.caller.principal
    elsewhere = Person(other.as_role("facilitator", sub=principal.id), group.session_id)
    async with watching(elsewhere, (await elsewhere.room()).event_id) as seen:
        await hands(ana, 2)
        await eventually(seen.has("hand_changed", 4))
    await other.stop()
