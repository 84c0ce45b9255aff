"""The database is away: whoever is on call is paged and the alert escalated from memory, and somebody can take it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from haven_crisis.domain.escalation import turn_of
from haven_crisis.keeping import keeping as module
from haven_crisis.store import alerts
from haven_kit import ids
from haven_kit.testing import eventually
from haven_kit.testing.running import Running

from .keeping_world import Trouble
from .world import WAIT


async def tap(trouble: Trouble, page: dict[str, Any], replica: Running | None = None) -> str:
    """Open the link of a page at a replica, and tap. Says how things stand then."""
    edge = (replica or trouble.world.crisis).process.edge
    assert edge is not None
    link = f"http://127.0.0.1:{edge.port}/p/" + page["link"].rpartition("/")[2]
    async with aiohttp.ClientSession(headers={"Accept": "application/json"}) as http:
        async with http.get(link) as opened:
            told = await opened.json()
        async with http.post(link, data={"tap": told["tap"]}) as tapped:
            return str((await tapped.json())["state"])


async def test_it_escalates_from_memory_and_the_record_goes_on_from_there(trouble: Trouble, person_id: str) -> None:
    await trouble.on_call_is_known()
    world = trouble.world
    async with trouble.away():
        answer = await trouble.signal(person_id)
        await world.paged("first", answer.alert_id)
        await eventually(lambda: trouble.noted(answer.alert_id))
        world.clock.advance(WAIT + timedelta(seconds=1))
        await world.paged("second", answer.alert_id)
        assert len(world.pages("first", answer.alert_id)) == 1
    alert = await trouble.whole(person_id)
    assert alert["stage"] == 1
    assert alert["next_deadline"] > world.clock.now()
    await world.later(timedelta(seconds=5))
    assert len(world.pages("first", answer.alert_id)) == 1
    assert len(world.pages("second", answer.alert_id)) == 1
    await world.later(WAIT)
    await world.paged("boss", answer.alert_id)


async def test_a_provider_that_fails_moves_on_to_the_next_and_is_tried_again(trouble: Trouble, person_id: str) -> None:
    world = trouble.world
    await trouble.on_call_is_known()
    world.hooks["first"].status = 503
    try:
        async with trouble.away():
            answer = await trouble.signal(person_id)
            await eventually(lambda: trouble.failed(answer.alert_id))
            world.hooks["first"].status = 204
            world.clock.advance(timedelta(seconds=3))
            await world.paged("first", answer.alert_id, 2)
    finally:
        world.hooks["first"].status = 204
    await trouble.complete()
    rows = await trouble.fetch(
        "SELECT place, attempt, state FROM page WHERE alert_id = $1 ORDER BY place, attempt", answer.alert_id
    )
    assert [tuple(row) for row in rows] == [(0, 1, 4), (0, 2, 3), (1, 1, 3)]
    await world.replays(answer.alert_id)


async def test_a_responder_takes_it_while_the_record_is_away(trouble: Trouble, person_id: str) -> None:
    await trouble.on_call_is_known()
    world = trouble.world
    async with trouble.away():
        answer = await trouble.signal(person_id)
        await world.paged("first", answer.alert_id)
        assert not await trouble.keeping.acknowledge(answer.alert_id, "somebody-else", "link")
        assert await trouble.keeping.acknowledge(answer.alert_id, "first", "link")
        assert await trouble.keeping.acknowledge(answer.alert_id, "first", "link")
        world.clock.advance(WAIT * 2)
        await world.step("keeping")
    alert = await trouble.whole(person_id)
    assert (alert["state"], alert["responder_id"]) == (3, "first")
    assert world.pages("second", answer.alert_id) == []


async def test_a_tap_on_the_link_takes_it_while_the_record_is_away(trouble: Trouble, person_id: str) -> None:
    await trouble.on_call_is_known()
    async with trouble.away():
        answer = await trouble.signal(person_id)
        (page,) = await trouble.world.paged("first", answer.alert_id)
        assert await tap(trouble, page) == "yours"
    alert = await trouble.whole(person_id)
    assert (alert["state"], alert["responder_id"]) == (3, "first")
    audited = await trouble.fetch(
        "SELECT principal_id FROM audit_entry WHERE person_id = $1 AND action = 'crisis/push'", person_id
    )
    assert [row[0] for row in audited] == ["first"]


async def test_an_unanswered_alert_of_the_record_is_escalated_by_one_replica(trouble: Trouble, person_id: str) -> None:
    world = trouble.world
    answer = await trouble.signal(person_id)
    await world.paged("first", answer.alert_id)
    other = await trouble.replica()
    await world.step("keeping")
    await world.step("keeping", other)
    async with trouble.away():
        world.clock.advance(WAIT + timedelta(seconds=1))
        await world.step("keeping")
        await world.step("keeping", other)
        world.clock.advance(timedelta(seconds=5))
        await world.paged("second", answer.alert_id)
        await world.step("keeping", other)
        assert len(world.pages("second", answer.alert_id)) == 1
    await other.stop()
    alert = await trouble.whole(person_id)
    assert alert["stage"] == 1
    assert len(world.pages("second", answer.alert_id)) == 1


async def test_round_robins_begin_by_the_id_of_an_alert_that_the_record_did_not_have(
    trouble: Trouble, person_id: str
) -> None:
    """Those of one that it had go on from its turn; afterwards the record goes on where memory was."""
    world, again = trouble.world, ids.new_id()
    firsts, seconds = ("first", "second", "boss"), ("second", "first")
    await world.plan(round_robins=(firsts, seconds))
    await trouble.on_call_is_known()
    before = await trouble.signal(again)
    async with world.transaction() as tx:
        taken = (await alerts.get(tx, before.alert_id)).turn
    await world.paged(firsts[taken % 3], before.alert_id)
    await world.step("keeping")
    async with trouble.away():
        answer = await trouble.signal(person_id)
        turn = turn_of(answer.alert_id, None)
        await world.paged(firsts[turn % 3], answer.alert_id)
        await eventually(lambda: trouble.noted(answer.alert_id))
        world.clock.advance(WAIT + timedelta(seconds=1))
        await world.paged(seconds[turn % 2], answer.alert_id)
        await world.step("keeping")
        world.clock.advance(timedelta(seconds=5))
        await world.paged(seconds[taken % 2], before.alert_id)
        await eventually(lambda: trouble.noted(answer.alert_id) and trouble.noted(before.alert_id))
    alert = await trouble.whole(person_id)
    await trouble.whole(again)
    assert (alert["turn"], alert["stage"]) == (None, 1)
    known = {name: len(world.pages(name, answer.alert_id)) for name in firsts}
    await world.later(WAIT)
    third = firsts[(turn + 1) % 3]
    await world.paged(third, answer.alert_id, known[third] + 1)
    await world.plan()


async def test_the_record_is_not_acted_on_before_it_has_what_was_done_without_it(
    trouble: Trouble, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is back and slow: the same step must not be taken again from what it says."""
    world, keeping = trouble.world, trouble.keeping
    answer = await trouble.signal(person_id)
    await world.paged("first", answer.alert_id)
    await world.step("keeping")
    answers, ask = asyncio.Event(), keeping._ask

    async def slowly() -> bool:
        await answers.wait()
        return bool(await ask())

    async with trouble.away():
        world.clock.advance(WAIT + timedelta(seconds=1))
        await world.step("keeping")
        world.clock.advance(timedelta(seconds=5))
        await world.paged("second", answer.alert_id)
        await eventually(lambda: trouble.noted(answer.alert_id))
        monkeypatch.setattr(keeping, "_ask", slowly)
        monkeypatch.setattr(module, "ANSWER_S", 0.05)
        await world.step("keeping")
    for _ in range(3):
        await world.step("escalations")
        await world.step("pages")
    answers.set()
    alert = await trouble.whole(person_id)
    assert alert["stage"] == 1
    assert len(world.pages("second", answer.alert_id)) == 1


