"""Floods from one integrated system: the first are paged one by one, the others together, and none is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest_asyncio
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import alerts_pb2

from haven_kit import ids
from haven_kit.testing import eventually

from .paging_world import get, tap_of
from .systems_world import System
from .world import World, body_of

APART = timedelta(seconds=15)
TAKEN, OPEN = alerts_pb2.ALERT_STATE_ACKNOWLEDGED, alerts_pb2.ALERT_STATE_PAGED


@pytest_asyncio.fixture(autouse=True)
async def nothing_open(world: World) -> AsyncIterator[None]:
    """No test hears of another's alerts."""
    yield
    async with world.transaction() as tx:
        await tx.fetch("UPDATE alert SET state = 6, next_deadline = NULL WHERE state <> 6")


async def alert_of(world: World, person_id: str) -> alerts_pb2.Alert:
    (alert,) = (await world.alerts().ListAlerts(alert_pb.ListAlertsRequest(person_id=person_id))).alerts
    return alert


async def calls(world: World, system: System, number: int, **given: Any) -> list[alerts_pb2.Alert]:
    """The system calls for help for so many people."""
    people = [ids.new_id() for _ in range(number)]
    for each in people:
        assert (await system.post({"person_id": each} | given))[0] == 202
    return [await alert_of(world, each) for each in people]


async def flooding(world: World, system: System, number: int) -> list[alerts_pb2.Alert]:
    """Alerts of a flood that wait for their turn: ten were paged by themselves, and an eleventh at once."""
    for each in await calls(world, system, 11):
        (page,) = await world.paged("first", each.alert_id)
        assert page["alerts"] == 1
    return await calls(world, system, number)


async def pages(world: World, alert_id: str) -> list[tuple[str, str, int]]:
    """Responder, channel and state of each page."""
    found = (await world.alerts().ListPages(alert_pb.ListPagesRequest(alert_id=alert_id))).pages
    return [(each.responder_id, each.channel, each.state) for each in found]


async def together(world: World, hook: str, held: list[alerts_pb2.Alert]) -> dict[str, Any]:
    """The one page about all of them."""
    alert_ids = {each.alert_id for each in held}

    def found() -> list[dict[str, Any]]:
        bodies = [body_of(each) for each in world.hooks[hook].received]
        return [each for each in bodies if each["alert_id"] in alert_ids and each["alerts"] == len(held)]

    await eventually(found)
    (page,) = found()
    for each in alert_ids:
        await eventually(lambda each=each: accepted(world, each, hook))
    return page


async def accepted(world: World, alert_id: str, responder_id: str) -> bool:
    found = await pages(world, alert_id)
    assert (responder_id, "webhook", alerts_pb2.PAGE_STATE_ACCEPTED) in found, found
    return True


async def turn(world: World) -> None:
    """The time of the next page has come."""
    await world.step("gathered")
    await world.noted()
    world.clock.advance(APART)
    await world.step("gathered")


async def test_the_first_are_paged_one_by_one_and_the_others_together(world: World, system: System) -> None:
    held = await flooding(world, system, 3)
    await world.step("gathered")
    await world.step("pages")
    for each in held:
        assert not world.pages("first", each.alert_id)
    await turn(world)
    page = await together(world, "first", held)
    assert page["title"] == "Haven: 3 crisis alerts from one system"
    assert page["alert_id"] == held[0].alert_id
    for each in held:
        assert (await world.alert(each.alert_id)).state == OPEN
        ask = alert_pb.GetAlertTimelineRequest(alert_id=each.alert_id)
        entries = (await world.alerts().GetAlertTimeline(ask)).entries
        assert entries[0].facts["gathered"] == "true"
        assert entries[1].kind == alerts_pb2.ENTRY_KIND_PAGED
        await world.replays(each.alert_id)


async def test_one_tap_takes_them_all_but_those_that_a_colleague_has(world: World, system: System) -> None:
    held = await flooding(world, system, 3)
    await turn(world)
    page = await together(world, "first", held)
    await world.later(timedelta(seconds=60))
    await turn(world)
    for each in held:
        await eventually(lambda each=each: accepted(world, each.alert_id, "second"))
    await world.alerts("second").AcknowledgeAlert(alert_pb.AcknowledgeAlertRequest(alert_id=held[1].alert_id))
    link = edge(world, page["link"])
    _, html, _ = await get(link)
    assert "One system has called for help 3 times" in html
    assert "I take them" in html
    assert (await get(link, "POST", data={"tap": tap_of(html)}))[0] == 303
    assert "You have these alerts" in (await get(link))[1]
    assert [(await world.alert(each.alert_id)).responder_id for each in held] == ["first", "second", "first"]


async def test_a_person_of_a_flood_who_calls_for_help_is_paged_alone_and_at_once(world: World, system: System) -> None:
    held = await flooding(world, system, 3)
    await turn(world)
    page = await together(world, "first", held)
    await world.signal(held[0].person_id)
    own = await world.paged("first", held[0].alert_id, count=2)
    assert (own[-1]["alerts"], own[-1]["cycle"]) == (1, 1)
    # What was asked of the flood is no answer to it.
    link = edge(world, page["link"])
    await get(link, "POST", data={"tap": tap_of((await get(link))[1])})
    states = [(await world.alert(each.alert_id)).state for each in held]
    assert states[1:] == [TAKEN, TAKEN]
    assert states[0] != TAKEN
    await world.replays(held[0].alert_id)


async def test_what_waits_goes_at_once_when_the_person_calls(world: World, system: System) -> None:
    held = await flooding(world, system, 2)
    await world.signal(held[1].person_id)
    (page,) = await world.paged("first", held[1].alert_id)
    assert page["alerts"] == 1
    assert not world.pages("first", held[0].alert_id)


async def test_an_immediate_one_waits_for_no_other(world: World, system: System) -> None:
    await flooding(world, system, 2)
    (alert,) = await calls(world, system, 1, level="immediate")
    (page,) = await world.paged("first", alert.alert_id)
    assert page["alerts"] == 1


async def test_one_that_becomes_immediate_waits_no_longer(world: World, system: System) -> None:
    held = await flooding(world, system, 2)
    await system.post({"person_id": held[1].person_id, "level": "immediate"})
    page = (await world.paged("first", held[1].alert_id))[0]
    assert page["alerts"] == 1
    assert not world.pages("first", held[0].alert_id)


async def test_a_message_that_no_provider_takes_goes_on_by_the_next_channel(world: World, system: System) -> None:
    held = await flooding(world, system, 3)
    world.hooks["first"].status = 503
    await turn(world)

    async def mailed() -> bool:
        await turn(world)
        ways = [way for each in held for way in await pages(world, each.alert_id)]
        return ways.count(("first", "email", alerts_pb2.PAGE_STATE_ACCEPTED)) == len(held)

    try:
        await eventually(mailed)
    finally:
        world.hooks["first"].status = 204


def edge(world: World, link: str) -> str:
    """A page's link, where it is reached from here."""
    served = world.crisis.process.edge
    assert served is not None
    return link.replace("https://crisis.example", f"http://127.0.0.1:{served.port}")
