"""From the release before this one and back: its schema, both versions running together, and nothing is lost."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from calls import Call, Calls, referral
from versions import Versions, unpack

from haven_dev.day.play import FAST
from haven_dev.project import PARTS

COUNT = 10
POLICY = "0197c0de-0000-7000-8000-000000000002"


class People:
    """Those who call, in each state of the upgrade; all of them are looked after at its end."""

    def __init__(self, platform: Versions, http: aiohttp.ClientSession) -> None:
        self._platform = platform
        self._http = http
        self.calls = Calls(platform, http, [platform.gateway_url])

    async def office(self, verb: str, path: str, body: Any = None, role: str = "administrator") -> Any:
        """Somebody of the office."""
        headers = {"Authorization": f"Bearer {self._platform.token(role)}", "Idempotency-Key": str(uuid.uuid4())}
        url = self._platform.gateway_url + path
        async with self._http.request(verb, url, json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def on_call(self) -> None:
        """A responder as the previous release took one."""
        responder = str(uuid.uuid4())
        url = self._platform.webhook.url.replace("/page", "/page/on-call")
        body = {"name": "Responder", "channels": [{"webhook": {"url": url}}]}
        await self.office("PUT", f"/v1/on-call/responders/{responder}", body)
        step = {"targets": [{"responderId": responder}], "wait": "900s"}
        policy = {"policyId": POLICY, "name": "On call", "steps": [step], "lastResort": step, "isDefault": True}
        await self.office("PUT", f"/v1/on-call/policies/{POLICY}", {"policy": policy})
        # A replica that has not heard of the new plan pages whom the old one names too. It has heard of it afterwards.
        first = await self.calls.many(COUNT)
        await self.calls.paged(first)
        self.calls.made.clear()

    async def refer(self) -> str:
        """A referral: a command of another service, with an event that others react to."""
        made = await self.office("POST", "/v1/referrals", referral(), role="care_coordinator")
        return str(made["referralId"])


@pytest.mark.timeout(600)
async def test_up_and_back_and_up_again_loses_nothing(tmp_path: Path) -> None:
    source = unpack(tmp_path / "previous")
    referrals: list[str] = []
    async with (
        Versions(tmp_path / "run", source, ephemeral=True, environment=FAST, replicas={"crisis": 2}) as platform,
        aiohttp.ClientSession() as http,
    ):
        people = People(platform, http)
        await people.on_call()

        async def live(state: str) -> None:
            made = await people.calls.many(COUNT)
            took = await people.calls.paged(made)
            referrals.append(await people.refer())
            print(f"\n  {state}: slowest page after {took[-1] * 1000:.0f} ms", end="")  # noqa: T201

        await live("previous release")
        calling = asyncio.create_task(people.calls.many(COUNT * 4, apart_s=0.1))
        await platform.upgrade_schema()
        await calling
        await live("previous release on the new schema")
        await platform.replace("crisis", replica=1, new=True)
        await live("both releases of crisis")
        for part in [each for each in PARTS if each != "crisis"]:
            await platform.replace(part, new=True)
        await platform.replace("crisis", replica=0, new=True)
        await live("this release")
        for part in PARTS:
            await platform.replace(part, new=False)
        await platform.replace("crisis", replica=1, new=False)
        await live("rolled back")
        for part in PARTS:
            await platform.replace(part, new=True)
        await platform.replace("crisis", replica=1, new=True)
        await live("this release again")
        await _nothing_is_lost(people, people.calls.made, referrals)


async def _nothing_is_lost(people: People, made: list[Call], referrals: list[str]) -> None:
    await people.calls.paged(made)
    await people.calls.whole(made, timeout=60)
    assert people.calls.twice(made) == 0, await people.calls.told_twice(made)
    for each in referrals:
        await people.office("GET", f"/v1/referrals/{each}", role="care_coordinator")
