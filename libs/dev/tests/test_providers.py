"""The doubles show what they got, and can be answered by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import aiohttp
import pytest_asyncio
from aiohttp import web

from haven_dev import ports
from haven_dev.providers import Doubles

CALLED = '<?xml version="1.0" encoding="UTF-8"?><Response><Say>Thank you.</Say></Response>'


@pytest_asyncio.fixture
async def doubles(tmp_path: Path) -> AsyncIterator[Doubles]:
    made = Doubles(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_they_show_what_they_got(doubles: Doubles) -> None:
    key = doubles.pager_duty.routing_key
    payload = {"summary": "Haven: crisis alert", "source": "haven-crisis", "severity": "critical"}
    event = {"routing_key": key, "event_action": "trigger", "dedup_key": "a", "payload": payload}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{doubles.pager_duty.url}/v2/enqueue", json=event) as answer:
            assert answer.status == 202
        async with http.get(doubles.urls["pager_duty"]) as shown:
            assert [each["status"] for each in await shown.json()] == ["triggered"]
        for name in ("twilio", "alertmanager", "push"):
            async with http.get(doubles.urls[name]) as shown:
                assert shown.status == 200


async def test_a_message_and_a_key_by_hand(doubles: Doubles) -> None:
    told = []

    async def take(request: web.Request) -> web.Response:
        told.append({name: values[0] for name, values in parse_qs(await request.text()).items()})
        assert request.headers["X-Twilio-Signature"]
        return web.Response(text=CALLED, content_type="application/xml")

    app = web.Application()
    app.add_routes([web.post("/{path:.*}", take)])
    runner = web.AppRunner(app)
    await runner.setup()
    port = ports.free_port()
    await web.TCPSite(runner, ports.LOOPBACK, port).start()
    url, twilio = f"http://{ports.LOOPBACK}:{port}", doubles.twilio
    environment = doubles.environment(url)
    base = f"{twilio.url}/2010-04-01/Accounts/{environment['HAVEN_TWILIO_ACCOUNT_SID']}"
    auth = {"Authorization": aiohttp.encode_basic_auth(twilio.account_sid, environment["HAVEN_TWILIO_AUTH_TOKEN"])}
    twiml = f'<Response><Gather action="{url}/key"><Say>Press 1.</Say></Gather></Response>'
    async with aiohttp.ClientSession() as http:
        form = {"To": "+15551230001", "From": twilio.number, "Twiml": twiml}
        async with http.post(f"{base}/Calls.json", data=form, headers=auth) as answer:
            call = (await answer.json())["sid"]
        async with http.post(f"{twilio.url}/press", json={"call": call, "digits": "1"}) as answer:
            assert await answer.json() == {"said": "Thank you."}
        async with http.post(f"{twilio.url}/reply", json={"from": "+15551230001", "body": "431"}) as answer:
            assert await answer.json() == {"said": "Thank you."}
    assert (told[0]["Digits"], told[0]["CallSid"], told[1]["Body"]) == ("1", call, "431")
    await runner.cleanup()


def test_the_key_of_web_push_stays(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1"
    first, again = (Doubles(tmp_path).environment(url)["HAVEN_WEB_PUSH_KEY"] for _ in range(2))
    assert first == again
    assert len(first) == 43
