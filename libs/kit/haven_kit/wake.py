"""Waking workers: at once on this replica, and by NOTIFY on the others.

A NOTIFY inside a transaction makes commits queue behind one lock, so it is sent after the commit, on a connection of
its own, one for all that gathered meanwhile. A lost notification costs a sweep's wait, never the work.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

import asyncpg

from haven_kit import logs, tasks
from haven_kit.postgres import Address

_CHANNEL = "haven_wake"
_RETRY_S = 0.5
_GATHER_S = 0.005
"""The least time between two notifications: under load one tells of many commits."""
_log = logs.get(__name__)


class Wake:
    """The bells of one service's workers."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._bells: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._unsent: set[str] = set()
        self._something_unsent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen to, and tell, the other replicas."""
        self._task = asyncio.create_task(self._carry(), name="wake")

    def ring(self, name: str) -> None:
        """Ring the named bell on this replica."""
        self._bells[name].set()

    def wake(self, name: str) -> None:
        """Ring the named bell everywhere."""
        self.ring(name)
        self._unsent.add(name)
        self._something_unsent.set()

    async def wait(self, name: str, timeout: float) -> bool:
        """Wait for the bell, at most `timeout` seconds. Says whether it rang."""
        bell = self._bells[name]
        try:
            async with asyncio.timeout(timeout):
                await bell.wait()
        except TimeoutError:
            return False
        bell.clear()
        return True

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            await tasks.end(self._task)
            self._task = None

    async def _carry(self) -> None:
        while True:
            try:
                await self._carry_on_one_connection()
            except Exception as error:  # noqa: BLE001 - whatever ends the connection, a new one is made
                _log.warning("wake.connection_lost", error=type(error).__name__)
                await asyncio.sleep(_RETRY_S)

    async def _carry_on_one_connection(self) -> None:
        connection = await self._address.connect(timeout=2)
        try:
            await connection.add_listener(_CHANNEL, self._heard)
            for bell in self._bells.values():
                bell.set()  # what was rung while nobody listened
            while True:
                try:
                    async with asyncio.timeout(10):
                        await self._something_unsent.wait()
                except TimeoutError:
                    await connection.execute("SELECT 1")  # finds out that the server is gone
                    continue
                self._something_unsent.clear()
                names, self._unsent = self._unsent, set()
                await connection.execute(
                    "SELECT pg_notify($1, pg_backend_pid() || ' ' || name) FROM unnest($2::text[]) AS name",
                    _CHANNEL,
                    list(names),
                )
                await asyncio.sleep(_GATHER_S)
        finally:
            await asyncio.shield(_let_go(connection))

    def _heard(self, connection: object, _pid: int, _channel: str, payload: object) -> None:
        sender, _, name = str(payload).partition(" ")
        if not isinstance(connection, asyncpg.Connection) or sender != str(connection.get_server_pid()):
            self._bells[name].set()


async def _let_go(connection: asyncpg.Connection) -> None:
    """Close it, or cut it. Never raises: an error would take the place of a cancellation under way."""
    try:
        await connection.close(timeout=1)
    except Exception as error:  # noqa: BLE001 - see above; the driver has cut the connection by now
        _log.info("wake.connection_cut", error=type(error).__name__)
