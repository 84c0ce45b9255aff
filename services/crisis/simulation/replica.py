"""One replica of the service: the real pager, escalator, acceptance, auditor and loops, on the model's records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar, cast

import tink
from tink import aead, prf

from haven_crisis import auditor
from haven_crisis.acceptance import Acceptance
from haven_crisis.auditor import Auditor
from haven_crisis.channels import Channels
from haven_crisis.escalator import Escalator
from haven_crisis.pager import Pager
from haven_crisis.records import Records
from haven_crisis.settings import CrisisSettings
from haven_kit.cipher import Cipher
from haven_kit.clients import Clients
from haven_kit.clock import Clock
from haven_kit.messaging import Messaging
from haven_kit.service import Parts
from haven_kit.wake import Wake
from haven_kit.workers import Worker, WorkerLoop
from simulation.database import MemoryDatabase
from simulation.loop import START, Owner, VirtualLoop
from simulation.plan import Copy, Plan
from simulation.server import Server
from simulation.weather import Weather

T = TypeVar("T")
SWEEP = timedelta(seconds=1)


@cache
def settings() -> CrisisSettings:
    """Production's page timeout, lease and attempts; the leases of people are shorter, so that they run out."""
    return CrisisSettings.model_construct(
        page_timeout_seconds=3.0,
        page_lease_seconds=6.0,
        page_attempts=4,
        page_concurrency=64,
        crisis_lease_seconds=15,
        crisis_close_within_seconds=20,
        crisis_answer_within_seconds=5,
        crisis_flood_alerts=2,
        crisis_gather_seconds=3,
    )


@cache
def cipher() -> Cipher:
    """Keys of this process."""
    seal = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM)
    return Cipher(seal, tink.new_keyset_handle(prf.prf_key_templates.HMAC_SHA256))


class ReplicaClock(Clock):
    """A replica's clock: the loop's time, and what it is ahead by."""

    def __init__(self, loop: VirtualLoop, ahead: Callable[[], float]) -> None:
        self._loop = loop
        self._ahead = ahead

    def now(self) -> datetime:
        """The time of day."""
        return START + timedelta(seconds=self._loop.time() + self._ahead())

    def monotonic(self) -> float:
        """Never goes back."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


class Bells(Wake):
    """The kit's bells, without a database behind them.

    A sweep that would find nothing is left out: it changes nothing, and there are many. `due` says what would.
    """

    def __init__(self, loop: VirtualLoop, owner: Owner, due: Callable[[str], bool], ring_others: Any) -> None:
        self._loop = loop
        self._owner = owner
        self._due = due
        self._ring_others = ring_others
        self._rung: set[str] = set()
        self._waiting: dict[str, asyncio.Future[bool]] = {}

    def ring(self, name: str) -> None:
        """Ring the named bell on this replica."""
        future = self._waiting.get(name)
        if future is not None and not future.done():
            future.set_result(True)
        else:
            self._rung.add(name)

    def wake(self, name: str) -> None:
        """Ring the named bell everywhere."""
        self.ring(name)
        self._ring_others(self._owner, name)

    async def wait(self, name: str, timeout: float) -> bool:
        """As the kit's, but for sweeps that would find nothing."""
        if name in self._rung:
            self._rung.discard(name)
            return True
        future = self._waiting[name] = self._loop.create_future()
        self._loop.at(timeout, self._owner, self._tick, name, timeout, future)
        rang: bool = await future
        return rang

    def _tick(self, name: str, timeout: float, future: asyncio.Future[bool]) -> None:
        if future.done():
            return
        if self._due(name):
            future.set_result(False)
        else:
            self._loop.at(timeout, self._owner, self._tick, name, timeout, future)


class Replica:
    """A process of the service."""

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        server: Server,
        plan: Plan,
        providers: Any,
        records: Records,
        weather: Weather,
        ahead: Callable[[], float],
        ring_others: Callable[[Owner, str], None],
    ) -> None:
        self.owner = loop.owner(name)
        self._ahead = ahead
        self.clock = ReplicaClock(loop, ahead)
        self._loop = loop
        self._server = server
        self._plan = plan
        self.bells = Bells(loop, self.owner, self._due, ring_others)
        self.database = MemoryDatabase(server, self.owner, self.clock, self.bells)
        self.records = records
        parts = Parts(settings(), self.clock, self.database, cipher(), cast(Clients, None), cast(Messaging, None))
        self.parts = parts
        self.copy = Copy(plan, cipher(), settings())
        self.pager = Pager(parts, self.copy, cast(Channels, providers), records)
        self.acceptance = Acceptance(parts, self.copy, self.pager, records)
        self.escalator = Escalator(parts, self.copy, self.pager, self.acceptance, records)
        self.auditor = Auditor(parts, self.copy, self.pager, records)
        loop.at(0.001 + weather.random.random(), self.owner, self._start)

    def _start(self) -> None:
        loops = (
            Worker("pages", self.pager.sweep, every=SWEEP, wake="pages"),
            Worker("gathered", self.pager.gather, every=SWEEP, wake="gathered"),
            Worker("escalations", self.escalator.escalate, every=SWEEP, wake="escalations"),
            Worker("follow-ups", self.escalator.miss_follow_up, every=SWEEP, wake="follow-ups"),
            Worker("on-call", self.auditor.refresh, every=timedelta(seconds=5), wake="on-call"),
            Worker("auditor", self.auditor.look, every=auditor.EVERY),
        )
        self._workers = [WorkerLoop(each, self.database) for each in loops]
        for each in self._workers:
            each.start()

    def _due(self, name: str) -> bool:
        if name == "on-call":
            return self.copy.version != self._plan.version
        return name == "auditor" or self._server.due(name, self._loop.time() + self._ahead())

    def call(self, work: Callable[[Replica], Awaitable[T]]) -> asyncio.Future[T]:
        """An RPC to this replica, from outside. Never answered where the replica dies before."""
        answer: asyncio.Future[T] = self._loop.create_future()

        async def serve() -> None:
            try:
                result = await work(self)
            except Exception as error:  # noqa: BLE001 - the caller gets it
                self._loop.at(0.001, self._loop.outside, _fail, answer, error)
                return
            self._loop.at(0.001, self._loop.outside, _settle, answer, result)

        if self.owner.alive:
            self._loop.spawn(self.owner, serve())
        return answer


def _settle(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
