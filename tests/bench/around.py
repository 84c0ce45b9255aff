"""What is made of the platform around a measurement: one more replica, a server less. The bare path stays as it is."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

from sides import Side, World

_READY_S = 60.0
_PAUSE_S = 0.2
_AT_ONCE = 20


@contextlib.asynccontextmanager
async def two_replicas(world: World, side: Side) -> AsyncIterator[None]:
    """Crisis has two replicas in the block."""
    if side.name == "bare":
        yield
        return
    await world.platform.start("crisis", replica=1)
    side.processes["crisis-1"] = world.process_of("crisis-1")
    try:
        await _settled(world, side)
        yield
    finally:
        del side.processes["crisis-1"]
        await world.platform.stop("crisis", replica=1)


@contextlib.asynccontextmanager
async def without_database(world: World, side: Side) -> AsyncIterator[None]:
    """There is no PostgreSQL in the block; the record is complete after it."""
    async with _without(world, side, nats=False):
        yield


@contextlib.asynccontextmanager
async def without_both(world: World, side: Side) -> AsyncIterator[None]:
    """There is neither PostgreSQL nor NATS in the block; the record is complete after it."""
    async with _without(world, side, nats=True):
        yield


@contextlib.asynccontextmanager
async def _without(world: World, side: Side, *, nats: bool) -> AsyncIterator[None]:
    await _settled(world, side)
    if side.name == "bare":
        yield
        return
    platform = world.platform
    await platform.postgres.stop()
    if nats:
        await platform.nats.stop()
    await _settled(world, side)
    try:
        yield
    finally:
        await platform.postgres.start()
        if nats:
            await platform.nats.start()
        await _completed(world)


async def _completed(world: World) -> None:
    """Wait until all that was kept is in the record."""
    async with asyncio.timeout(_READY_S):
        while True:
            async with world.http.get(f"{world.platform.http_url('crisis')}/metrics") as answer:
                if re.search(r"^haven_crisis_kept_cases 0\.0$", await answer.text(), re.MULTILINE):
                    return
            await asyncio.sleep(_PAUSE_S)


async def _settled(world: World, side: Side) -> None:
    """Wait until signals are taken, on every connection."""
    async with asyncio.timeout(_READY_S):
        while True:
            answers = await asyncio.gather(*(side.signal() for _ in range(_AT_ONCE)), return_exceptions=True)
            if not any(isinstance(each, Exception) for each in answers):
                break
            await asyncio.sleep(_PAUSE_S)
    await asyncio.sleep(_PAUSE_S)
    await world.taken()
