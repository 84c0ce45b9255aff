"""The database comes back: what was answered while it was away stands, whatever comes while the record is completed."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis.domain.severity import Severity
from haven_crisis.keeping import backlog
from haven_crisis.keeping.case import Kept
from haven_crisis.keeping.keeper import Held
from haven_kit import ids
from haven_kit.errors import Unavailable
from haven_kit.testing import eventually
from haven_kit.testing.running import Running

from .keeping_world import Trouble
from .test_keeping_paging import tap
from .world import WAIT


class Between:
    """Something that happens at another replica while this one completes the record."""

    def __init__(self, trouble: Trouble, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
        self._keeper = trouble.keeping._keeper
        self._monkeypatch = monkeypatch
        self._when = when

    async def happens(self, what: Any) -> None:
        """Before the case is written, or after the commit and before it is taken away."""

        async def hears_nothing() -> None:
            """Looks at nothing."""

        self._monkeypatch.setattr(self._keeper, "look", hears_nothing)
        if self._when == "before the record has it":
            await what()
            return
        forget = self._keeper.forget
        done: list[Held] = []

        async def later(held: Held) -> Any:
            if held.became is not None and not done:
                done.append(held)
                await what()
            return await forget(held)

        self._monkeypatch.setattr(self._keeper, "forget", later)


WHEN = ["before the record has it", "after the commit"]


async def other_knows(trouble: Trouble, other: Running, alert_id: str) -> None:
    """Another replica holds the case, and leaves it to its owner."""
    await trouble.keeping_of(other)._keeper.look()
    assert alert_id in trouble.keeping_of(other)._keeper.cases


@pytest.mark.parametrize("when", WHEN)
async def test_an_acknowledgement_at_another_replica_stands(
    trouble: Trouble, person_id: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trouble.on_call_is_known()
    other = await trouble.replica()
    took: list[bool] = []

    async def takes() -> None:
        took.append(await trouble.keeping_of(other).acknowledge(answer.alert_id, "first", "link"))

    async with trouble.away():
        answer = await trouble.signal(person_id)
        await trouble.world.paged("first", answer.alert_id)
        await other_knows(trouble, other, answer.alert_id)
        await Between(trouble, monkeypatch, when).happens(takes)
    alert = await trouble.whole(person_id)
    assert took == [True]
    assert (alert["state"], alert["responder_id"]) == (3, "first")
    rows = await trouble.fetch("SELECT 1 FROM timeline WHERE alert_id = $1 AND kind = 7", alert["alert_id"])
    assert len(rows) == 1
    assert trouble.world.pages("second", answer.alert_id) == []
    monkeypatch.undo()
    await other.stop()


@pytest.mark.parametrize("when", WHEN)
async def test_a_call_at_another_replica_is_in_the_record(
    trouble: Trouble, person_id: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trouble.on_call_is_known()
    other = await trouble.replica()

    async def calls() -> None:
        plan = trouble.roads_of(other)._acceptance.plan(signal, trouble.world.clock.now())
        taken = await trouble.keeping_of(other).take(plan, asked)
        assert taken.alert_id == answer.alert_id

    async with trouble.away():
        answer = await trouble.signal(person_id)
        await trouble.world.paged("first", answer.alert_id)
        (kept,) = trouble.keeping._keeper.cases[answer.alert_id].case.signals
        signal, asked = kept.renamed("0197c0de-0000-7000-8000-" + person_id[-12:]).signal, kept.asked
        await other_knows(trouble, other, answer.alert_id)
        await Between(trouble, monkeypatch, when).happens(calls)
    await trouble.whole(person_id, signals=2)
    monkeypatch.undo()
    await other.stop()


@pytest.mark.parametrize("when", WHEN)
async def test_a_call_at_another_replica_that_says_that_life_is_in_danger_is_paged_on_every_channel(
    trouble: Trouble, person_id: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trouble.on_call_is_known()
    other = await trouble.replica()

    async def calls() -> None:
        plan = trouble.roads_of(other)._acceptance.plan(signal, trouble.world.clock.now())
        await trouble.keeping_of(other).take(replace(plan, severity=int(Severity.IMMEDIATE)), asked)

    async with trouble.away():
        answer = await trouble.signal(person_id)
        await trouble.world.paged("first", answer.alert_id)
        (kept,) = trouble.keeping._keeper.cases[answer.alert_id].case.signals
        signal, asked = kept.renamed(ids.new_id()).signal, kept.asked
        await other_knows(trouble, other, answer.alert_id)
        await Between(trouble, monkeypatch, when).happens(calls)
    await trouble.complete()
    pages = "SELECT place FROM page JOIN alert USING (alert_id) WHERE person_id = $1 AND page.responder_id = 'first'"
    assert sorted(each["place"] for each in await trouble.fetch(pages, person_id)) == [0, 1]
    monkeypatch.undo()
    await other.stop()


async def test_a_state_of_before_that_is_found_later_changes_nothing(trouble: Trouble, person_id: str) -> None:
    """Whoever took it made no contact, and people were called anew: they are not stopped by what was said before."""
    world = trouble.world
    await trouble.on_call_is_known()
    async with trouble.away():
        answer = await trouble.signal(person_id)
        await world.paged("first", answer.alert_id)
        assert await trouble.keeping.acknowledge(answer.alert_id, "first", "link")
        left = Held(deepcopy(trouble.keeping._keeper.cases[answer.alert_id].case), Kept.STREAM)
    alert = await trouble.whole(person_id)
    assert alert["state"] == 3
    world.clock.advance(alert["next_deadline"] - world.clock.now() + timedelta(seconds=1))

    async def anew() -> bool:
        await world.step("escalations")
        return bool((await trouble.whole(person_id))["cycle"] == 1)

    await eventually(anew)
    await trouble.keeping._completer.complete(left)
    alert = await trouble.whole(person_id)
    assert (alert["responder_id"], alert["cycle"], alert["state"] in (1, 2)) == ("", 1, True)


async def test_a_tap_where_the_case_is_still_known_takes_it_in_the_record(
    trouble: Trouble, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner has completed it, and another replica has not heard of that."""
    await trouble.on_call_is_known()
    monkeypatch.setattr(backlog, "OWNER_FIRST_S", 3600.0)
    other = await trouble.replica()
    async with trouble.away():
        answer = await trouble.signal(person_id)
        (page,) = await trouble.world.paged("first", answer.alert_id)
        await other_knows(trouble, other, answer.alert_id)
    await trouble.whole(person_id)
    assert answer.alert_id in trouble.keeping_of(other)._keeper.cases
    assert await tap(trouble, page, other) == "yours"
    alert = await trouble.whole(person_id)
    assert (alert["state"], alert["responder_id"]) == (3, "first")
    await other.stop()


