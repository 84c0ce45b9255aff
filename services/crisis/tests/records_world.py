"""The same operations on PostgreSQL and on the simulation's model of it, and what each then holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from simulation.database import MemoryDatabase
from simulation.loop import VirtualLoop
from simulation.records import records
from simulation.rows import AlertRow, FollowUpRow, PageRow
from simulation.server import Rows, Server

from haven_crisis.records import POSTGRES, Records
from haven_crisis.store import alerts
from haven_kit.clock import FakeClock
from haven_kit.database import Database, Tx
from haven_kit.identity import system
from haven_kit.postgres import Address
from haven_kit.wake import Wake

Operation = Callable[[Tx, Records], Awaitable[Any]]
PRINCIPAL = system("crisis/contract")
BLOCKED = "blocked"


class Calm:
    """Nothing goes wrong."""

    def travel(self) -> float:
        return 0.001

    def fate(self) -> str:
        return ""

    def arrives(self) -> bool:
        return True


class Postgres:
    """The real one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._open: dict[int, tuple[Any, Tx]] = {}

    async def clear(self) -> None:
        async with self._database.transaction(PRINCIPAL) as tx:
            await tx.fetch("TRUNCATE signal, alert, timeline, page, gathering, follow_up, outbox CASCADE")
            for sequence in ("alert_turn", "drill_turn"):
                await tx.fetch(f"ALTER SEQUENCE {sequence} RESTART")

    async def begin(self, session: int) -> None:
        scope = self._database.transaction(PRINCIPAL)
        self._open[session] = (scope, await scope.__aenter__())

    async def run(self, session: int, work: Operation, waits: bool) -> Any:
        self._tasks[session] = asyncio.create_task(self._do(session, work))
        return await self.status(session, waits)

    async def _do(self, session: int, work: Operation) -> Any:
        if session in self._open:
            return await work(self._open[session][1], POSTGRES)
        async with self._database.transaction(PRINCIPAL) as tx:
            return await work(tx, POSTGRES)

    async def status(self, session: int, waits: bool) -> Any:
        """The result, the error, or that it waits for a lock, as the model says that it does.

        A session that goes on shows for a moment longer that it waits: where it should not, its result is waited for.
        """
        task = self._tasks[session]
        limit = time.monotonic() + 8
        while not task.done() and time.monotonic() < limit:
            await asyncio.wait({task}, timeout=0.005 if waits else limit - time.monotonic())
            under_way = [each for each in self._tasks.values() if not each.done()]
            if waits and task in under_way and await self._waiting() >= len(under_way):
                break
        return outcome(task) if task.done() else BLOCKED

    async def _waiting(self) -> int:
        async with self._database.transaction(PRINCIPAL) as tx:
            row = await tx.read_one(
                """SELECT count(*) AS found FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'"""
            )
        return int(row["found"]) if row is not None else 0

    async def end(self, session: int, commit: bool) -> None:
        scope, _ = self._open.pop(session)
        await ended(scope, commit)

    async def stop(self) -> None:
        """Leave nothing open."""
        for session in list(self._open):
            task = self._tasks.get(session)
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})
            await self.end(session, commit=False)
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def held(self) -> dict[str, Any]:
        async with self._database.transaction(PRINCIPAL) as tx:
            found = [alerts.of_row(row) for row in await tx.fetch(f"SELECT {alerts.COLUMNS} FROM alert")]
            lines = {each.alert_id: await alerts.entries(tx, each.alert_id) for each in found}
            pages = await tx.fetch(
                """SELECT alert_id::text, cycle, stage, responder_id, place, attempt, state, resent, due_at,
                lease_until, worker, traceparent, failure,
                (SELECT (lead.alert_id, lead.cycle, lead.stage, lead.responder_id, lead.place, lead.attempt)::text
                FROM page AS lead WHERE lead.page_id = page.lead) AS lead FROM page"""
            )
            floods = await tx.fetch("SELECT alert_id::text, origin, gathered FROM alert")
            turns = await tx.fetch("SELECT origin, responder_id, place, began_at FROM gathering")
            later = await tx.fetch(
                """SELECT follow_up_id::text, state, due_at, COALESCE(new_alert_id::text, '') AS new_alert_id
                FROM follow_up"""
            )
        return {
            "alerts": {each.alert_id: each for each in found},
            "lines": lines,
            "pages": sorted((tuple(row.values()) for row in pages), key=str),
            "floods": sorted(tuple(row.values()) for row in floods),
            "turns": sorted(tuple(row.values()) for row in turns),
            "follow_ups": sorted(tuple(row.values()) for row in later),
        }

    async def pages(self) -> list[tuple[tuple[Any, ...], str]]:
        async with self._database.transaction(PRINCIPAL) as tx:
            rows = await tx.fetch(
                "SELECT alert_id::text, cycle, stage, responder_id, place, attempt, page_id::text FROM page"
            )
        return sorted((tuple(row.values())[:-1], row["page_id"]) for row in rows)


