"""The kit's database, on the model of the server: the same transactions, for the same code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import TypeVar

from haven_kit import database
from haven_kit.clock import Clock
from haven_kit.database import Tx
from haven_kit.identity import Principal
from haven_kit.wake import Wake
from simulation.loop import Owner
from simulation.server import Rows, Server, View

T = TypeVar("T")


class MemoryTx(Tx):
    """A transaction on the model. What it gathers, wakes and calls after the commit is the kit's own code."""

    __slots__ = ("_server", "_session")

    def __init__(self, server: Server, owner: Owner, principal: Principal, now: datetime) -> None:
        self._server = server
        self._session = server.connect(owner)
        self._gathered = database._Gathered()  # noqa: SLF001 - one and the same
        self._begun = False
        self.principal = principal
        self.now = now

    async def statement(self, work: Callable[[View], T]) -> T:
        """As `fetch`."""
        self._begun = True
        found: T = await self._server.run(self._session, work, commits=False)
        return found

    async def look(self, work: Callable[[View], T]) -> T:
        """As `read`."""
        found: T = await self._server.run(self._session, work, commits=not self._begun)
        return found

    async def final(self, work: Callable[[View], T]) -> T:
        """As `last`."""
        self._take()
        found: T = await self._server.run(self._session, work, commits=not self._begun)
        return found

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """As the kit's."""
        await self.statement(lambda _: None)
        session = self._session
        gathered = self._gathered.copy()
        kept: Rows = {table: dict(rows) for table, rows in session.changes.items()}
        try:
            yield
        except GeneratorExit:  # its replica died long ago
            raise
        except BaseException:
            self._gathered = gathered
            session.changes = kept
            session.aborted = False
            await self.statement(lambda _: None)
            raise

    async def commit(self) -> None:
        """As the kit's."""
        if self._begun or self.writes:
            self._take()
            await self._server.run(self._session, None, commits=True)

    def roll_back(self) -> None:
        """Nothing of it remains."""
        self._server.close(self._session)

    def committed(self, wake: Wake) -> None:
        """As the kit's, in an order that is the same each time."""
        gathered = self._gathered
        for call in gathered.after:
            call()
        for name in sorted(gathered.wakes):
            wake.wake(name)


class _Transaction:
    """Opens and ends a transaction. A replica that dies in it does neither."""

    def __init__(self, held: MemoryDatabase, principal: Principal) -> None:
        self._held = held
        self._principal = principal

    async def __aenter__(self) -> Tx:
        held = self._held
        self._tx = MemoryTx(held.server, held.owner, self._principal, held.clock.now())
        return self._tx

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is GeneratorExit or not self._held.owner.alive:
            return
        try:
            if kind is None:
                await self._tx.commit()
        finally:
            if self._held.owner.alive:
                self._tx.roll_back()
        if kind is None:
            self._tx.committed(self._held.wake)


class MemoryDatabase(database.Database):
    """A replica's way to the model of the server."""

    def __init__(self, server: Server, owner: Owner, clock: Clock, wake: Wake) -> None:
        self.server = server
        self.owner = owner
        self.clock = clock
        self.wake = wake
        self.url = "memory"

    def transaction(  # type: ignore[override] # the kit's own is a generator's; nobody asks for more than this
        self, principal: Principal
    ) -> AbstractAsyncContextManager[Tx]:
        """As the kit's."""
        return _Transaction(self, principal)

    async def reachable(self, timeout: float = 1.0) -> bool:
        """As the kit's."""
        return True

    async def close(self) -> None:
        """There is nothing to let go of."""

    def __repr__(self) -> str:
        return f"MemoryDatabase({self.owner.name})"


def memory(tx: Tx) -> MemoryTx:
    """The transaction as what it is. Raises TypeError for one of the kit's own."""
    if not isinstance(tx, MemoryTx):
        raise TypeError("a transaction of another database")
    return tx
