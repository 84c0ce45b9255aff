"""Crisis watches itself: timelines, drills, signs of life, and who is told when something is wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from haven.crisis.v1 import alerts_pb2, signals_pb2

from haven_crisis.__main__ import SPEC
from haven_crisis.channels import Channels
from haven_crisis.directory import Directory
from haven_crisis.domain.signals import NOBODY
from haven_crisis.findings import Board, Finding
from haven_crisis.heartbeat import Heartbeat
from haven_crisis.telling import Telling
from haven_crisis.turning import Turning
from haven_dev.receivers import Webhook, WebhookReceiver
from haven_kit.clock import FakeClock
from haven_kit.database import Database
from haven_kit.identity import system
from haven_kit.testing import eventually
from haven_kit.testing.running import Running
from haven_kit.workers import Worker

from .world import World, measured


def found(finding: Finding) -> float:
    return measured("haven_crisis_audit_findings", finding=finding.value)


def titles(hook: WebhookReceiver) -> list[str]:
    return [json.loads(each.body)["title"] for each in hook.received if each.status < 300]


def told(hook: WebhookReceiver, finding: Finding) -> int:
    return sum(finding.value in title for title in titles(hook))


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def planned(world: World) -> None:
    await world.plan()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    made = WebhookReceiver()
    await made.start()
    yield made
    await made.stop()


async def tampered(world: World, *statements: str) -> None:
    """Change what can only be changed by whoever owns the database."""
    async with world.transaction() as tx:
        for each in ("DISABLE", "ENABLE"):
            await tx.fetch(f"ALTER TABLE timeline {each} TRIGGER timeline_is_final")
            if each == "DISABLE":
                for statement in statements:
                    await tx.fetch(statement)


@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        (
            "UPDATE timeline SET actor = actor || 'x' WHERE seq = 1 AND alert_id = '{}'",
            "UPDATE timeline SET actor = left(actor, -1) WHERE seq = 1 AND alert_id = '{}'",
        ),
        (
            "UPDATE timeline SET at = at + interval '1 us' WHERE seq = 1 AND alert_id = '{}'",
            "UPDATE timeline SET at = at - interval '1 us' WHERE seq = 1 AND alert_id = '{}'",
        ),
        (
            "UPDATE alert SET severity = 3 WHERE alert_id = '{}'",
            "UPDATE alert SET severity = 2 WHERE alert_id = '{}'",
        ),
    ],
)
async def test_a_timeline_that_was_changed_is_found_and_told(
    world: World, person_id: str, damage: str, repair: str
) -> None:
    raised = await world.signal(person_id)
    await world.step("timelines")
    assert found(Finding.BROKEN_TIMELINES) == 0
    async with world.transaction() as tx:
        await tx.fetch("DELETE FROM finding_told")
    before = told(world.hooks["last"], Finding.BROKEN_TIMELINES)
    await tampered(world, damage.format(raised.alert_id))
    await world.step("timelines")
    assert found(Finding.BROKEN_TIMELINES) == 1
    for _ in range(2):
        await world.step("telling")
    await eventually(lambda: told(world.hooks["last"], Finding.BROKEN_TIMELINES) > before)
    assert told(world.hooks["last"], Finding.BROKEN_TIMELINES) == before + 1
    await tampered(world, repair.format(raised.alert_id))
    await world.step("timelines")
    assert found(Finding.BROKEN_TIMELINES) == 0


async def test_what_stays_wrong_is_told_again_after_an_hour(world: World, person_id: str) -> None:
    raised = await world.signal(person_id)
    await tampered(world, f"UPDATE alert SET severity = 3 WHERE alert_id = '{raised.alert_id}'")
    async with world.transaction() as tx:
        await tx.fetch("DELETE FROM finding_told")
    await world.step("timelines")
    await world.step("telling")
    await eventually(lambda: told(world.hooks["last"], Finding.BROKEN_TIMELINES) >= 1)
    count = told(world.hooks["last"], Finding.BROKEN_TIMELINES)
    async with world.transaction() as tx:
        await tx.fetch("UPDATE finding_told SET told_at = told_at - interval '61 minutes'")
    await world.step("telling")
    await eventually(lambda: told(world.hooks["last"], Finding.BROKEN_TIMELINES) > count)
    await tampered(world, f"UPDATE alert SET severity = 2 WHERE alert_id = '{raised.alert_id}'")
    await world.step("timelines")


def drills(hook: WebhookReceiver) -> list[Webhook]:
    return [each for each in hook.received if json.loads(each.body)["drill"]]


async def due(world: World) -> None:
    async with world.transaction() as tx:
        await tx.fetch("UPDATE drill_clock SET next_at = $1", world.clock.now())


async def last_run(world: World) -> Any:
    async with world.transaction() as tx:
        return await tx.fetch_one(
            """SELECT drill_run.outcome, drill_run.seconds, alert.state, alert.drill, alert.person_id::text
            FROM drill_run JOIN alert USING (alert_id) ORDER BY started_at DESC, drill_id DESC LIMIT 1"""
        )


async def test_a_synthetic_drill_goes_the_whole_way_and_is_closed(world: World) -> None:
    before = {name: len(drills(hook)) for name, hook in world.hooks.items()}
    good = measured("haven_crisis_drills_total", outcome="paged")
    real = measured("haven_crisis_first_page_total")
    await due(world)
    await world.step("drills")
    await eventually(lambda: measured("haven_crisis_drills_total", outcome="paged") == good + 1)
    row = await last_run(world)
    assert (row["outcome"], row["state"], row["drill"], row["person_id"]) == ("paged", 6, True, NOBODY)
    assert 0 < row["seconds"] < 10
    assert len(drills(world.hooks["last"])) == before["last"] + 1
    assert titles(world.hooks["last"])[-1] == "Haven: DRILL, crisis alert"
    assert all(len(drills(hook)) == before[name] for name, hook in world.hooks.items() if name != "last")
    assert measured("haven_crisis_first_page_total") == real
    await world.step("drills")
    assert measured("haven_crisis_drills_total", outcome="paged") == good + 1
    assert measured("haven_crisis_drill_last_good_timestamp_seconds") == world.clock.now().timestamp()
    await world.step("timelines")
    assert found(Finding.BROKEN_TIMELINES) == 0


async def test_a_drill_that_reaches_nobody_is_told_once_somebody_can_be_told(world: World) -> None:
    hook = world.hooks["last"]
    async with world.transaction() as tx:
        await tx.fetch("DELETE FROM finding_told")
    hook.status = 503
    await due(world)
    await world.step("drills")
    await eventually(lambda: found(Finding.FAILED_DRILL) == 1)
    assert (await last_run(world))["outcome"] == "not_paged"
    await world.step("telling")
    assert told(hook, Finding.FAILED_DRILL) == 0
    hook.status = 204
    await world.step("telling")
    await eventually(lambda: told(hook, Finding.FAILED_DRILL) == 1)
    await due(world)
    await world.step("drills")
    await eventually(lambda: found(Finding.FAILED_DRILL) == 0)


async def test_a_drill_that_a_dead_replica_left_is_closed_and_counts_as_failed(world: World) -> None:
    await due(world)
    await world.step("drills")
    await eventually(lambda: found(Finding.FAILED_DRILL) == 0)
    async with world.transaction() as tx:
        await tx.fetch("UPDATE drill_run SET ended_at = NULL, outcome = '', started_at = started_at + interval '1 s'")
    world.clock.advance(timedelta(seconds=90))
    await world.step("drills")
    assert (await last_run(world))["outcome"] == "left"
    assert found(Finding.FAILED_DRILL) == 1
    await due(world)
    await world.step("drills")
    await eventually(lambda: found(Finding.FAILED_DRILL) == 0)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def exercising(
    world: World, serve: Callable[..., Awaitable[Running]]
) -> AsyncIterator[tuple[Running, WebhookReceiver]]:
    """A replica in test mode: every page of a drill goes to one webhook."""
    hook = WebhookReceiver()
    await hook.start()
    running = await serve(
        SPEC,
        clock=world.clock,
        crisis_last_resort_webhook=world.hooks["last"].url,
        crisis_drill_webhook=hook.url,
        smtp_port=world.mail.port,
        crisis_url="https://crisis.example",
    )
    yield running, hook
    await running.stop()
    await hook.stop()


async def test_test_mode_and_an_open_drill_swallow_no_real_alert(
    world: World, exercising: tuple[Running, WebhookReceiver], person_id: str
) -> None:
    replica, hook = exercising
    staff = world.staff("first", replica=replica)
    drill = await world.signal(person_id, staff, source=signals_pb2.SIGNAL_SOURCE_DRILL)
    await eventually(lambda: drill.alert_id in {json.loads(each.body)["alert_id"] for each in drills(hook)})
    person = replica.as_role("participant", person_id=person_id)
    real = await world.signal(person_id, person)
    assert real.alert_id != drill.alert_id
    paged = await world.paged("first", real.alert_id)
    assert not any(page["drill"] or "DRILL" in page["title"] for page in paged)
    assert real.alert_id not in {json.loads(each.body)["alert_id"] for each in hook.received}
    alert = await world.alert(real.alert_id)
    assert not alert.drill
    assert alert.state in (alerts_pb2.ALERT_STATE_RAISED, alerts_pb2.ALERT_STATE_PAGED)


async def test_a_heart_beats_while_the_loops_turn_and_stops_when_one_is_stuck(
    world: World, serve: Callable[..., Awaitable[Running]], receiver: WebhookReceiver
) -> None:
    replica = await serve(
        SPEC,
        clock=FakeClock(),
        crisis_last_resort_webhook=world.hooks["last"].url,
        crisis_heartbeat_url=receiver.url,
        crisis_heartbeat_seconds=1,
        crisis_drill_minutes=0,
    )
    try:
        await eventually(lambda: len(receiver.received) >= 2)
        assert all(not each.body for each in receiver.received)
        async with replica.process.database.transaction(system("test/lock")) as tx:
            await tx.fetch("LOCK TABLE follow_up IN ACCESS EXCLUSIVE MODE")  # a loop that waits for ever
            await eventually(lambda: found(Finding.STUCK_LOOPS) >= 1, timeout=40)
            count = len(receiver.received)
            await world.step("heartbeat", replica)
            assert len(receiver.received) == count
        await eventually(lambda: len(receiver.received) > count, timeout=30)
    finally:
        await replica.stop()


async def test_a_turn_counts_only_when_it_ends_well(world: World, receiver: WebhookReceiver) -> None:
    now = [0.0]
    works = [True]

    async def step() -> bool:
        if not works[0]:
            raise RuntimeError("the database is away")
        return False

    turning = Turning(clock=lambda: now[0])
    (watched,) = turning.watch([Worker("pages", step, every=timedelta(seconds=1))])
    settings = world.crisis.parts.settings.model_copy(update={"crisis_heartbeat_url": receiver.url})
    heart = Heartbeat(replace(world.crisis.parts, settings=settings), turning, Board())
    await heart.beat()
    assert len(receiver.received) == 1
    now[0], works[0] = 20.0, False
    with pytest.raises(RuntimeError):
        await watched.step()
    await heart.beat()
    assert (turning.late(), len(receiver.received)) == (["pages"], 1)
    works[0] = True
    await watched.step()
    await heart.beat()
    assert (turning.late(), len(receiver.received)) == ([], 2)
    receiver.status = 500
    failed = measured("haven_crisis_heartbeats_total", outcome="failed")
    await heart.beat()
    assert measured("haven_crisis_heartbeats_total", outcome="failed") == failed + 1
    await heart.close()


def test_what_looks_late_for_a_moment_is_not_told() -> None:
    board = Board()
    board.put(Finding.STUCK_PAGES, 3)
    assert board.urgent() == []
    board.put(Finding.STUCK_PAGES, 3)
    assert board.urgent() == [Finding.STUCK_PAGES]
    board.put(Finding.STUCK_PAGES, 0)
    assert board.urgent() == []


async def test_what_is_wrong_is_told_without_a_database_too_once_an_hour(
    world: World, receiver: WebhookReceiver
) -> None:
    clock = FakeClock()
    settings = world.crisis.parts.settings.model_copy(update={"crisis_last_resort_webhook": receiver.url})
    nowhere = Database("postgresql://nobody:none@127.0.0.1:1/none", clock=clock, application="test")
    parts = replace(world.crisis.parts, settings=settings, database=nowhere, clock=clock)
    channels, board = Channels(settings, clock), Board()
    telling = Telling(parts, Directory(parts.cipher, settings), channels, board)
    board.put(Finding.STUCK_LOOPS, 1)
    try:
        for _ in range(2):
            await telling.step()
        assert told(receiver, Finding.STUCK_LOOPS) == 1
        clock.advance(timedelta(minutes=61))
        await telling.step()
        assert told(receiver, Finding.STUCK_LOOPS) == 2
    finally:
        await channels.close()
        await nowhere.close()
