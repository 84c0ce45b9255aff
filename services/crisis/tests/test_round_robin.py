"""Round robins: consecutive alerts begin with consecutive targets, whichever replica takes the call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest_asyncio
from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import signals_pb2

from haven_crisis.__main__ import SPEC
from haven_crisis.domain.escalation import turn_of
from haven_crisis.store import alerts
from haven_kit import ids
from haven_kit.testing import eventually
from haven_kit.testing.running import Running

from .world import WAIT, World

FIRSTS, SECONDS = ("first", "second", "boss"), ("second", "first")


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def round_robins(world: World) -> None:
    """Two steps, each a round robin, gone through twice."""
    await world.plan(round_robins=(FIRSTS, SECONDS))


async def test_consecutive_alerts_begin_with_consecutive_targets_across_replicas(
    world: World, serve: Callable[..., Awaitable[Running]]
) -> None:
    other = await serve(
        SPEC, clock=world.clock, smtp_port=world.mail.port, crisis_last_resort_webhook=world.hooks["last"].url
    )
    turns, begun = [], []
    for place in range(7):
        person_id = ids.new_id()
        caller = (other if place % 2 else world.crisis).as_role("participant", person_id=person_id)
        raised = await world.signal(person_id, caller)
        joined = await world.signal(person_id)  # takes no turn
        assert joined.alert_id == raised.alert_id
        drill = await world.signal(person_id, world.staff("admin", "administrator"), source=DRILL)
        assert drill.alert_id != raised.alert_id  # takes one of the drills
        turns.append(await _turn(world, raised.alert_id))
        begun.append(FIRSTS.index(await _begun_with(world, raised.alert_id)))
    await other.stop()
    assert turns == list(range(turns[0], turns[0] + 7))
    assert begun == [turn % 3 for turn in turns]


async def test_calls_at_once_take_each_turn_once(world: World) -> None:
    raised = await asyncio.gather(*(world.signal(ids.new_id()) for _ in range(9)))
    turns = sorted([await _turn(world, each.alert_id) for each in raised])
    assert turns == list(range(turns[0], turns[0] + 9))
    begun = [await _begun_with(world, each.alert_id) for each in raised]
    assert sorted(begun) == sorted(FIRSTS * 3)


async def test_an_alert_goes_on_from_its_turn_and_keeps_it_when_it_is_paged_anew(world: World, person_id: str) -> None:
    raised = await world.signal(person_id)
    turn = await _turn(world, raised.alert_id)
    for stage in range(1, 4):
        await _noted(world, raised.alert_id)
        await world.later(WAIT)
        order = SECONDS if stage % 2 else FIRSTS
        whom = order[(turn + stage // 2) % len(order)]
        await eventually(lambda stage=stage, whom=whom: _paged(world, raised.alert_id, 0, stage, [whom]))
    contact = pb.RecordContactRequest(alert_id=raised.alert_id, reached=True, way="video")
    await world.alerts("first").RecordContact(contact)
    await world.signal(ids.new_id())
    assert (await world.signal(person_id)).alert_id == raised.alert_id
    assert await _paged(world, raised.alert_id, 1, 0, [FIRSTS[turn % 3]])
    assert await _turn(world, raised.alert_id) == turn
    await world.replays(raised.alert_id)


async def test_a_target_that_reaches_nobody_is_passed_over(world: World) -> None:
    await _renamed(world, "second", "unreadable")
    try:
        for _ in range(3):
            raised = await world.signal(ids.new_id())
            turn = await _turn(world, raised.alert_id)
            assert await _begun_with(world, raised.alert_id) == ("first", "boss", "boss")[turn % 3]
    finally:
        await _renamed(world, "unreadable", "second")


async def test_an_alert_of_the_release_before_goes_by_its_id(world: World, person_id: str) -> None:
    raised = await world.signal(person_id)
    await _noted(world, raised.alert_id)
    async with world.transaction() as tx:
        await tx.fetch("UPDATE alert SET turn = NULL WHERE alert_id = $1", raised.alert_id)
    await world.later(WAIT)
    by_id = turn_of(raised.alert_id, None)
    assert await _turn(world, raised.alert_id) == by_id
    await eventually(lambda: _paged(world, raised.alert_id, 0, 1, [SECONDS[by_id % 2]]))
    contact = pb.RecordContactRequest(alert_id=raised.alert_id, reached=True, way="video")
    await world.alerts("first").RecordContact(contact)
    await world.signal(person_id)
    assert await _paged(world, raised.alert_id, 1, 0, [FIRSTS[by_id % 3]])


async def test_without_a_round_robin_no_turn_is_taken(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    async with world.transaction() as tx:
        (row,) = await tx.fetch("SELECT turn FROM alert WHERE alert_id = $1", raised.alert_id)
    assert row["turn"] is None
    await world.replays(raised.alert_id)


DRILL = signals_pb2.SIGNAL_SOURCE_DRILL


async def _renamed(world: World, before: str, after: str) -> None:
    """Give a responder's row another id, under which it cannot be opened: they are left out."""
    async with world.transaction() as tx:
        await tx.fetch("UPDATE responder SET responder_id = $2 WHERE responder_id = $1", before, after)
        await tx.fetch("UPDATE on_call_version SET version = version + 1")
    await world.step("on-call")


async def _turn(world: World, alert_id: str) -> int:
    async with world.transaction() as tx:
        return (await alerts.get(tx, alert_id)).turn


async def _begun_with(world: World, alert_id: str) -> str:
    """Whom the first page of an alert reached; there is no other."""
    found: str = await eventually(lambda: next((name for name in FIRSTS if world.pages(name, alert_id)), None))
    assert await _paged(world, alert_id, 0, 0, [found])
    return found


async def _paged(world: World, alert_id: str, cycle: int, stage: int, whom: list[str]) -> bool:
    async with world.transaction() as tx:
        rows: list[Any] = await tx.fetch(
            "SELECT DISTINCT responder_id FROM page WHERE alert_id = $1 AND cycle = $2 AND stage = $3",
            alert_id,
            cycle,
            stage,
        )
    return [row["responder_id"] for row in rows] == whom


async def _noted(world: World, alert_id: str) -> None:
    """Wait until it is known how every page of an alert went."""

    async def none_open() -> bool:
        async with world.transaction() as tx:
            return not await tx.fetch("SELECT 1 FROM page WHERE alert_id = $1 AND state IN (1, 2)", alert_id)

    await eventually(none_open)
