"""The quiet call for help: two roads, one is enough; and what staff see of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio
from haven.crisis.v1 import signals_pb2
from haven.sessions.v1 import events_pb2 as told
from haven.sessions.v1 import help_service_pb2 as rpc
from haven.sessions.v1 import rooms_pb2 as pb
from haven.sessions.v1.help_service_pb2_grpc import HelpServiceStub

from haven_kit.errors import Denied, NotFound, Refused, Unauthenticated, Unavailable
from haven_kit.identity import system
from haven_kit.ids import new_id
from haven_kit.testing import eventually
from haven_kit.testing.module import Module
from haven_kit.testing.proxy import Proxy

from .conftest import Group, Neighbours, Person, plan, stranger, surroundings
from .helping import call, shown, signalled


@dataclass
class World:
    """Sessions, its neighbours, and the way to its database."""

    neighbours: Neighbours
    road: Proxy


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(haven: Module) -> AsyncIterator[World]:
    road = Proxy(await haven.database_url("sessions"))
    await road.start()
    async with surroundings(haven, database_url=road.url, crisis_timeout_seconds=2) as neighbours:
        yield World(neighbours, road)
    await road.refuse()


@pytest.fixture
def neighbours(world: World) -> Neighbours:
    return world.neighbours


async def test_a_call_takes_both_roads_with_one_signal(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    answer = await call(ana, note="I am not well")
    assert answer.reached_crisis
    assert answer.kept
    assert "988" in answer.text
    raised = neighbours.crisis.signals[-1]
    assert (raised.signal_id, raised.person_id, raised.session_id) == (
        answer.signal_id,
        ana.person_id,
        group.session_id,
    )
    assert raised.source == signals_pb2.SIGNAL_SOURCE_HELP_BUTTON
    assert raised.note == "I am not well"
    (event,) = await signalled(neighbours, answer.signal_id)
    assert event.facilitator_id == group.staff.caller.principal.id

    async def staff_see_it() -> bool:
        return await shown(group) == {ana.person_id: pb.HELP_STATE_CALLED}

    await eventually(staff_see_it)
    assert not (await ben.room()).help
    assert not (await ana.room()).help


async def test_pressing_twice_with_one_signal_is_one_call(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    signal_id = new_id()
    for _ in range(2):
        assert (await call(group.people[0], signal_id=signal_id)).signal_id == signal_id
    assert len(await signalled(neighbours, signal_id)) == 1


async def test_no_clumsy_request_stands_between_a_person_and_help(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=2)
    ana, ben = group.people
    first, second = await call(ana, signal_id="my call"), await call(ana, signal_id="my call", note="x" * 5000)
    assert first.signal_id == second.signal_id
    assert second.reached_crisis
    assert len(neighbours.crisis.signals[-1].note) == 2000
    assert (await call(ben, signal_id="my call")).signal_id != first.signal_id


async def test_help_is_there_whatever_the_room_is_in(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    (ana,) = group.people
    assert (await call(ana)).reached_crisis  # not open, nothing accepted, not joined
    await group.open()
    await group.close()
    assert (await call(ana)).reached_crisis  # closed
    nobody = stranger(neighbours, new_id())
    assert (await call(nobody)).kept  # no seat, and no such session
    for _ in range(50):  # never limited
        assert (await call(ana)).kept


async def test_a_stranger_s_call_reaches_crisis_and_is_not_shown_in_the_room(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.start()
    nobody = stranger(neighbours, group.session_id)
    assert (await call(nobody)).reached_crisis
    assert (await call(group.people[0])).kept

    async def own_call_shown() -> bool:
        return group.people[0].person_id in await shown(group)

    await eventually(own_call_shown)
    assert nobody.person_id not in await shown(group)


async def test_with_crisis_down_the_call_is_kept_and_sent_as_an_event(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    neighbours.crisis.down = True
    try:
        answer = await call(group.people[0])
    finally:
        neighbours.crisis.down = False
    assert answer.kept
    assert not answer.reached_crisis
    assert len(await signalled(neighbours, answer.signal_id)) == 1


async def test_with_crisis_hanging_the_answer_does_not_wait_for_it(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    neighbours.crisis.hanging = asyncio.Event()
    try:
        async with asyncio.timeout(1.5):
            answer = await call(group.people[0])
        assert answer.kept
        assert not answer.reached_crisis
        neighbours.crisis.hanging.set()

        def arrived() -> bool:
            return any(each.signal_id == answer.signal_id for each in neighbours.crisis.signals)

        await eventually(arrived)  # the other road went on by itself
    finally:
        neighbours.crisis.hanging = None


async def test_with_the_database_down_the_call_still_reaches_crisis(world: World) -> None:
    group = await plan(world.neighbours, people=1)
    await world.road.refuse()
    try:
        answer = await call(group.people[0])
    finally:
        await world.road.start()
    assert answer.reached_crisis
    assert not answer.kept
    assert world.neighbours.crisis.signals[-1].signal_id == answer.signal_id
    assert (await call(group.people[0])).kept  # as soon as it is back
    await database_is_back(group)


async def test_with_the_database_hanging_the_call_still_reaches_crisis_at_once(world: World) -> None:
    group = await plan(world.neighbours, people=1)
    world.road.stall()
    try:
        async with asyncio.timeout(1.5):
            answer = await call(group.people[0])
    finally:
        world.road.resume()
    assert answer.reached_crisis
    await database_is_back(group)


async def test_with_both_down_the_answer_says_how_to_get_help(world: World) -> None:
    group = await plan(world.neighbours, people=1)
    world.neighbours.crisis.down = True
    await world.road.refuse()
    try:
        with pytest.raises(Unavailable, match="988") as failed:
            await call(group.people[0])
    finally:
        world.neighbours.crisis.down = False
        await world.road.start()
    assert failed.value.reason == "help_unreached"
    await database_is_back(group)


async def test_an_account_that_belongs_to_nobody_is_told_how_to_get_help(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    nobody = Person(neighbours.running.as_role("participant"), group.session_id)
    with pytest.raises(Refused, match="988") as refused:
        await call(nobody)
    assert refused.value.reason == "account_without_person"


async def database_is_back(group: Group) -> None:
    async def answers() -> bool:
        # As many at once as the pool has connections, so that none that was cut is left in it.
        found = await asyncio.gather(*(group.staff.room() for _ in range(10)), return_exceptions=True)
        return all(isinstance(each, pb.Room) for each in found)

    await eventually(answers)


async def test_a_busy_room_does_not_delay_the_call(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.start()
    async with neighbours.running.parts.database.transaction(system("test")) as tx:
        await tx.fetch("SELECT 1 FROM room WHERE session_id = $1 FOR UPDATE", group.session_id)
        async with asyncio.timeout(1.5):
            answer = await call(group.people[0])
        assert answer.kept
        assert answer.reached_crisis

    async def staff_see_it() -> bool:
        return bool(await shown(group))

    await eventually(staff_see_it)


async def test_a_service_that_is_out_of_connections_does_not_delay_the_call(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.start()
    database = neighbours.running.parts.database
    async with AsyncExitStack() as held:
        for _ in range(neighbours.running.parts.settings.database_pool_size):
            await held.enter_async_context(database.transaction(system("test")))
        async with asyncio.timeout(1.5):
            answer = await call(group.people[0])
    assert answer.kept
    assert answer.reached_crisis
    assert neighbours.crisis.signals[-1].facilitator_id == group.staff.caller.principal.id


async def test_a_call_can_be_taken_back_and_crisis_is_told(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.start()
    (ana,) = group.people
    signal_id = (await call(ana)).signal_id
    answer = await ana.help.WithdrawHelp(rpc.WithdrawHelpRequest(session_id=ana.session_id, signal_id=signal_id))
    assert answer.reached_crisis
    assert neighbours.crisis.withdrawn[-1] == signal_id

    async def staff_see_it() -> bool:
        return await shown(group) == {ana.person_id: pb.HELP_STATE_WITHDRAWN}

    await eventually(staff_see_it)


async def test_crisis_is_told_of_a_withdrawal_once_it_is_back(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    (ana,) = group.people
    signal_id = (await call(ana)).signal_id
    neighbours.crisis.down = True
    try:
        answer = await ana.help.WithdrawHelp(rpc.WithdrawHelpRequest(session_id=ana.session_id, signal_id=signal_id))
    finally:
        neighbours.crisis.down = False
    assert not answer.reached_crisis
    neighbours.clock.advance(timedelta(seconds=30))
    await eventually(lambda: signal_id in neighbours.crisis.withdrawn)


async def test_nobody_takes_back_the_call_of_another(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    ana, ben = group.people
    signal_id = (await call(ana)).signal_id
    neighbours.crisis.down = True
    try:
        with pytest.raises(NotFound):
            await ben.help.WithdrawHelp(rpc.WithdrawHelpRequest(session_id=ben.session_id, signal_id=signal_id))
    finally:
        neighbours.crisis.down = False


async def test_staff_and_strangers_to_the_system_do_not_press_the_button(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    with pytest.raises(Denied):
        await call(group.staff)
    anonymous = neighbours.running.anonymous().stub(HelpServiceStub)
    with pytest.raises(Unauthenticated):
        await anonymous.CallForHelp(rpc.CallForHelpRequest(session_id=group.session_id))


async def test_an_odd_session_and_a_very_long_note_refuse_nobody(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    (ana,) = group.people
    answer = await ana.help.CallForHelp(
        rpc.CallForHelpRequest(session_id="the room on the left", note="please " * 5000)
    )
    assert answer.reached_crisis
    assert answer.kept
    (event,) = await signalled(neighbours, answer.signal_id)
    assert (event.person_id, event.session_id) == (ana.person_id, "")


async def test_an_id_whose_call_is_over_or_is_another_persons_silences_nobody(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=2)
    ana, ben = group.people

    async def told_of(person: Person) -> int:
        events = await neighbours.running.told(told.DistressSignalled)
        return len([each for each in events if each.person_id == person.person_id])

    signal_id = (await call(ana)).signal_id
    await ana.help.WithdrawHelp(rpc.WithdrawHelpRequest(session_id=ana.session_id, signal_id=signal_id))
    await call(ana, signal_id=signal_id)
    await call(ben, signal_id=signal_id)
    assert (await told_of(ana), await told_of(ben)) == (2, 1)
