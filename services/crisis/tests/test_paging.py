"""Pages: channels, providers that fail, replicas, crashes, and the race with the acknowledgement."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import alerts_pb2

from haven_crisis.__main__ import SPEC
from haven_crisis.domain.alerts import UNANSWERED, State
from haven_crisis.store import alerts as alert_store
from haven_crisis.store import pages as page_store
from haven_kit import ids
from haven_kit.errors import Refused
from haven_kit.testing import eventually
from haven_kit.testing.running import Running

from .world import WAIT, World

Serve = Callable[..., Awaitable[Running]]


async def _pages(world: World, alert_id: str) -> list[Any]:
    found = await world.alerts("first").ListPages(pb.ListPagesRequest(alert_id=alert_id))
    return list(found.pages)


async def test_a_provider_that_fails_moves_the_page_to_the_next_channel_at_once(world: World, person_id: str) -> None:
    await world.plan(channels={"first": ["first", "first@example.org"], "second": ["second"], "boss": ["boss"]})
    world.hooks["first"].status = 503
    raised = await world.signal(person_id)
    [mail, *_] = await eventually(lambda: world.mails(raised.alert_id))
    assert mail.recipients == ("first@example.org",)
    assert mail.message["Subject"] == "Haven: crisis alert"
    assert person_id not in mail.raw.decode()
    world.hooks["first"].status = 204
    await eventually(lambda: _ended(world, raised.alert_id, 2))
    await world.later(timedelta(seconds=1))
    await eventually(lambda: _ended(world, raised.alert_id, 3))
    pages = await _pages(world, raised.alert_id)
    assert {
        (each.channel, each.state, each.attempt, each.failure) for each in pages if each.responder_id == "first"
    } == {
        ("webhook", alerts_pb2.PAGE_STATE_FAILED, 1, "status 503"),
        ("email", alerts_pb2.PAGE_STATE_ACCEPTED, 1, ""),
        ("webhook", alerts_pb2.PAGE_STATE_ACCEPTED, 2, ""),
    }
    await world.replays(raised.alert_id)


async def test_a_provider_that_says_later_that_it_failed_moves_the_page_on(world: World, person_id: str) -> None:
    await world.plan(channels={"first": ["first", "first@example.org"], "second": ["second"], "boss": ["boss"]})
    raised = await world.signal(person_id)
    [body] = await world.paged("first", raised.alert_id)
    await eventually(lambda: _ended(world, raised.alert_id, 1))
    sweep: Any = next(each for each in world.crisis.process.service.workers if each.name == "pages").step
    pager = inspect.unwrap(sweep).__self__

    async def told(page_id: str) -> bool:
        async with world.transaction() as tx:
            return bool(await pager.failed_later(tx, page_id, "undelivered"))

    assert await told(body["page_id"])
    assert not await told(body["page_id"]), "told twice, it fails once"
    assert not await told(ids.new_id())
    await eventually(lambda: world.mails(raised.alert_id))
    await eventually(lambda: _ended(world, raised.alert_id, 2))
    states = {(each.channel, each.attempt): each.state for each in await _pages(world, raised.alert_id)}
    assert states == {
        ("webhook", 1): alerts_pb2.PAGE_STATE_FAILED,
        ("webhook", 2): alerts_pb2.PAGE_STATE_QUEUED,
        ("email", 1): alerts_pb2.PAGE_STATE_ACCEPTED,
    }
    await world.replays(raised.alert_id)


async def test_a_mail_server_that_refuses_is_a_failed_page(world: World, person_id: str) -> None:
    await world.plan(channels={"first": ["first@example.org", "first"], "second": ["second"], "boss": ["boss"]})
    world.mail.reply = "451 later"
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    world.mail.reply = None
    assert "refused" in {each.failure for each in await _pages(world, raised.alert_id)}


async def test_a_provider_out_of_reach_is_tried_again_and_the_policy_goes_on(world: World, person_id: str) -> None:
    await world.plan()
    await world.hooks["first"].stop()
    raised = await world.signal(person_id)
    await eventually(lambda: _ended(world, raised.alert_id, 1))
    await world.later(timedelta(seconds=1))
    await eventually(lambda: _ended(world, raised.alert_id, 2))
    ended = [each for each in await _pages(world, raised.alert_id) if each.state == alerts_pb2.PAGE_STATE_FAILED]
    assert {(each.failure, each.attempt) for each in ended} == {("unreachable", 1), ("unreachable", 2)}
    await world.later(WAIT)
    await world.paged("second", raised.alert_id)
    await world.hooks["first"].start()


async def test_three_signals_page_every_channel_at_once(world: World, person_id: str) -> None:
    await world.plan(channels={"first": ["first"], "second": ["second", "second@example.org"], "boss": ["boss"]})
    raised = await world.signal(person_id)
    for _ in range(2):
        await world.signal(person_id)
    await world.later(WAIT)
    await world.paged("second", raised.alert_id)
    await eventually(lambda: world.mails(raised.alert_id))


async def test_a_page_whose_replica_died_is_sent_again_and_says_so(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    async with world.transaction() as tx:
        # As a replica leaves it that dies between the claim and the note of how the page went.
        await tx.fetch(
            """UPDATE page SET state = 2, worker = 'dead', lease_until = $2, accepted_at = NULL WHERE alert_id = $1""",
            raised.alert_id,
            tx.now + timedelta(seconds=6),
        )
    await world.later(timedelta(seconds=5))
    assert len(world.pages("first", raised.alert_id)) == 1
    await world.later(timedelta(seconds=1))
    pages = await world.paged("first", raised.alert_id, 2)
    assert [each["resent"] for each in pages] == [False, True]
    await eventually(lambda: _ended(world, raised.alert_id, 2))
    states = [each.state for each in await _pages(world, raised.alert_id)]
    assert sorted(states) == [alerts_pb2.PAGE_STATE_ACCEPTED, alerts_pb2.PAGE_STATE_UNKNOWN]


async def test_two_replicas_send_each_page_once(world: World, serve: Serve) -> None:
    await world.plan()
    other = await serve(
        SPEC, clock=world.clock, smtp_port=world.mail.port, crisis_last_resort_webhook=world.hooks["last"].url
    )
    people = [ids.new_id() for _ in range(10)]
    raised = await asyncio.gather(
        *(
            world.signal(each, (other if place % 2 else world.crisis).as_role("participant", person_id=each))
            for place, each in enumerate(people)
        )
    )
    for each in raised:
        await eventually(partial(_ended, world, each.alert_id, 1))
    world.clock.advance(WAIT)
    await asyncio.gather(
        *(world.step(loop, replica) for loop in ("escalations", "pages") for replica in (world.crisis, other))
    )
    for each in raised:
        await world.paged("second", each.alert_id)
        await world.replays(each.alert_id)
    await other.stop()
    for each in raised:
        for name in ("first", "second"):
            assert len(world.pages(name, each.alert_id)) == 1, await _pages(world, each.alert_id)


async def test_no_page_starts_after_a_committed_acknowledgement(world: World) -> None:
    """Acknowledgement and escalation at the same moment, many times: whoever is second sees what the first did."""
    await world.plan()
    for _ in range(25):
        raised = await world.signal(ids.new_id())
        world.clock.advance(WAIT)
        acknowledged, _ = await asyncio.gather(
            world.alerts("first").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id)),
            world.step("escalations"),
        )
        assert acknowledged.state == alerts_pb2.ALERT_STATE_ACKNOWLEDGED
        entries = (
            await world.alerts("first").GetAlertTimeline(pb.GetAlertTimelineRequest(alert_id=raised.alert_id))
        ).entries
        order = [each.kind for each in entries]
        taken = order.index(alerts_pb2.ENTRY_KIND_ACKNOWLEDGED)
        assert alerts_pb2.ENTRY_KIND_ESCALATED not in order[taken:]
        await world.replays(raised.alert_id)


async def test_a_retry_that_an_acknowledgement_overtook_is_not_sent(world: World, person_id: str) -> None:
    await world.plan()
    world.hooks["first"].status = 503
    raised = await world.signal(person_id)
    await eventually(lambda: _ended(world, raised.alert_id, 1))
    world.hooks["first"].status = 204
    await world.alerts("first").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    await world.later(timedelta(seconds=10))
    assert len(world.pages("first", raised.alert_id)) == 1
    assert alerts_pb2.PAGE_STATE_NOT_NEEDED in {each.state for each in await _pages(world, raised.alert_id)}


async def test_a_claim_waits_for_nobody_and_sees_a_committed_acknowledgement(world: World, person_id: str) -> None:
    await world.plan()
    world.hooks["first"].status = 503
    raised = await world.signal(person_id)
    await eventually(lambda: _ended(world, raised.alert_id, 1))
    world.hooks["first"].status = 204
    async with world.transaction() as holder:
        # An acknowledgement under way: it holds the alert and has not committed.
        alert = await alert_store.get(holder, raised.alert_id, lock=True)
        assert alert.state in UNANSWERED
        await holder.fetch("UPDATE alert SET state = 3 WHERE alert_id = $1", raised.alert_id)
        async with world.transaction() as claimer:
            later = claimer.now + timedelta(seconds=5)
            claimed = await page_store.claim(claimer, "test", later, 10)
            assert raised.alert_id not in {each.alert_id for each in claimed}
    async with world.transaction() as tx:
        assert (await alert_store.get(tx, raised.alert_id)).state is State.ACKNOWLEDGED


async def test_nats_away_does_not_hold_back_a_page(world: World, person_id: str, nats_server: Any) -> None:
    await world.plan()
    await nats_server.stop()
    try:
        raised = await world.signal(person_id)
        await world.paged("first", raised.alert_id)
        assert all(world.crisis.process.server.state.values())
    finally:
        await nats_server.start()
    await world.crisis.all_published()


async def test_a_taken_alert_stays_taken_under_a_race(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.later(WAIT)
    await world.paged("second", raised.alert_id)
    answers = await asyncio.gather(
        *(
            world.alerts(name).AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
            for name in ("first", "second")
        ),
        return_exceptions=True,
    )
    refused = [each for each in answers if isinstance(each, Refused)]
    assert len(refused) == 1
    with pytest.raises(Refused):
        raise refused[0]


async def _ended(world: World, alert_id: str, count: int) -> bool:
    ended = (alerts_pb2.PAGE_STATE_ACCEPTED, alerts_pb2.PAGE_STATE_FAILED, alerts_pb2.PAGE_STATE_UNKNOWN)
    states = [each.state for each in await _pages(world, alert_id)]
    return len([each for each in states if each in ended]) >= count and alerts_pb2.PAGE_STATE_SENDING not in states


@pytest.mark.parametrize("hindrances", [2, 4], ids=["noted at the third try", "left for later"])
async def test_a_page_whose_note_is_hindered_is_noted_all_the_same(
    world: World, person_id: str, hindrances: int
) -> None:
    """Unnoted it would be sent again when its lease ends."""
    await world.plan()
    async with world.transaction() as tx:
        await tx.fetch("CREATE SEQUENCE hindered")  # it counts on through what is rolled back
        await tx.fetch(
            f"""CREATE FUNCTION hinder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('hindered') <= {hindrances} THEN RAISE EXCEPTION 'made up' USING ERRCODE = '40P01'; END IF;
            RETURN NEW; END $$"""
        )
        await tx.fetch(
            """CREATE TRIGGER hinder BEFORE UPDATE ON page FOR EACH ROW WHEN (NEW.state = 3)
            EXECUTE FUNCTION hinder()"""
        )
    try:
        alert_id = (await world.signal(person_id)).alert_id
        await eventually(lambda: _noted(world, alert_id))
    finally:
        async with world.transaction() as tx:
            await tx.fetch("DROP FUNCTION hinder CASCADE")
            await tx.fetch("DROP SEQUENCE hindered")
    await world.later(timedelta(seconds=10))
    assert len(world.pages("first", alert_id)) == 1


async def _noted(world: World, alert_id: str) -> bool:
    async with world.transaction() as tx:
        return bool(await tx.fetch("SELECT 1 FROM page WHERE alert_id = $1 AND state = 3", alert_id))