async def test_a_replica_that_reaches_the_record_goes_first(trouble: Trouble, haven: Any, person_id: str) -> None:
    """The claim of one that does not is taken away before it pages."""
    world = trouble.world
    answer = await trouble.signal(person_id)
    await world.paged("first", answer.alert_id)
    await world.step("keeping")
    other = await trouble.replica(database_url=await haven.database_url("crisis"))
    async with trouble.away():
        world.clock.advance(WAIT + timedelta(seconds=1))
        await eventually(lambda: answer.alert_id in trouble.keeping._keeper.cases)
        await world.paged("second", answer.alert_id)
        await world.step("keeping", other)
        world.clock.advance(timedelta(seconds=5))
        await world.step("keeping")
        await trouble.keeping._pages.settle()
        assert len(world.pages("second", answer.alert_id)) == 1
    await other.stop()
    alert = await trouble.whole(person_id)
    assert alert["stage"] == 1
    assert len(world.pages("second", answer.alert_id)) == 1
    rows = await trouble.fetch("SELECT facts->>'stage' FROM timeline WHERE alert_id = $1 AND kind = 6", answer.alert_id)
    assert [row[0] for row in rows] == ["1"]


async def test_no_page_begins_once_somebody_took_it_at_another_replica(
    trouble: Trouble, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner hears of that from the stream alone, when it writes the next step."""
    world, keeper = trouble.world, trouble.keeping._keeper
    await trouble.on_call_is_known()
    other = await trouble.replica()

    async def hears_nothing() -> None:
        """Looks at nothing."""

    async with trouble.away():
        answer = await trouble.signal(person_id)
        await world.paged("first", answer.alert_id)
        await eventually(lambda: trouble.noted(answer.alert_id))
        async with trouble.keeping._stepping:
            monkeypatch.setattr(keeper, "look", hears_nothing)
        assert await trouble.keeping_of(other).acknowledge(answer.alert_id, "first", "link")
        world.clock.advance(WAIT + timedelta(seconds=1))
        await trouble.keeping._pages.turn(keeper.cases[answer.alert_id])
        await trouble.keeping._pages.settle()
        assert world.pages("second", answer.alert_id) == []
        monkeypatch.undo()
    await other.stop()
    alert = await trouble.whole(person_id)
    assert (alert["state"], alert["responder_id"]) == (3, "first")
    assert world.pages("second", answer.alert_id) == []


async def test_a_page_from_before_takes_it_and_stops_every_replica(trouble: Trouble, person_id: str) -> None:
    world = trouble.world
    answer = await trouble.signal(person_id)
    (page,) = await world.paged("first", answer.alert_id)
    other = await trouble.replica()
    await world.step("keeping")
    await world.step("keeping", other)
    async with trouble.away():
        assert await tap(trouble, page) == "yours"
        assert await tap(trouble, page, other) == "yours"
        world.clock.advance(WAIT + timedelta(seconds=10))
        for _ in range(2):
            await world.step("keeping")
            await world.step("keeping", other)
    await other.stop()
    alert = await trouble.whole(person_id)
    assert (alert["state"], alert["responder_id"], alert["stage"]) == (3, "first", 0)
    assert world.pages("second", answer.alert_id) == []
    audited = await trouble.fetch(
        "SELECT principal_id FROM audit_entry WHERE person_id = $1 AND action = 'crisis/push'", person_id
    )
    assert [row[0] for row in audited] == ["first"]


async def test_a_page_from_before_takes_nothing_from_a_colleague(trouble: Trouble, haven: Any, person_id: str) -> None:
    """The replica last read of the alert before the colleague took it."""
    world = trouble.world
    answer = await trouble.signal(person_id)
    (page,) = await world.paged("first", answer.alert_id)
    await world.noted()
    await world.later(WAIT + timedelta(seconds=1))
    (to_second,) = await world.paged("second", answer.alert_id)
    await world.noted()
    other = await trouble.replica(database_url=await haven.database_url("crisis"))
    await world.step("keeping")
    async with trouble.away():
        assert await tap(trouble, to_second, other) == "yours"
        await other.stop()
        assert await tap(trouble, page) == "yours"
    alert = await trouble.whole(person_id)
    assert (alert["state"], alert["responder_id"]) == (3, "second")
    audited = await trouble.fetch(
        "SELECT principal_id FROM audit_entry WHERE person_id = $1 AND action LIKE 'crisis/%'", person_id
    )
    assert [row[0] for row in audited] == ["second"]


async def test_a_page_from_before_is_left_to_a_replica_that_reaches_the_record(
    trouble: Trouble, haven: Any, person_id: str
) -> None:
    world = trouble.world
    answer = await trouble.signal(person_id)
    (page,) = await world.paged("first", answer.alert_id)
    other = await trouble.replica(database_url=await haven.database_url("crisis"))
    await world.step("keeping")
    async with trouble.away():
        assert await tap(trouble, page) == "away"
        assert await tap(trouble, page, other) == "yours"
    await other.stop()
    alert = await trouble.whole(person_id)
    assert (alert["state"], alert["responder_id"]) == (3, "first")
