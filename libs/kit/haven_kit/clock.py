"""Time as a part that is handed in: the system's, or one that a test turns by hand."""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What the time is, and how to wait."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from some point in the past, never going back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds of this clock."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


class TurnedClock(SystemClock):
    """The machine's clock, set forward by the seconds that a file holds: a day in minutes, for development alone.

    Only the time of day is turned. Waiting takes as long as it always does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = (0, 0)
        self._by = timedelta()

    def now(self) -> datetime:
        """The time of day, aware, in UTC, set forward."""
        found = self._path.stat()
        if (found.st_mtime_ns, found.st_ino) != self._seen:
            self._by = timedelta(seconds=float(self._path.read_text()))
            self._seen = (found.st_mtime_ns, found.st_ino)
        return super().now() + self._by


class FakeClock:
    """A clock that stands still until it is turned. Sleepers wake when it passes their time, the earliest first."""

    def __init__(self, start: datetime = datetime(2026, 1, 5, 9, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise ValueError("start must be aware")
        self._start = self._now = start.astimezone(UTC)
        self._order = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was turned that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), next(self._order), woken))
        await woken

    def advance(self, by: timedelta) -> None:
        """Jump forward at once; every sleeper whose time has come is woken, in order of its time."""
        if by < timedelta(0):
            raise ValueError("time does not go back")
        self._now += by
        while self._sleepers and self._sleepers[0][0] <= self._now:
            self._wake_first()

    async def run(self, for_: timedelta) -> None:
        """Move forward stopping at each sleeper's time, so that a loop that sleeps again is woken again.

        What the woken do between two stops must need no more than the event loop: for real I/O, wait for its effect.
        """
        end = self._now + for_
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now = max(self._now, self._sleepers[0][0])
            self._wake_first()
            await _settle()
        self._now = end

    def _wake_first(self) -> None:
        _, _, woken = heapq.heappop(self._sleepers)
        if not woken.done():
            woken.set_result(None)


class Pace:
    """Keeps turns apart: the first is at once, each other one no sooner than `seconds` after the one before it."""

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self._seconds = seconds
        self._clock = clock or SystemClock()
        self._next = float("-inf")

    async def turn(self) -> None:
        """Wait for the next turn."""
        wait = self._next - self._clock.monotonic()
        if wait > 0:
            await self._clock.sleep(wait)
        self._next = self._clock.monotonic() + self._seconds


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
