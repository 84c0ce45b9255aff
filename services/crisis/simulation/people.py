"""Who calls for help and who helps: they send signals, again where no answer comes, and do what is asked or do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis.acceptance import Signal
from haven_crisis.domain import commands
from haven_crisis.domain.alerts import Alert, Entry, Limits, State
from haven_crisis.domain.escalation import LAST_RESORT_ID
from haven_crisis.domain.rules import RuleBroken
from haven_crisis.domain.severity import Severity
from haven_crisis.store.pages import Round
from haven_kit import ids
from haven_kit.database import Tx
from haven_kit.identity import system
from simulation.alerts import FollowUps
from simulation.replica import Replica

T = TypeVar("T")
LIMITS = Limits(lease=timedelta(seconds=15), close_within=timedelta(seconds=20))
ANSWER_WITHIN = timedelta(seconds=5)
PATIENCE_S = 3.0
"""How long a caller waits for an answer before they ask another replica."""
CALLS = (
    (pb.SIGNAL_SOURCE_HELP_BUTTON, 0),
    (pb.SIGNAL_SOURCE_HELP_BUTTON, 0),
    (pb.SIGNAL_SOURCE_FACILITATOR, 0),
    (pb.SIGNAL_SOURCE_CLINICIAN, pb.SIGNAL_LEVEL_IMMEDIATE),
    (pb.SIGNAL_SOURCE_CHECK_IN_TREND, pb.SIGNAL_LEVEL_ELEVATED),
    (pb.SIGNAL_SOURCE_DRILL, 0),
)
"""Where calls come from, and how severe who sends them judges them to be."""


class People:
    """Everybody outside. `accepted` is told of each signal that was answered."""

    def __init__(
        self,
        random: Random,
        replicas: Callable[[], Sequence[Replica]],
        accepted: Callable[[str, str], None],
        note: Callable[..., None],
    ) -> None:
        self._random = random
        self._replicas = replicas
        self._accepted = accepted
        self._note = note
        self._mind: dict[tuple[str, str, int], bool] = {}
        self._busy: set[tuple[str, str]] = set()
        self.diligence = random.choice((0.0, 0.3, 0.7, 1.0))
        """How many pages are answered."""

    async def signal(self, at: float, signal: Signal, name: str) -> None:
        """Somebody calls for help at that time, and calls again until they are answered."""
        await asyncio.sleep(at)
        self._note("signal", name, signal.signal_id, signal.person_id)

        async def work(replica: Replica) -> Any:
            async with replica.database.transaction(system("crisis/caller")) as tx:
                return await replica.acceptance.accept(tx, signal)

        found = await self._insist(work, 40)
        if found is not None:
            self._note("accepted", name, found.signal_id, found.alert_id)
            self._accepted(found.signal_id, found.alert_id)

    async def paged(self, responder: str, alert_id: str, cycle: int) -> None:
        """A page reached somebody. They answer, or do not; who answers does some of what comes next."""
        mind = (responder, alert_id, cycle)
        if mind not in self._mind:
            self._mind[mind] = responder != LAST_RESORT_ID and self._random.random() < self.diligence
        if not self._mind[mind] or (responder, alert_id) in self._busy:
            return
        self._busy.add((responder, alert_id))
        try:
            await self._help(responder, alert_id)
        finally:
            self._busy.discard((responder, alert_id))

    async def _help(self, who: str, alert_id: str) -> None:
        random = self._random
        await asyncio.sleep(random.choice((0.0, 0.1, 0.2, 2.0, 6.0)) + random.random())
        if not await self._do(who, alert_id, "acknowledge"):
            return
        if random.random() < 0.1:
            await asyncio.sleep(random.random() * 3)
            await self._do(who, alert_id, "reassign")
            return
        if random.random() < 0.3:
            return  # asleep again: the lease runs out
        await asyncio.sleep(random.random() * 12)
        if random.random() < 0.2:
            await self._do(who, alert_id, "severity")
        if not await self._do(who, alert_id, "contact"):
            return
        if random.random() < 0.3:
            return
        await asyncio.sleep(random.random() * 12)
        await self._do(who, alert_id, "stabilise")
        await self._do(who, alert_id, "close")

    async def _do(self, who: str, alert_id: str, name: str) -> bool:
        chance = self._random.random()

        async def work(replica: Replica) -> bool:
            async with replica.database.transaction(system(who)) as tx:
                return await self._command(replica, tx, who, alert_id, name, chance)

        done = await self._insist(work, 4)
        self._note("did" if done else "could not", name, who, alert_id)
        return bool(done)

    async def _command(self, replica: Replica, tx: Tx, who: str, alert_id: str, name: str, chance: float) -> bool:
        if name == "reassign":
            await replica.copy.read(tx)
        held = await replica.records.alerts.get(tx, alert_id, lock=True)
        other = sorted(replica.copy.book.reachable)
        to = other[int(chance * len(other))] if other else ""
        try:
            entries = self._entries(held, who, name, tx, to)
        except RuleBroken:
            return False
        after = await replica.records.alerts.add(tx, replica.parts.cipher, held, entries)
        if name == "reassign" and entries:
            of = Round(after.alert_id, after.cycle, after.stage, after.drill, after.raised_at, "")
            await replica.pager.page(tx, of, replica.pager.drafts([to], after.severity))
        if after.state is State.CLOSED and after.follow_up_id:
            due_at = tx.now + timedelta(seconds=4 + 20 * chance)
            follow_ups = replica.records.follow_ups
            if isinstance(follow_ups, FollowUps):
                await follow_ups.create(tx, after.follow_up_id, alert_id, after.person_id, who, due_at)
        return True

    def _entries(self, alert: Alert, who: str, name: str, tx: Tx, to: str) -> Sequence[Entry]:
        now = tx.now
        match name:
            case "acknowledge":
                return commands.acknowledge(alert, who, now, LIMITS)
            case "reassign":
                return commands.reassign(alert, who, [to], now, ANSWER_WITHIN) if to else []
            case "severity":
                return commands.change_severity(alert, who, Severity.ELEVATED, now)
            case "contact":
                return commands.contact(alert, who, "phone", True, now, LIMITS)
            case "stabilise":
                return commands.stabilise(alert, who, now, LIMITS)
            case _:
                return commands.close(alert, who, ids.new_id(), now + timedelta(seconds=20), now)

    async def _insist(self, work: Callable[[Replica], Awaitable[T]], times: int) -> T | None:
        """Ask one replica after another until one answers."""
        for _ in range(times):
            alive = self._replicas()
            if alive:
                replica = alive[int(self._random.random() * len(alive))]
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        return await replica.call(work)
                except Exception as error:  # noqa: BLE001 - a replica that died, a database that is away
                    self._note("no answer", type(error).__name__)
            await asyncio.sleep(0.3)
        return None
