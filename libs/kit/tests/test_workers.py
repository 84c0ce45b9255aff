"""Background loops: woken, swept, outliving failures, alone where they must be, and stopped cleanly."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from haven_kit import workers
from haven_kit.database import Database
from haven_kit.errors import Unavailable
from haven_kit.identity import system
from haven_kit.testing import eventually
from haven_kit.workers import Worker, WorkerLoop

HOUR = timedelta(hours=1)


async def test_a_wake_runs_a_step_at_once_and_more_runs_another(kit_db: Database) -> None:
    steps: list[int] = []

    async def step() -> bool:
        steps.append(len(steps))
        return len(steps) == 2

    loop = WorkerLoop(Worker("w", step, every=HOUR, wake="bell"), kit_db)
    loop.start()
    await eventually(lambda: len(steps) == 1 or len(steps) == 3)
    async with kit_db.transaction(system("test")) as tx:
        tx.wake("bell")
    await eventually(lambda: len(steps) >= 3)
    await loop.stop(1)


async def test_a_failing_step_does_not_end_the_loop(kit_db: Database) -> None:
    tries = 0

    async def step() -> bool:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ValueError("not yet")
        return False

    loop = WorkerLoop(Worker("w", step, every=HOUR), kit_db)
    loop.start()
    await eventually(lambda: tries == 3)
    await loop.stop(1)


async def test_an_exclusive_worker_runs_on_one_replica_and_moves_when_that_one_stops(kit_db: Database) -> None:
    ran: list[str] = []

    def worker(name: str) -> WorkerLoop:
        async def step() -> bool:
            ran.append(name)
            return False

        return WorkerLoop(Worker("alone", step, every=timedelta(milliseconds=20), exclusive=True), kit_db)

    first, second = worker("first"), worker("second")
    first.start()
    await eventually(lambda: "first" in ran)
    second.start()
    before = len(ran)
    await eventually(lambda: len(ran) > before + 5)
    assert set(ran) == {"first"}
    await first.stop(1)
    await eventually(lambda: "second" in ran)
    await second.stop(1)


async def test_stopping_lets_the_step_under_way_finish(kit_db: Database) -> None:
    began, finish, finished = asyncio.Event(), asyncio.Event(), False

    async def step() -> bool:
        nonlocal finished
        began.set()
        await finish.wait()
        finished = True
        return True

    loop = WorkerLoop(Worker("w", step, every=HOUR), kit_db)
    loop.start()
    await began.wait()
    stopping = asyncio.create_task(loop.stop(10))
    finish.set()
    await stopping
    assert finished


async def test_a_replica_that_fails_leaves_its_work_to_another(kit_db: Database) -> None:
    ran: list[str] = []

    def worker(name: str, *, broken: bool) -> WorkerLoop:
        async def step() -> bool:
            ran.append(name)
            if broken:
                raise Unavailable("NATS")
            return False

        return WorkerLoop(Worker("passed-on", step, every=timedelta(milliseconds=20), exclusive=True), kit_db)

    first, second = worker("first", broken=True), worker("second", broken=False)
    first.start()
    await eventually(lambda: "first" in ran)
    second.start()
    await eventually(lambda: "second" in ran)
    await first.stop(1)
    await second.stop(1)


async def test_a_lock_that_the_server_took_back_is_noticed(kit_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LOCK_CHECK_S", 0.05)
    steps = 0

    async def step() -> bool:
        nonlocal steps
        steps += 1
        return False

    loop = WorkerLoop(Worker("cut", step, every=timedelta(milliseconds=20), exclusive=True), kit_db)
    loop.start()
    await eventually(lambda: steps > 0)
    async with kit_db.transaction(system("test")) as tx:
        cut = await tx.fetch(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'haven-lock' AND datname = current_database()"""
        )
    assert len(cut) == 1
    before = steps
    await eventually(lambda: steps > before + 3)
    await loop.stop(1)


async def test_a_database_that_is_away_is_waited_for_and_no_failure(
    kit_db: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, told = asyncio.Event(), []

    async def step() -> bool:
        ran.set()
        return False

    async def refused(*_: object, **__: object) -> None:
        told.append("refused")
        raise ConnectionRefusedError

    loop = WorkerLoop(Worker("waits", step, every=timedelta(milliseconds=20), exclusive=True), kit_db)
    with monkeypatch.context() as patched:
        patched.setattr("haven_kit.workers.asyncpg.connect", refused)
        loop.start()
        await eventually(lambda: len(told) > 1)
    await ran.wait()
    await loop.stop(1)
    out = capsys.readouterr().out
    assert "worker.waiting" in out
    assert "worker.failed" not in out
