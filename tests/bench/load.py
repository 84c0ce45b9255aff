"""Load from one client, and what was measured of it."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

Send = Callable[[], Awaitable[None]]


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000 * len(ordered)) // 1000) - 1))]


async def closed(send: Send, *, at_once: int, seconds: float) -> tuple[float, list[float]]:
    """So many callers, each sending as soon as it was answered. Calls a second, and how long each took in ms."""
    took: list[float] = []
    began = time.perf_counter()
    ends = began + seconds

    async def caller() -> None:
        while (at := time.perf_counter()) < ends:
            await send()
            took.append((time.perf_counter() - at) * 1000)

    with _quiet():
        await asyncio.gather(*(caller() for _ in range(at_once)))
    return len(took) / (time.perf_counter() - began), took


async def open_loop(send: Send, *, rate: float, seconds: float, seed: int) -> None:
    """Send at random moments (a Poisson process), however many are still unanswered. Raises what a send raises."""
    chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    at, ends = loop.time(), loop.time() + seconds
    running = []
    with _quiet():
        for number in itertools.count():
            # The first at once, so that a short run at a low rate has one.
            at += chance.expovariate(rate) if number else 0.0
            if at > ends:
                break
            await asyncio.sleep(max(0.0, at - loop.time()))
            running.append(asyncio.ensure_future(send()))
        await asyncio.gather(*running)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the client's own garbage collection."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