class Model:
    """The simulation's."""

    def __init__(self, clock: FakeClock) -> None:
        self.loop = VirtualLoop(Random(0), fatal=AssertionError)
        self.server = Server(self.loop, Calm(), _nothing)
        self._records = records(lambda: 1)
        self._database = MemoryDatabase(
            self.server, self.loop.owner("one"), clock, Wake(Address("postgresql://nowhere"))
        )
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._open: dict[int, tuple[Any, Tx]] = {}

    def begin(self, session: int) -> None:
        scope = self._database.transaction(PRINCIPAL)
        self._open[session] = (scope, self._through(scope.__aenter__()))

    def run(self, session: int, work: Operation) -> Any:
        self._tasks[session] = self.loop.spawn(self._database.owner, self._do(session, work))
        return self.status(session)

    async def _do(self, session: int, work: Operation) -> Any:
        if session in self._open:
            return await work(self._open[session][1], self._records)
        async with self._database.transaction(PRINCIPAL) as tx:
            return await work(tx, self._records)

    def status(self, session: int) -> Any:
        self.loop.run(self.loop.time() + 0.1)
        task = self._tasks[session]
        return outcome(task) if task.done() else BLOCKED

    def end(self, session: int, commit: bool) -> None:
        scope, _ = self._open.pop(session)
        self._through(ended(scope, commit))

    def held(self) -> dict[str, Any]:
        tables = self.server.tables
        rows: list[AlertRow] = list(tables["alert"].values())
        pages: list[PageRow] = list(tables["page"].values())
        later: list[FollowUpRow] = list(tables["follow_up"].values())
        return {
            "alerts": {row.alert.alert_id: row.alert for row in rows},
            "lines": {
                row.alert.alert_id: [
                    tables["entry"][row.alert.alert_id, seq] for seq in range(1, row.alert.seq + 1)
                ]
                for row in rows
            },
            "pages": sorted(
                (
                    (*page.key, int(page.state), page.resent, page.due_at, page.lease_until, page.worker,
                     page.traceparent, page.failure, _written(tables["page"].get(page.lead)))
                    for page in pages
                ),
                key=str,
            ),
            "floods": sorted((row.alert.alert_id, row.origin, row.gathered) for row in rows),
            "turns": sorted((*way, began) for way, began in tables["gathering"].items() if began is not None),
            "follow_ups": sorted((row.follow_up_id, row.state, row.due_at, row.new_alert_id) for row in later),
        }  # fmt: skip

    def pages(self) -> list[tuple[tuple[Any, ...], str]]:
        return sorted((row.key, row.page_id) for row in self.server.tables["page"].values())

    def _through(self, work: Awaitable[Any]) -> Any:
        async def whole() -> Any:
            return await work

        task = self.loop.spawn(self._database.owner, whole())
        self.loop.run(self.loop.time() + 0.1)
        return task.result()


def _written(lead: PageRow | None) -> str | None:
    """The key of a page as PostgreSQL writes a row."""
    return f"({','.join(map(str, lead.key))})" if lead is not None else None


async def ended(scope: Any, commit: bool) -> None:
    if commit:
        await scope.__aexit__(None, None, None)
        return
    try:
        await scope.__aexit__(RuntimeError, RuntimeError(), None)
    except RuntimeError:
        return


def outcome(task: asyncio.Task[Any]) -> Any:
    error = task.exception()
    return type(error).__name__ if error is not None else task.result()


def _nothing(changes: Rows) -> None:
    """Nobody watches."""
