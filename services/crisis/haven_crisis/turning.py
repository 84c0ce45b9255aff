"""Whether the background loops of this replica really turn: a step that ended well, not a task that exists."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import wraps

from haven_kit.workers import Worker

SLACK = timedelta(seconds=12)
"""Beyond three turns: what a database that fails over, or a slow step, may take."""


class Turning:
    """Notes each turn of the loops that it watches."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limits: dict[str, float] = {}
        self._turned: dict[str, float] = {}

    def watch(self, workers: Sequence[Worker]) -> tuple[Worker, ...]:
        """The same loops, watched from now on."""
        return tuple(self._watched(each) for each in workers)

    def late(self) -> list[str]:
        """Loops that have not turned for three times as long as they should, and a little more."""
        now = self._clock()
        return [name for name, limit in self._limits.items() if now - self._turned[name] > limit]

    def _watched(self, worker: Worker) -> Worker:
        self._limits[worker.name] = (3 * worker.every + SLACK).total_seconds()
        self._turned[worker.name] = self._clock()

        @wraps(worker.step)
        async def step() -> bool:
            more = await worker.step()
            self._turned[worker.name] = self._clock()
            return more

        return replace(worker, step=step)
