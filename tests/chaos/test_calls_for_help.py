"""Calls for help while replicas are killed, and while servers and services are away: none is lost, all are paged."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from calls import Calls
from trouble import SEED

from haven_dev.day.play import FAST
from haven_dev.project import PARTS
from haven_dev.runner import Platform
from haven_kit.testing import eventually

REPLICAS = 2
KILLS = int(os.environ.get("CHAOS_KILLS", "200"))
SIGNALS_A_KILL = 2.5
PAGED_WITHIN_S = 10.0
IN_FLIGHT_S = 0.03
"""How long after a call was sent its replica is killed at most."""

Work = Callable[[], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A platform of their own, with two replicas of crisis."""
    folder = Path(tmp_path_factory.mktemp("calls"))
    async with Platform(folder, ephemeral=True, environment=FAST, replicas={"crisis": REPLICAS}) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def calls(platform: Platform) -> AsyncIterator[Calls]:
    """Clients who know both replicas."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        made = Calls(platform, http, [platform.edge_url("crisis", replica=each) for each in range(REPLICAS)])
        await made.on_call()
        yield made


async def _survives(calls: Calls, away: Work, back: Work, kept: set[str], count: int = 20) -> None:
    """People call while something is away, and are paged then; once it is back the record is complete."""
    await away()
    try:
        made = await calls.many(count)
        took = await calls.paged(made)
        assert {each.kept for each in made} <= kept
        assert took[-1] < PAGED_WITHIN_S
    finally:
        await back()
    await calls.whole(made, timeout=60)
    assert calls.twice(made) == 0
    print(f"\n  slowest page after {took[-1] * 1000:.0f} ms, kept by {sorted({each.kept for each in made})}")  # noqa: T201


async def test_postgres_is_stopped(platform: Platform, calls: Calls) -> None:
    await _survives(calls, platform.postgres.stop, platform.postgres.start, {"KEPT_STREAM"})


async def test_nats_is_stopped(platform: Platform, calls: Calls) -> None:
    await _survives(calls, platform.nats.stop, platform.nats.start, {"KEPT_DATABASE"})


async def test_postgres_and_nats_are_stopped(platform: Platform, calls: Calls) -> None:
    async def away() -> None:
        await asyncio.gather(platform.postgres.stop(), platform.nats.stop())

    async def back() -> None:
        await asyncio.gather(platform.postgres.start(), platform.nats.start())

    await _survives(calls, away, back, {"KEPT_JOURNAL"})


async def test_the_gateway_is_stopped(platform: Platform, calls: Calls) -> None:
    async def back() -> None:
        await platform.start("gateway")

    await _survives(calls, lambda: platform.stop("gateway"), back, {"KEPT_DATABASE"})


async def test_all_other_services_are_stopped(platform: Platform, calls: Calls) -> None:
    others = [each for each in PARTS if each != "crisis"]

    async def away() -> None:
        for each in others:
            platform.kill(each)

    async def back() -> None:
        await asyncio.gather(*(platform.start(each) for each in others))

    await _survives(calls, away, back, {"KEPT_DATABASE"})


async def test_every_replica_is_killed_while_the_database_is_away(platform: Platform, calls: Calls) -> None:
    """What NATS keeps is taken up by the replicas that come after, before the database is back."""
    await platform.postgres.stop()
    try:
        made = await calls.many(10)
        assert {each.kept for each in made} == {"KEPT_STREAM"}
        platform.kill("crisis")
        await platform.start("crisis")
        await calls.paged(made)
    finally:
        await platform.postgres.start()
    await calls.whole(made, timeout=60)
    assert calls.twice(made) <= len(made)


class Warm:
    """Replicas of crisis that start in a moment."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._pids: dict[int, int] = {}
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2))
        self._mother = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        assert self._mother.stdout is not None
        assert self._mother.stdout.readline() == "warm\n"

    async def start(self, replica: int) -> None:
        """Start a replica and wait until it takes calls."""
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HAVEN_")}
        wanted = {
            "environment": inherited | self._platform.environment("crisis", replica=replica),
            "folder": str(self._platform.state),
            "log": str(self._platform.log("crisis", replica=replica)),
        }
        self._mother.stdin.write(json.dumps(wanted) + "\n")
        self._mother.stdin.flush()
        self._pids[replica] = int(await asyncio.to_thread(self._mother.stdout.readline))
        url = f"{self._platform.http_url('crisis', replica=replica)}/readyz"

        async def ready() -> bool:
            try:
                async with self._http.get(url) as answer:
                    return answer.status == 200
            except (aiohttp.ClientError, TimeoutError):
                return False

        await eventually(ready, timeout=60)

    def kill(self, replica: int) -> None:
        """End a replica as a crash would."""
        os.kill(self._pids[replica], signal.SIGKILL)

    async def close(self) -> None:
        """End all of it."""
        os.killpg(self._mother.pid, signal.SIGKILL)
        await asyncio.to_thread(self._mother.wait)
        await self._http.close()


@pytest.mark.timeout(900)
async def test_replicas_are_killed_at_random_moments(platform: Platform, calls: Calls, rng: random.Random) -> None:
    """None is lost, at most one page more for each kill, and a page comes within ten seconds across a kill."""
    await platform.stop("crisis")
    warm = Warm(platform)
    began = time.monotonic()
    making: list[asyncio.Task[object]] = []
    try:
        await asyncio.gather(*(warm.start(each) for each in range(REPLICAS)))
        for kill in range(KILLS):
            due = int((kill + 1) * SIGNALS_A_KILL) - len(making)
            making += [asyncio.create_task(calls.call()) for _ in range(due)]
            await asyncio.sleep(rng.random() * IN_FLIGHT_S)
            victim = rng.randrange(REPLICAS)
            warm.kill(victim)
            await warm.start(victim)
        await asyncio.gather(*making)
        made = calls.made[-len(making) :]
        took = await calls.paged(made, timeout=30)
        await calls.whole(made, timeout=60)
    finally:
        print(f"\n  {KILLS} kills, {len(making)} signals, CHAOS_SEED={SEED}, {time.monotonic() - began:.0f} s")  # noqa: T201
        for each in making:
            each.cancel()
        await warm.close()
        await platform.start("crisis")
    p99 = took[int(len(took) * 0.99)]
    print(f"  page p50 {took[len(took) // 2]:.2f} s, p99 {p99:.2f} s, {calls.twice(made)} twice")  # noqa: T201
    assert len(made) == int(KILLS * SIGNALS_A_KILL)
    assert calls.twice(made) <= KILLS
    assert p99 <= PAGED_WITHIN_S
