"""A flood by text message and call: one reply takes all, and what a provider says holds for all."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest_asyncio
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import integration_service_pb2 as pb
from haven.crisis.v1 import on_call_service_pb2 as on_call_pb

from haven_dev.providers.twilio import Message
from haven_kit import ids

from .paging_world import PHONES, Phones, sms, voice
from .systems_world import System, admin


@pytest_asyncio.fixture
async def hub(phones: Phones) -> AsyncIterator[System]:
    """A system that is about to send a flood; nothing else is open."""
    await phones.over()
    async with aiohttp.ClientSession() as http:
        made = await admin(phones.world).CreateSystem(pb.CreateSystemRequest(name="Hub"))
        yield System(phones.world, http, made)
    await phones.over()


async def alert_of(phones: Phones, person_id: str) -> str:
    found = await phones.world.alerts().ListAlerts(alert_pb.ListAlertsRequest(person_id=person_id))
    return str(found.alerts[0].alert_id)


async def flood(phones: Phones, hub: System, ways: list[on_call_pb.Channel]) -> tuple[list[str], Message]:
    """Three alerts that `first` got one text message about, and the message."""
    await phones.seat({"first": ways, "second": [sms("second")]})
    held = []
    for _ in range(14):
        person_id = ids.new_id()
        assert (await hub.post({"person_id": person_id}))[0] == 202
        held.append(await alert_of(phones, person_id))
        if len(held) <= 11:
            await phones.reached(held[-1], ("sms", "ACCEPTED", ""))
    before = len(phones.twilio.messages)
    await phones.world.step("gathered")
    await phones.world.noted()
    phones.world.clock.advance(timedelta(seconds=15))
    await phones.world.step("gathered")
    for each in held[-3:]:
        await phones.reached(each, ("sms", "ACCEPTED", ""))
    [message] = phones.twilio.messages[before:]
    assert message.body.startswith("Haven: 3 crisis alerts from one system, open ")
    return held[-3:], message


async def test_one_reply_takes_them_all(phones: Phones, hub: System) -> None:
    held, message = await flood(phones, hub, [sms("first")])
    [code] = re.findall(r"reply (\d{3}) to take", message.body)
    told = await phones.twilio.reply(PHONES["first"], code)
    assert told.words == "You have this alert. The console shows whom to reach and how."
    assert [(await phones.world.alert(each)).responder_id for each in held] == ["first"] * 3


async def test_what_the_provider_says_of_the_message_holds_for_all(phones: Phones, hub: System) -> None:
    held, message = await flood(phones, hub, [sms("first"), voice("first")])
    await phones.twilio.tell_message(message, "undelivered", "30003")
    failed = ("sms", "FAILED", "undelivered, code 30003")
    calls = len(phones.twilio.calls)
    await phones.world.step("deliveries")
    await phones.world.step("gathered")
    await phones.world.noted()
    phones.world.clock.advance(timedelta(seconds=15))
    await phones.world.step("gathered")
    for each in held:
        await phones.reached(each, failed, ("sms", "ACCEPTED", ""), ("voice", "ACCEPTED", ""))
    assert len(phones.twilio.calls) > calls
    await phones.twilio.tell_message(message, "delivered")
    await phones.world.step("deliveries")
    for each in held:
        assert ("sms", "DELIVERED", "undelivered, code 30003") in await phones.states(each)
        await phones.world.replays(each)
