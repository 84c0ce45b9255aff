"""Ending tasks of our own."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 2.0
"""How long a task that was cancelled may take to end before it is told again."""


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended; how they ended is nobody's concern.

    A cancellation can get lost: `asyncio.wait_for` before Python 3.12, on which NATS's client waits, gives a result
    that has just come instead; and an error that is raised while a connection is let go of takes its place. A loop that
    goes on after every error would then never end, nor would whoever waits for it.
    """
    running = set(tasks)
    while running:
        for each in running:
            each.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
