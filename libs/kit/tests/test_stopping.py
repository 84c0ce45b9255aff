"""Whatever a library makes of a cancellation, a service that is to stop does."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from haven_kit import tasks
from haven_kit.testing import eventually

from .test_testing import HEARS, TELLS

STOPS_S = 30


async def test_a_task_that_missed_its_cancellation_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "AGAIN_S", 0.01)
    missed: list[str] = []

    async def goes_on() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if len(missed) == 2:
                    raise
                missed.append("once")

    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise TimeoutError

    started = [asyncio.create_task(goes_on()), asyncio.create_task(fails())]
    await asyncio.sleep(0)
    async with asyncio.timeout(STOPS_S):
        await tasks.end(*started)
    assert len(missed) == 2
    assert all(each.done() for each in started)


async def test_a_service_stops_though_a_message_came_with_the_cancellation(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `asyncio.wait_for` before Python 3.12 does it, on which the client of NATS waits for messages."""
    swallowed: list[str] = []
    waits: list[str] = []
    next_msg = Subscription.next_msg

    async def with_its_result(self: Subscription, timeout: float | None = 1.0) -> Msg:
        waits.append("")
        try:
            return await next_msg(self, timeout)
        except asyncio.CancelledError:
            if swallowed:
                raise
            swallowed.append("")
            return Msg(self._conn, headers={"Status": "100"})

    monkeypatch.setattr(Subscription, "next_msg", with_its_result)
    await serve(TELLS)  # makes the stream that the other one reads
    running = await serve(HEARS)
    await eventually(lambda: waits)
    async with asyncio.timeout(STOPS_S):
        await running.stop()
    assert swallowed


async def test_a_service_stops_though_its_connection_cannot_be_closed_in_time(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listens = asyncio.Event()
    add_listener = asyncpg.Connection.add_listener

    async def noticed(self: asyncpg.Connection, *args: Any) -> None:
        await add_listener(self, *args)
        listens.set()

    async def late(self: asyncpg.Connection, *, timeout: float | None = None) -> None:
        self.terminate()
        raise TimeoutError

    monkeypatch.setattr(asyncpg.Connection, "add_listener", noticed)
    running = await serve(HEARS)
    async with asyncio.timeout(STOPS_S):
        await listens.wait()
        monkeypatch.setattr(asyncpg.Connection, "close", late)
        await running.stop()
