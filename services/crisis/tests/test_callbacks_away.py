"""Answers and reports that come while the database is away: taken, and in the record afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from haven_crisis.__main__ import READINESS
from haven_crisis.domain import replies
from haven_kit.testing import eventually

from .paging_world import PHONES, Phones, get, sms, voice


async def record(phones: Phones, person_id: str) -> Any:
    """The person's alert, once it is in the record."""

    async def there() -> Any:
        async with phones.world.transaction() as tx:
            return await tx.fetch_one(
                "SELECT alert_id::text, responder_id FROM alert WHERE person_id = $1 AND responder_id <> ''", person_id
            )

    return await eventually(there, timeout=20)


@pytest.mark.parametrize("way", ["code", "yes"])
async def test_a_reply_takes_the_alert(phones: Phones, person_id: str, way: str) -> None:
    await phones.over()
    await phones.seat({name: [sms(name)] for name in PHONES})
    seen = len(phones.twilio.messages)
    async with phones.away():
        await phones.signal(person_id)
        await eventually(lambda: len(phones.twilio.messages) > seen)
        body = phones.twilio.messages[-1].body
        digits = body.partition("reply ")[2][:3]
        told = await phones.twilio.reply(PHONES["first"], digits if way == "code" else "Yes")
        assert told.words.startswith("You have this alert")
        assert "could not be written down" in (await phones.twilio.reply("+15559999999", digits)).words
    row = await record(phones, person_id)
    assert (row["responder_id"], replies.code(row["alert_id"])) == ("first", digits)


async def test_a_key_takes_the_alert(phones: Phones, person_id: str) -> None:
    await phones.seat({name: [voice(name)] for name in PHONES})
    seen = len(phones.twilio.calls)
    async with phones.away():
        await phones.signal(person_id)
        await eventually(lambda: len(phones.twilio.calls) > seen)
        assert (await phones.twilio.press(phones.twilio.calls[-1], "1")).words.startswith("You have this alert")
    assert (await record(phones, person_id))["responder_id"] == "first"


async def test_what_a_provider_said_meanwhile_is_not_lost(phones: Phones, person_id: str) -> None:
    await phones.seat({"first": [sms("first"), voice("first")], "second": [sms("second")]})
    alert_id = (await phones.signal(person_id)).alert_id
    await phones.reached(alert_id, ("sms", "ACCEPTED", ""))
    message = await phones.message(alert_id)
    async with phones.away():
        assert (await phones.twilio.tell_message(message, "undelivered", "30003")).status == 204
    await phones.reached(
        alert_id, ("sms", "FAILED", "undelivered, code 30003"), ("sms", "QUEUED", ""), ("voice", "ACCEPTED", "")
    )


async def test_the_link_says_that_the_page_is_real(phones: Phones, person_id: str) -> None:
    """Where the replica never read of the page, there is more to say only when the record is back."""
    await phones.seat({name: [sms(name)] for name in PHONES})
    alert_id = (await phones.signal(person_id)).alert_id
    await phones.reached(alert_id, ("sms", "ACCEPTED", ""))
    address = await phones.link(PHONES["first"])
    async with phones.away():
        await phones.read_nothing()
        status, html, headers = await get(address)
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "The page that you got is real" in html
    assert (await get(address))[0] == 200


@pytest.mark.parametrize("way", ["sms", "voice"])
async def test_what_was_sent_before_takes_the_alert_too(phones: Phones, person_id: str, way: str) -> None:
    await phones.over()
    await phones.seat({name: [sms(name) if way == "sms" else voice(name)] for name in PHONES})
    alert_id = (await phones.signal(person_id)).alert_id
    await phones.reached(alert_id, (way, "ACCEPTED", ""))
    await phones.world.step("keeping")
    async with phones.away():
        if way == "sms":
            told = await phones.twilio.reply(PHONES["first"], replies.code(alert_id))
        else:
            told = await phones.twilio.press(phones.twilio.calls[-1], "1")
        assert told.words.startswith("You have this alert")
    row = await record(phones, person_id)
    assert (row["responder_id"], row["alert_id"]) == ("first", alert_id)


async def test_a_key_that_is_pressed_while_the_record_is_completed_takes_the_alert(
    phones: Phones, person_id: str
) -> None:
    await phones.seat({name: [voice(name)] for name in PHONES})
    check: Any = phones.world.crisis.process.service.checks[READINESS]
    keeping = check.__self__.keeping
    seen = len(phones.twilio.calls)
    async with phones.away():
        await phones.signal(person_id)
        await eventually(lambda: len(phones.twilio.calls) > seen)
        (held,) = [each for each in keeping._keeper.cases.values() if each.case.person_id == person_id]
        await eventually(lambda: not list(held.case.open_pages()))
        await held.lock.acquire()  # as whoever completes the record does
        pressed = asyncio.create_task(phones.twilio.press(phones.twilio.calls[-1], "1"))
        await eventually(lambda: bool(held.lock._waiters))
    await eventually(lambda: phones.world.crisis.process.server.state["database"])
    await keeping._completer.complete(held)
    held.lock.release()
    assert (await pressed).words.startswith("You have this alert")
    assert (await record(phones, person_id))["responder_id"] == "first"
