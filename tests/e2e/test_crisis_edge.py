"""Crisis without the gateway, and with one replica less: no call for help notices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from haven_dev.runner import Platform
from haven_kit import ids
from haven_kit.testing import eventually

pytestmark = pytest.mark.timeout(300)
BUTTON = "SIGNAL_SOURCE_HELP_BUTTON"
OF_ONE_CALL = {"date", "traceparent", "x-request-id"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Two replicas of crisis behind a gateway, nothing else. Nobody is on call: the last resort is paged."""
    folder = tmp_path_factory.mktemp("two")
    async with Platform(folder, ephemeral=True, parts=["crisis", "gateway"], replicas={"crisis": 2}) as platform:
        yield platform


def participant(platform: Platform) -> dict[str, str]:
    return {"Authorization": f"Bearer {platform.token('participant', person_id=ids.new_id())}"}


async def answer(http: aiohttp.ClientSession, url: str, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    async with http.request(asked["verb"], url + asked["path"], **asked.get("with", {})) as got:
        headers = {name.lower(): value for name, value in got.headers.items() if name.lower() not in OF_ONE_CALL}
        body = await got.json(content_type=None) if got.content_type.endswith("json") else await got.text()
        if isinstance(body, dict):
            body.pop("trace_id", None)
        return got.status, headers, body


async def test_the_edge_answers_as_the_gateway_does(two: Platform, http: aiohttp.ClientSession) -> None:
    responder = {"Authorization": f"Bearer {two.token('on_call_responder')}"}
    person = participant(two)
    signal_id = ids.new_id()
    sample: list[dict[str, Any]] = [
        {"verb": "POST", "path": "/v1/signals", "with": {"json": {}}},
        {"verb": "POST", "path": "/v1/signals", "with": {"json": {}, "headers": {"Authorization": "Bearer nonsense"}}},
        {"verb": "GET", "path": "/v1/alerts", "with": {"headers": person}},
        {"verb": "GET", "path": "/v1/alerts/nonsense", "with": {"headers": responder}},
        {"verb": "GET", "path": f"/v1/alerts/{ids.new_id()}", "with": {"headers": responder}},
        {"verb": "GET", "path": "/v1/alerts?surprise=1", "with": {"headers": responder}},
        {
            "verb": "POST",
            "path": f"/v1/alerts/{ids.new_id()}:acknowledge",
            "with": {"data": b"{", "headers": responder},
        },
        {"verb": "DELETE", "path": "/v1/alerts", "with": {"headers": responder}},
        {"verb": "GET", "path": "/v1/nothing"},
        {"verb": "GET", "path": "/problems/denied"},
        {"verb": "POST", "path": "/v1/signals", "with": {"json": {"signalId": signal_id}, "headers": person}},
        {"verb": "GET", "path": "/v1/alerts?pageSize=1", "with": {"headers": responder}},
    ]
    for asked in sample:
        by_gateway = await answer(http, two.gateway_url, asked)
        by_edge = await answer(http, two.crisis_url, asked)
        for body in (by_gateway[2], by_edge[2]):
            if isinstance(body, dict):
                body.pop("acceptedAt", None)
        assert by_edge == by_gateway, asked


async def test_a_dead_gateway_stops_no_call_for_help(two: Platform, http: aiohttp.ClientSession) -> None:
    two.kill("gateway")
    try:
        for replica in (0, 1):
            url = f"{two.edge_url('crisis', replica=replica)}/v1/signals"
            async with http.post(url, json={"source": BUTTON}, headers=participant(two)) as got:
                assert got.status == 200
                alert_id = (await got.json())["alertId"]
            await eventually(lambda alert_id=alert_id: alert_id in paged(two))
    finally:
        await two.start("gateway")


def paged(platform: Platform) -> set[str]:
    return {json.loads(each.body)["alert_id"] for each in platform.webhook.received}


async def test_a_replica_that_is_killed_takes_no_call_with_it(two: Platform, http: aiohttp.ClientSession) -> None:
    async def press() -> str:
        async with http.post(f"{two.gateway_url}/v1/signals", json={"source": BUTTON}, headers=participant(two)) as got:
            assert got.status == 200, await got.text()
            return str((await got.json())["alertId"])

    async def press_many(count: int) -> list[str]:
        return [await press() for _ in range(count)]

    pressing = [asyncio.create_task(press_many(10)) for _ in range(4)]
    await eventually(lambda: len(paged(two)) >= 8)
    two.kill("crisis", replica=1)
    try:
        alerts = {alert_id for found in await asyncio.gather(*pressing) for alert_id in found}
        assert len(alerts) == 40
        assert await press()
        await eventually(lambda: alerts <= paged(two), timeout=30)
        assert two.running("crisis", replica=0)
        assert not two.running("crisis")
    finally:
        await two.start("crisis", replica=1)
    async with http.get(f"{two.http_url('crisis', replica=1)}/readyz") as got:
        assert got.status == 200


async def test_a_replica_that_is_asked_to_end_ends_its_streams_and_answers_what_it_began(
    two: Platform, http: aiohttp.ClientSession
) -> None:
    url = two.edge_url("crisis", replica=1)
    responder = {"Authorization": f"Bearer {two.token('on_call_responder')}"}
    async with http.get(f"{url}/v1/alerts:watch", headers=responder) as stream:
        assert await stream.content.readuntil(b"\n\n")
        stopping = asyncio.create_task(two.stop("crisis", replica=1))
        rest = (await stream.content.read()).decode()
    assert "event: problem" not in rest
    await stopping
    try:
        said = two.log("crisis", replica=1).read_text().splitlines()
        assert json.loads(said[-1])["event"] == "service.stopped"
        async with http.post(f"{two.gateway_url}/v1/signals", json={"source": BUTTON}, headers=participant(two)) as got:
            assert got.status == 200
    finally:
        await two.start("crisis", replica=1)


async def test_a_replica_that_starts_while_nobody_can_sign_in_knows_the_keys_of_before(
    two: Platform, http: aiohttp.ClientSession
) -> None:
    person = participant(two)
    two.kill("gateway")
    two.kill("crisis", replica=1)
    await two.issuer.stop()
    try:
        await two.start("crisis", replica=1)
        url = f"{two.edge_url('crisis', replica=1)}/v1/signals"
        async with http.post(url, json={"source": BUTTON}, headers=person) as got:
            assert got.status == 200
            alert_id = (await got.json())["alertId"]
        await eventually(lambda: alert_id in paged(two))
        async with http.post(url, json={"source": BUTTON}, headers={"Authorization": "Bearer nonsense"}) as got:
            assert got.status == 401
    finally:
        await two.issuer.start()
        await two.start("gateway")
