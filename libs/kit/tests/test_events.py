"""Events from a commit to the reaction's commit: once, in order, through outages, with dead letters and replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from haven.intake.v1 import events_pb2
from prometheus_client import REGISTRY

from haven_kit import ids
from haven_kit.consumer import Consumer
from haven_kit.database import Database, Tx
from haven_kit.errors import Overloaded, Unavailable
from haven_kit.identity import system
from haven_kit.messaging import Messaging
from haven_kit.reactions import Delivered, Reaction, Reactor, redrive
from haven_kit.relay import Relay, replay
from haven_kit.settings import Settings
from haven_kit.testing import eventually
from haven_kit.testing.module import Module
from haven_kit.testing.servers import Road
from haven_kit.workers import WorkerLoop

WHO = system("test")


@dataclass
class Pair:
    """A telling service (intake) and a reacting one (crisis), with nothing but the kit's parts."""

    teller: Database
    reacted: Database
    reactor: Reactor
    seen: list[str] = field(default_factory=list)
    fail: Callable[[str], Exception | None] = lambda _: None

    async def tell(self, *referrals: str, key: str = "") -> list[str]:
        """Tell one event a referral, each in a commit of its own."""
        told = []
        for referral in referrals:
            async with self.teller.transaction(WHO) as tx:
                told.append(tx.emit(events_pb2.ReferralReceived(referral_id=referral), key=key or referral))
        return told

    async def on_received(self, tx: Tx, event: events_pb2.ReferralReceived) -> None:
        """React: fail as the test asks, or note the event in the database, so that a rollback would undo it."""
        if (error := self.fail(event.referral_id)) is not None:
            raise error
        await tx.fetch("INSERT INTO consent_in_force VALUES ($1, $1, $2, '', FALSE)", ids.new_id(), event.referral_id)
        self.seen.append(event.referral_id)

    async def effects(self) -> list[str]:
        """What reactions left in the database."""
        async with self.reacted.transaction(WHO) as tx:
            return [row["kind"] for row in await tx.fetch("SELECT kind FROM consent_in_force ORDER BY consent_id")]

    async def all_published(self) -> None:
        """Wait until the relay has marked everything published, which it does after the reaction may have run."""

        async def none_waits() -> bool:
            async with self.teller.transaction(WHO) as tx:
                return not await tx.fetch("SELECT 1 FROM outbox WHERE published_at IS NULL")

        await eventually(none_waits)

    async def all_effects(self, expected: list[str]) -> None:
        """Wait for exactly these."""

        async def there() -> bool:
            found = await self.effects()
            assert sorted(found) == sorted(expected)
            return True

        await eventually(there, timeout=20)


@pytest_asyncio.fixture
async def road(
    haven: Module, kit_databases: Callable[[str], Awaitable[Database]], nats_server: Road
) -> AsyncIterator[Pair]:
    assert nats_server.url
    teller, reacted = await kit_databases("teller"), await kit_databases("reactor")
    made = Pair(teller, reacted, None)  # type: ignore[arg-type]
    made.reactor = Reactor("crisis", reacted, [Reaction(events_pb2.ReferralReceived, made.on_received)])
    roads = []
    for name, database in (("intake", teller), ("crisis", reacted)):
        settings = await haven.settings(Settings, name, database_url=database.url)
        roads.append(Messaging(settings, name))
        roads[-1].start()
    _, stream = await roads[0].ready()
    await stream.purge_stream("HAVEN_INTAKE")
    consumer = Consumer("crisis", roads[1], made.reactor)
    consumer.start()
    loops = [WorkerLoop(each, teller) for each in Relay("intake", teller, roads[0]).workers()]
    loops += [WorkerLoop(each, reacted) for each in made.reactor.workers()]
    for loop in loops:
        loop.start()
    yield made
    await consumer.stop(2)
    for loop in loops:
        await loop.stop(2)
    for each in roads:
        await each.close()


async def test_each_event_is_reacted_to_once_and_in_order_of_its_aggregate(road: Pair) -> None:
    names = [f"r{number}" for number in range(40)]
    await road.tell(*names, key="one aggregate")
    await road.all_effects(names)
    assert road.seen == names


async def test_delivered_twice_is_done_once(road: Pair) -> None:
    event = events_pb2.ReferralReceived(referral_id="twice").SerializeToString()
    delivered = Delivered(ids.new_id(), "haven.intake.referral.received.v1", "k", event, "", 1)
    assert await road.reactor.react(delivered) is None
    assert await road.reactor.react(delivered) is None
    assert await road.effects() == ["twice"]


async def test_a_failure_is_tried_again_and_leaves_no_half_effect(road: Pair) -> None:
    failures = {"shaky": 2}

    def fail(name: str) -> Exception | None:
        failures[name] -= 1
        return ValueError("not yet") if failures[name] >= 0 else None

    road.fail = fail
    await road.tell("shaky")
    await road.all_effects(["shaky"])
    assert failures["shaky"] == -1


async def test_what_is_unreachable_is_waited_for_and_never_buried(road: Pair) -> None:
    event = events_pb2.ReferralReceived(referral_id="waits").SerializeToString()
    road.fail = lambda _: Unavailable("Intake")
    delivered = Delivered(ids.new_id(), "haven.intake.referral.received.v1", "k", event, "", 500)
    assert await road.reactor.react(delivered) == 1.0
    async with road.reacted.transaction(WHO) as tx:
        assert not await tx.fetch("SELECT 1 FROM dead_letter")


