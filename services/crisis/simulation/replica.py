"""One replica of the service: the real pager, escalator, acceptance, auditor and loops, on the model's records."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
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
from simulation.loop import START, Handle, Owner, VirtualLoop
from simulation.plan import Copy, Plan
from simulation.server import Server
from simulation.weather import Weather

T = TypeVar("T")
SWEEP = timedelta(seconds=1)
HEARD = frozenset({"pages", "gathered", "escalations", "follow-ups", "on-call"})
"""The bells that somebody waits for here: streams and the relay of events are no part of the model."""


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


@dataclass(slots=True)
class _Sleeper:
    """A worker that waits for its bell. It also looks `every` so many seconds after it `began` to wait."""

    future: asyncio.Future[bool]
    began: float
    every: float
    timer: Handle | None = None
    wakes_at: float = math.inf

    def next_look(self, now: float, due: float) -> float:
        """When it looks first after `now` and finds what is due."""
        passed = math.floor((now - self.began) / self.every) + 1
        return self.began + self.every * max(passed, math.ceil((due - self.began) / self.every))


class Bells(Wake):
    """The kit's bells, without a database behind them.

    A sweep that would find nothing is left out: it changes nothing, and there are many. `due` says at which time of the
    loop one would find something, and `look` is called whenever that changes.
    """

    def __init__(self, loop: VirtualLoop, owner: Owner, due: Callable[[str], float], ring_others: Any) -> None:
        self._loop = loop
        self._owner = owner
        self._due = due
        self._ring_others = ring_others
        self._rung: set[str] = set()
        self._asleep: dict[str, _Sleeper] = {}

    def ring(self, name: str) -> None:
        """Ring the named bell on this replica."""
        if name in self._asleep:
            self._wake_up(name, rang=True)
        else:
            self._rung.add(name)

    def wake(self, name: str) -> None:
        """Ring the named bell everywhere."""
        if name in HEARD:
            self.ring(name)
            self._ring_others(self._owner, name)

    async def wait(self, name: str, timeout: float) -> bool:
        """As the kit's, but for sweeps that would find nothing."""
        if name in self._rung:
            self._rung.discard(name)
            return True
        sleeper = self._asleep[name] = _Sleeper(self._loop.create_future(), self._loop.time(), timeout)
        self._set(name, sleeper)
        return await sleeper.future

    def look(self, names: Iterable[str] | None = None) -> None:
        """What is due for these, or for all, is another, or the time is."""
        for name in self._asleep if names is None else names:
            sleeper = self._asleep.get(name)
            if sleeper is not None:
                self._set(name, sleeper)

    def _set(self, name: str, sleeper: _Sleeper) -> None:
        due = self._due(name)
        now = self._loop.time()
        wakes_at = sleeper.next_look(now, due) if due < math.inf else math.inf
        if wakes_at == sleeper.wakes_at:
            return
        if sleeper.timer is not None:
            sleeper.timer.cancel()
        sleeper.wakes_at = wakes_at
        wakes = wakes_at < math.inf
        sleeper.timer = self._loop.at(wakes_at - now, self._owner, self._wake_up, name) if wakes else None

    def _wake_up(self, name: str, *, rang: bool = False) -> None:
        sleeper = self._asleep.pop(name)
        if sleeper.timer is not None:
            sleeper.timer.cancel()
        sleeper.future.set_result(rang)


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

    def _due(self, name: str) -> float:
        if name == "on-call":
            return math.inf if self.copy.version == self._plan.version else 0.0
        first = self._server.first
        if name == "auditor":
            return min(first.values(), default=math.inf) + auditor.GRACE.total_seconds() - self._ahead()
        return first.get(name, math.inf) - self._ahead()

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
