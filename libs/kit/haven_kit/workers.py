"""Background loops. A step claims what is due, does it, and commits; many replicas may run the same loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from haven_kit import logs, metrics, tasks
from haven_kit.database import Database, reachable
from haven_kit.errors import Unavailable

LOCK_CHECK_S = 5.0
"""How often the holder of a lock asks whether it still has it, and how long the server may take to answer."""
_NOTICED_S = 10
"""After which the server gives the lock of a replica that vanished to another one."""
_FIRST_BACKOFF_S = 0.1
_LAST_BACKOFF_S = 5.0
_KEEPALIVE = {
    "application_name": "haven-lock",
    "tcp_keepalives_idle": str(_NOTICED_S // 2),
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": str(_NOTICED_S // 2),
}
_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """One loop: `step` runs when `wake` rings, and every `every` at the latest; again at once while it returns True.

    A bell belongs to one worker of a service.

    An `exclusive` worker runs on one replica at a time: the one that holds the advisory lock of its name.
    """

    name: str
    step: Callable[[], Awaitable[bool]]
    every: timedelta
    wake: str = ""
    exclusive: bool = False


class WorkerLoop:
    """Runs one worker until it is stopped; a step under way is finished first."""

    def __init__(self, worker: Worker, database: Database) -> None:
        self._worker = worker
        self._database = database
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lock: asyncpg.Connection | None = None
        self._check_at = 0.0
        self._bell = worker.wake or worker.name
        self._succeeded = metrics.WORKER_STEPS.labels(worker.name, "ok")

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=f"worker {self._worker.name}")

    async def stop(self, grace: float) -> None:
        """End after the step under way, or after `grace` seconds."""
        self._stopping.set()
        self._database.wake.ring(self._bell)
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=grace)
            await tasks.end(*late)
        await self._unlock()

    async def _run(self) -> None:
        backoff = _FIRST_BACKOFF_S
        while not self._stopping.is_set():
            try:
                if self._worker.exclusive and not await self._locked():
                    await self._rest(self._worker.every.total_seconds())
                    continue
                more = await self._worker.step()
            except Exception as error:  # noqa: BLE001 - see the comment
                # The loop outlives any step: what failed stays due and is claimed again, by a replica that can.
                self._report(error)
                await self._unlock()
                await self._rest(backoff)
                backoff = min(backoff * 2, _LAST_BACKOFF_S)
                continue
            backoff = _FIRST_BACKOFF_S
            self._succeeded.inc()
            metrics.WORKER_LAST.labels(self._worker.name).set_to_current_time()
            if not more and not self._stopping.is_set():
                await self._database.wake.wait(self._bell, self._worker.every.total_seconds())

    def _report(self, error: Exception) -> None:
        metrics.WORKER_STEPS.labels(self._worker.name, "failed").inc()
        if isinstance(error, Unavailable):
            _log.warning("worker.waiting", worker=self._worker.name, reason=error.reason)
        else:
            _log.exception("worker.failed", worker=self._worker.name)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _locked(self) -> bool:
        if self._lock is not None:
            if time.monotonic() < self._check_at:
                return not self._lock.is_closed() or await self._unlock()
            with reachable():
                await self._lock.execute("SELECT 1", timeout=LOCK_CHECK_S)
            self._check_at = time.monotonic() + LOCK_CHECK_S
            return True
        with reachable():
            connection = await self._database.address.connect(timeout=2, settings=_KEEPALIVE)
        try:
            mine = await connection.fetchval(
                "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", self._worker.name, timeout=LOCK_CHECK_S
            )
        except BaseException:
            connection.terminate()
            raise
        if mine:
            self._lock, self._check_at = connection, time.monotonic() + LOCK_CHECK_S
            return True
        await connection.close(timeout=1)
        return False

    async def _unlock(self) -> bool:
        """Let go of the lock. False: it is not held."""
        if self._lock is not None:
            connection, self._lock = self._lock, None
            connection.terminate()
        return False