async def test_too_much_to_do_and_a_call_for_help_never_make_a_dead_letter(road: Pair) -> None:
    event = events_pb2.ReferralReceived(referral_id="kept").SerializeToString()
    delivered = Delivered(ids.new_id(), "haven.intake.referral.received.v1", "k", event, "", 500)
    road.fail = lambda _: Overloaded(1)
    assert await road.reactor.react(delivered) == 1.0
    road.fail = lambda _: ValueError("a defect")
    helping = Reactor(
        "crisis", road.reacted, [Reaction(events_pb2.ReferralReceived, road.on_received, never_buried=True)]
    )
    assert await helping.react(delivered) == 60
    async with road.reacted.transaction(WHO) as tx:
        assert not await tx.fetch("SELECT 1 FROM dead_letter")


async def test_a_consumer_outlives_what_nobody_foresaw(road: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    take, failed = Consumer._take, asyncio.Event()

    async def fails_once(self: Consumer, subscription: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise KeyError("unforeseen")
        await take(self, subscription)

    monkeypatch.setattr(Consumer, "_take", fails_once)
    await road.tell("first")
    await eventually(failed.is_set, timeout=30)
    await road.tell("second")
    await road.all_effects(["first", "second"])


async def test_the_last_failure_makes_a_dead_letter_that_can_be_driven_again(road: Pair) -> None:
    event = events_pb2.ReferralReceived(referral_id="buried").SerializeToString()
    road.fail = lambda _: ValueError("a defect")
    delivered = Delivered(ids.new_id(), "haven.intake.referral.received.v1", "k", event, "", 8)
    assert await road.reactor.react(delivered) is None
    async with road.reacted.transaction(WHO) as tx:
        rows = await tx.fetch("SELECT reaction, error FROM dead_letter")
    assert [(row["reaction"], row["error"]) for row in rows] == [("on_received", "ValueError")]
    road.fail = lambda _: None
    assert await redrive(road.reacted, "crisis") == 1
    await road.all_effects(["buried"])

    async def gone() -> bool:
        async with road.reacted.transaction(WHO) as tx:
            return not await tx.fetch("SELECT 1 FROM dead_letter")

    await eventually(gone)


async def test_while_nats_is_away_commands_succeed_and_everything_arrives_once_afterwards(
    road: Pair, nats_server: Road
) -> None:
    await road.tell("before")
    await road.all_effects(["before"])
    await nats_server.stop()
    during = [f"during{number}" for number in range(20)]
    await road.tell(*during)
    await nats_server.start()
    await road.tell("after")
    await road.all_effects(["before", *during, "after"])


async def test_what_waits_is_measured_on_every_replica_and_without_nats(
    haven: Module, kit_databases: Callable[[str], Awaitable[Database]]
) -> None:
    database = await kit_databases("watched")
    settings = await haven.settings(Settings, "intake", database_url=database.url)
    never_there = Relay("intake", database, Messaging(settings, "intake"))
    other = await asyncpg.connect(database.url)
    loops = [WorkerLoop(each, database) for each in never_there.workers()]
    try:
        assert await other.fetchval("SELECT pg_try_advisory_lock(hashtextextended('relay', 0))")
        for loop in loops:
            loop.start()
        async with database.transaction(WHO) as tx:
            tx.emit(events_pb2.ReferralReceived(referral_id="waits"), key="waits")
        await eventually(lambda: _look(database) and _gauge("haven_outbox_oldest_seconds") > 0, timeout=20)
        assert _gauge("haven_outbox_pending") == 1
        await other.execute("UPDATE outbox SET published_at = now()")  # the other replica reached NATS
        await eventually(lambda: _look(database) and _gauge("haven_outbox_pending") == 0, timeout=20)
        assert _gauge("haven_outbox_oldest_seconds") == 0
    finally:
        for loop in loops:
            await loop.stop(2)
        await other.close()


def _look(database: Database) -> bool:
    """Have the loop look now."""
    database.wake.ring("outbox-watch")
    return True


def _gauge(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def test_a_replay_brings_lost_events_and_repeats_none(road: Pair) -> None:
    await road.tell("a", "b")
    await road.all_effects(["a", "b"])
    await road.all_published()
    async with road.reacted.transaction(WHO) as tx:  # as if the consumer had never had "b"
        await tx.fetch("DELETE FROM consent_in_force WHERE kind = 'b'")
        await tx.fetch("DELETE FROM inbox WHERE event_id = (SELECT max(event_id::text)::uuid FROM inbox)")
    assert await replay(road.teller, "intake", subject="haven.intake.referral.received.v1") == 2
    await road.all_effects(["a", "b"])


async def test_an_event_that_cannot_be_read_is_buried_at_once(road: Pair) -> None:
    delivered = Delivered(ids.new_id(), "haven.intake.referral.received.v1", "k", b"\xff\xff", "", 1)
    assert await road.reactor.react(delivered) is None
    async with road.reacted.transaction(WHO) as tx:
        assert (await tx.fetch("SELECT error FROM dead_letter"))[0]["error"] == "DecodeError"


def test_a_reaction_needs_an_event_and_a_name_of_its_own() -> None:
    async def handle(tx: Tx, event: Any) -> None:
        raise AssertionError((tx, event))

    for make, reason in (
        (lambda: Reaction(events_pb2.CareTeamMember, handle), "not an event"),
        (lambda: Reactor("x", None, [Reaction(events_pb2.ReferralReceived, handle)] * 2), "share a name"),  # type: ignore[arg-type]
    ):
        _raises(make, reason)


def _raises(make: Callable[[], object], reason: str) -> None:
    try:
        make()
    except TypeError as error:
        assert reason in str(error)  # noqa: PT017 - the two cases differ in type of call only
    else:
        raise AssertionError(reason)
