"""Paging over real processes, past no gateway: channels shown to work by their codes, a page answered by telephone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from haven_dev.runner import Platform
from haven_kit import ids
from haven_kit.testing import eventually

pytestmark = pytest.mark.timeout(300)
WHO, NUMBER = "responder-by-telephone", "+15551230001"


class Crisis:
    """Crisis's own edge, as somebody calls it."""

    def __init__(self, platform: Platform, http: aiohttp.ClientSession) -> None:
        self.platform = platform
        self._http = http

    async def call(self, verb: str, path: str, token: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        async with self._http.request(verb, self.platform.crisis_url + path, headers=headers, **options) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    def office(self) -> str:
        return self.platform.token("administrator")

    def responder(self) -> str:
        return self.platform.token("on_call_responder", sub=WHO)

    async def verify(self, channel_id: str, code: Any) -> None:
        path = f"/v1/on-call/responders/{WHO}"
        await self.call("POST", f"{path}:sendCode", self.office(), json={"channelId": channel_id})
        given = re.search(r"\d{4,8}", str(await eventually(code)).replace(" ", ""))
        assert given is not None
        verified = {"channelId": channel_id, "code": given.group()}
        await self.call("POST", f"{path}:verifyChannel", self.office(), json=verified)

    async def help(self) -> str:
        token = self.platform.token("participant", person_id=ids.new_id())
        raised = await self.call("POST", "/v1/signals", token, json={"source": "SIGNAL_SOURCE_HELP_BUTTON"})
        return str(raised["alertId"])

    async def alert(self, alert_id: str) -> Any:
        return await self.call("GET", f"/v1/alerts/{alert_id}", self.responder())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crisis(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> AsyncIterator[Crisis]:
    """Crisis alone, with one responder who has a telephone and a team at PagerDuty."""
    async with Platform(tmp_path_factory.mktemp("pages"), ephemeral=True, parts=["crisis"]) as platform:
        made = Crisis(platform, http)
        doubles = platform.doubles
        channels = [{"sms": {"number": NUMBER}}, {"pagerDuty": {"routingKey": doubles.pager_duty.routing_key}}]
        path = f"/v1/on-call/responders/{WHO}"
        held = await made.call("PUT", path, made.office(), json={"name": "Robin", "channels": channels})
        sms, duty = (each["channelId"] for each in held["channels"])
        await made.verify(sms, lambda: doubles.twilio.messages and doubles.twilio.messages[-1].body)
        incidents = doubles.pager_duty.incidents
        await made.verify(duty, lambda: incidents and list(incidents.values())[-1].events[0]["payload"]["summary"])
        step = {"targets": [{"responderId": WHO}], "wait": "60s"}
        policy = {"name": "Crisis", "steps": [step], "lastResort": step, "isDefault": True}
        await made.call("PUT", f"/v1/on-call/policies/{ids.new_id()}", made.office(), json={"policy": policy})
        yield made


async def message(crisis: Crisis, seen: int) -> Any:
    """The text message that comes after those seen."""
    messages = crisis.platform.doubles.twilio.messages
    await eventually(lambda: len(messages) > seen)
    return messages[-1]


async def test_a_page_is_answered_by_text_message(crisis: Crisis) -> None:
    seen = len(crisis.platform.doubles.twilio.messages)
    alert_id = await crisis.help()
    page = await message(crisis, seen)
    assert page.body.startswith("Haven: crisis alert, open " + crisis.platform.crisis_url + "/p/")
    digits = re.search(r"reply (\d{3}) ", page.body)
    assert digits is not None
    told = await crisis.platform.doubles.twilio.reply(NUMBER, digits.group(1))
    assert told.words.startswith("You have this alert")
    alert = await crisis.alert(alert_id)
    assert (alert["state"], alert["responderId"]) == ("ALERT_STATE_ACKNOWLEDGED", WHO)


async def test_a_page_is_answered_by_its_link(crisis: Crisis, http: aiohttp.ClientSession) -> None:
    seen = len(crisis.platform.doubles.twilio.messages)
    alert_id = await crisis.help()
    link = re.search(r"open (\S+) or", (await message(crisis, seen)).body)
    assert link is not None
    async with http.get(link.group(1)) as opened:
        tap = re.search(r'name="tap" value="([^"]+)"', await opened.text())
    assert tap is not None
    assert (await crisis.alert(alert_id))["state"] in ("ALERT_STATE_RAISED", "ALERT_STATE_PAGED")
    async with http.post(link.group(1), data={"tap": tap.group(1)}) as tapped:
        assert "You have this alert" in await tapped.text()
    assert (await crisis.alert(alert_id))["responderId"] == WHO


async def test_what_the_provider_said_is_reported(crisis: Crisis) -> None:
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    await crisis.help()

    async def delivered() -> Any:
        report = await crisis.call("GET", "/v1/delivery-report", crisis.office(), params={"since": since})
        lines = [each for each in report.get("lines", []) if each["provider"] == "twilio"]
        return [each for line in lines for each in line["counts"] if each["state"] == "PAGE_STATE_DELIVERED"]

    assert int((await eventually(delivered))[0]["pages"]) >= 1

    async def named() -> bool:
        listed = await crisis.call("GET", "/v1/deliveries", crisis.responder(), params={"since": since})
        assert {each["channel"] for each in listed["deliveries"]} <= {"sms", "pager_duty"}
        taken = [each for each in listed["deliveries"] if each["channel"] == "sms" and each.get("acceptedAt")]
        return bool(taken) and all(each["reference"].startswith("SM") for each in taken)

    assert await eventually(named)
