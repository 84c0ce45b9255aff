"""Connections that are opened when they are needed, and kept. Whoever waits longest is served first.

SQLAlchemy's own pool would cost a change of greenlets for each connection taken and each given back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from haven_kit.errors import Overloaded

WAIT_S = 5.0
"""How long to wait for a connection while all are in use."""


@dataclass(frozen=True, slots=True)
class Held:
    """A connection, as SQLAlchemy and as the driver see it."""

    core: AsyncConnection
    driver: asyncpg.Connection


class Pool:
    """At most `size` connections of an engine that pools none itself."""

    def __init__(self, engine: AsyncEngine, size: int) -> None:
        self._engine = engine
        self._room = asyncio.Semaphore(size)
        self._free: list[Held] = []

    async def take(self) -> Held:
        """A connection that is open; `give` it back or `drop` it. Raises Overloaded where none came free in time."""
        await self._admit()
        try:
            while self._free:
                held = self._free.pop()
                if not held.driver.is_closed():
                    return held
                # It was cut while nobody used it: the server restarted, say.
                await _close(held)
            return await self._open()
        except BaseException:
            self._room.release()
            raise

    def give(self, held: Held) -> None:
        """Give back a connection that can be used again."""
        self._free.append(held)
        self._room.release()

    async def drop(self, held: Held) -> None:
        """Give back a connection that cannot be used again."""
        try:
            await _close(held)
        finally:
            self._room.release()

    async def close(self) -> None:
        """Close those that nobody uses."""
        while self._free:
            await _close(self._free.pop())

    async def _admit(self) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(WAIT_S):
                await self._room.acquire()
        except TimeoutError:
            raise Overloaded(1.0, "There is too much to do at the moment. Please try again.") from None

    async def _open(self) -> Held:
        core = await self._engine.connect()
        driver: Any = (await core.get_raw_connection()).driver_connection
        return Held(core, driver)


async def _close(held: Held) -> None:
    if not held.driver.is_closed():
        held.driver.terminate()
    await held.core.invalidate()
    await held.core.close()