async def test_neither_pages_nor_calls_wait_for_a_record_that_cannot_be_written(
    trouble: Trouble, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database reads, and does not commit: its standby is lost, say."""
    world, completer = trouble.world, trouble.keeping._completer
    await trouble.on_call_is_known()
    hangs: list[str] = []

    async def never(*_: Any) -> None:
        hangs.append("")
        await asyncio.Event().wait()

    async def away(*_: Any) -> None:
        raise Unavailable("The record store")

    with monkeypatch.context() as patched:
        async with trouble.away():
            answer = await trouble.signal(person_id)
            await world.paged("first", answer.alert_id)
            await eventually(lambda: trouble.noted(answer.alert_id))
            patched.setattr(completer, "_write", never)
            patched.setattr(trouble.roads, "_in_the_record", away)
        (held,) = trouble.keeping._keeper.cases.values()
        await eventually(lambda: held.completing)
        again = await trouble.signal(person_id)
        assert held.completing  # it was not waited for
        assert again.kept == pb.KEPT_STREAM
        world.clock.advance(WAIT + timedelta(seconds=1))
        await world.paged("second", answer.alert_id)
        tries = len(hangs)
        await eventually(lambda: len(hangs) > tries)
        assert len(world.pages("second", answer.alert_id)) == 1
    alert = await trouble.whole(person_id, signals=2)
    assert alert["stage"] == 1


async def test_a_call_in_the_journal_is_not_given_up_for_another_case_of_its_alert(
    trouble: Trouble, person_id: str
) -> None:
    """NATS is back before the database, and another replica has claimed the alert meanwhile."""
    world = trouble.world
    before = await trouble.signal(person_id)
    await world.paged("first", before.alert_id)
    await world.noted()
    other = await trouble.replica()
    await world.step("keeping")
    await world.step("keeping", other)
    async with trouble.away():
        await trouble.nats.stop()
        answer = await trouble.signal(person_id)
        assert (answer.kept, answer.alert_id) == (pb.KEPT_JOURNAL, before.alert_id)
        (held,) = trouble.keeping._keeper.cases.values()
        await eventually(lambda: not list(held.case.open_pages()))
        async with trouble.keeping._stepping:
            await trouble.nats.start()
            await eventually(lambda: world.crisis.process.messaging.connected)
            await eventually(lambda: other.process.messaging.connected)
            theirs = await trouble.keeping_of(other)._claims.claim(before.alert_id)
            assert theirs is not None
        world.clock.advance(WAIT + timedelta(seconds=1))
        await eventually(lambda: held.road is Kept.STREAM or held.lost)
        assert any(each.case.has(answer.signal_id) for each in trouble.keeping._keeper.cases.values())
    await other.stop()
    await trouble.complete()
    (alert,) = await trouble.fetch("SELECT alert_id::text, signals FROM alert WHERE person_id = $1", person_id)
    assert tuple(alert) == (before.alert_id, 2)
    await world.replays(before.alert_id)


async def test_a_tap_where_nobody_has_heard_of_the_case_yet_takes_it(trouble: Trouble, person_id: str) -> None:
    """The replica looks at the stream once a second, and asks again before it says that it knows nothing."""
    await trouble.on_call_is_known()
    other = await trouble.replica()
    async with trouble.away(), trouble.keeping_of(other)._stepping:
        answer = await trouble.signal(person_id)
        (page,) = await trouble.world.paged("first", answer.alert_id)
        assert answer.alert_id not in trouble.keeping_of(other)._keeper.cases
        assert await tap(trouble, page, other) == "yours"
    alert = await trouble.whole(person_id)
    assert (alert["state"], alert["responder_id"]) == (3, "first")
    await other.stop()
