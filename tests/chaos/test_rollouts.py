"""A rollout as the chart makes it: each service is replaced one replica at a time, under calls for help and other work.

Kubernetes takes a pod that ends out of its Service at once, and sends SIGTERM after the preStop pause; here the clients
stop using the replica, pause, and send it. Nobody tries anything twice: what fails once has failed.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from calls import Calls, referral

from haven_dev.day.play import FAST
from haven_dev.project import GATEWAY, PARTS
from haven_dev.runner import Platform

REPLICAS = 2
SIGNALS_APART_S = 1 / 50
WORK_APART_S = 0.05
PRE_STOP_S = 1.0
READS = {
    "/v1/referrals": "care_coordinator",
    "/v1/groups": "care_coordinator",
    "/v1/payers": "biller",
    "/v1/grounding-exercises": "facilitator",
    "/v1/on-call/now": "on_call_responder",
}
"""One read of each service, through the gateway."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Two replicas of every part."""
    folder = Path(tmp_path_factory.mktemp("rollouts"))
    async with Platform(folder, ephemeral=True, environment=FAST, replicas=dict.fromkeys(PARTS, REPLICAS)) as running:
        yield running


class Balancer:
    """The clients' way to the public edges, as a Service gives it: replicas that end are left out."""

    def __init__(self, platform: Platform) -> None:
        self.gateways = [platform.edge_url(GATEWAY, replica=each) for each in range(REPLICAS)]
        self.edges = [platform.edge_url("crisis", replica=each) for each in range(REPLICAS)]

    def without(self, part: str, url: str) -> None:
        """Send nothing new there."""
        if part in (GATEWAY, "crisis"):
            (self.gateways if part == GATEWAY else self.edges).remove(url)

    def again(self, part: str, url: str) -> None:
        """It is ready."""
        if part in (GATEWAY, "crisis"):
            (self.gateways if part == GATEWAY else self.edges).append(url)


async def _work(platform: Platform, http: aiohttp.ClientSession, ways: Balancer, over: asyncio.Event) -> Counter[str]:
    """Reads of every service and referrals that are made, steadily, until it is over. What became of each."""
    seen: Counter[str] = Counter()
    tokens = {role: platform.token(role) for role in {*READS.values(), "care_coordinator"}}
    running: set[asyncio.Task[None]] = set()

    async def one(path: str, role: str, body: object = None) -> None:
        headers = {"Authorization": f"Bearer {tokens[role]}", "Idempotency-Key": str(uuid.uuid4())}
        verb = "GET" if body is None else "POST"
        try:
            async with http.request(verb, random.choice(ways.gateways) + path, json=body, headers=headers) as answer:
                text = await answer.text()
                seen[f"{verb} {path} {answer.status}" + ("" if answer.status == 200 else f" {text}")] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            seen[f"{verb} {path} {type(error).__name__}"] += 1

    todo = [*READS.items(), ("/v1/referrals", "care_coordinator")]
    turn = 0
    while not over.is_set():
        path, role = todo[turn % len(todo)]
        task = asyncio.create_task(one(path, role, referral() if turn % len(todo) == len(READS) else None))
        running.add(task)
        task.add_done_callback(running.discard)
        turn += 1
        await asyncio.sleep(WORK_APART_S)
    await asyncio.gather(*running)
    return seen


async def _call(calls: Calls, ways: Balancer, over: asyncio.Event) -> None:
    """Somebody new calls for help fifty times a second, at crisis's own edge and through the gateway in turn."""
    running: set[asyncio.Task[object]] = set()
    while not over.is_set():
        calls.edges[:] = [*ways.edges, *ways.gateways]
        task: asyncio.Task[object] = asyncio.create_task(calls.call())
        running.add(task)
        await asyncio.sleep(SIGNALS_APART_S)
    await asyncio.gather(*running)


async def _replace(platform: Platform, ways: Balancer, part: str, replica: int) -> None:
    url = platform.edge_url(part, replica=replica) if part in (GATEWAY, "crisis") else ""
    ways.without(part, url)
    await asyncio.sleep(PRE_STOP_S)
    await platform.stop(part, replica=replica)
    await platform.start(part, replica=replica)
    ways.again(part, url)


@pytest.mark.timeout(600)
async def test_every_service_is_replaced_and_nobody_notices(platform: Platform) -> None:
    ways = Balancer(platform)
    over = asyncio.Event()
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        calls = Calls(platform, http, list(ways.edges))
        await calls.on_call()
        calling = asyncio.create_task(_call(calls, ways, over))
        working = asyncio.create_task(_work(platform, http, ways, over))
        for part in PARTS:
            for replica in range(REPLICAS):
                await _replace(platform, ways, part, replica)
        over.set()
        await calling
        seen = await working
        await calls.paged(calls.made, timeout=60)
        await calls.whole(calls.made, timeout=120)
        made = await _referrals(platform, http, ways.gateways[0])
    print(f"\n  {len(calls.made)} calls for help, {seen.total()} other calls: {dict(seen)}")  # noqa: T201
    assert {key: count for key, count in seen.items() if not key.endswith(" 200")} == {}
    assert [each for each in calls.made if each.tries != 1] == []
    assert calls.twice(calls.made) == 0
    assert made == seen["POST /v1/referrals 200"], "each referral was made once"


async def _referrals(platform: Platform, http: aiohttp.ClientSession, gateway: str) -> int:
    """How many referrals there are."""
    headers = {"Authorization": f"Bearer {platform.token('care_coordinator')}"}
    found, token = 0, ""
    while True:
        query = {"pageSize": "200", "pageToken": token} if token else {"pageSize": "200"}
        async with http.get(f"{gateway}/v1/referrals", params=query, headers=headers) as answer:
            page = await answer.json()
        found += len(page.get("referrals", []))
        token = page.get("nextPageToken", "")
        if not token:
            return found
