"""The database and the unit of work.

One transaction, one truth: the edge (an RPC, a reaction, a worker's step) opens a `Tx` and owns its one commit. Events,
audit entries, the idempotency record and the rows that a transaction gathers are written by one statement just before
the commit. Round trips are what a command costs: BEGIN is sent with the first statement that needs it, and a
transaction of one statement is that statement alone.

SQLAlchemy Core runs on the same connection as plain SQL through the driver; hot paths use the latter, at about half the
cost (docs/decisions/0004-sql.md).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import asyncpg
from google.protobuf.message import Message
from sqlalchemy import Executable
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from haven_kit import contract, ids, telemetry
from haven_kit.clock import Clock
from haven_kit.errors import HavenError, Unavailable
from haven_kit.identity import Principal, system
from haven_kit.pool import Pool
from haven_kit.postgres import DIALECT, Address
from haven_kit.wake import Wake

STATEMENT_TIMEOUT_MS = 10_000
ANSWER_TIMEOUT_S = 12.0
"""After which a server that says nothing, not even that the statement took too long, counts as gone."""
IDLE_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_S = 2.0

_OUTBOX = """INSERT INTO outbox (event_id, key, subject, payload, traceparent, occurred_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::timestamptz[])"""
_AUDIT = """INSERT INTO audit_entry
(entry_id, at, principal_id, role, via, action, seen_as, person_id, break_glass, trace_id)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
$8::text[], $9::boolean[], $10::text[])"""
_REMEMBER = """INSERT INTO idempotency (principal_id, method, key, request_hash, response, answered_at)
VALUES ($1, $2, $3, $4, $5, $6)"""

# What asyncpg raises when the server is not there, as opposed to when it objects to a statement.
_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # A connection that broke amid an answer: the driver's protocol no longer knows where it is.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    ConnectionError,
    TimeoutError,
    OSError,
)
_PLACE = re.compile(r"\$(\d+)")
_CHECK = system("readiness")
RETRYABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""Errors after which a whole transaction may simply be run again."""


_Part = tuple[str, Sequence[Any]]
"""A statement and its values."""


@dataclass(slots=True)
class _Gathered:
    events: list[tuple[Any, ...]] = field(default_factory=list)
    audit: list[tuple[Any, ...]] = field(default_factory=list)
    answer: tuple[Any, ...] | None = None
    rows: list[_Part] = field(default_factory=list)
    wakes: set[str] = field(default_factory=set)
    after: list[Callable[[], None]] = field(default_factory=list)

    def copy(self) -> _Gathered:
        """As it is now."""
        return _Gathered([*self.events], [*self.audit], self.answer, [*self.rows], set(self.wakes), [*self.after])


class Tx:
    """An open transaction. Only `Database.transaction` makes and commits one."""

    __slots__ = ("_begun", "_connection", "_driver", "_gathered", "now", "principal")

    def __init__(
        self, connection: AsyncConnection, driver: asyncpg.Connection, principal: Principal, now: datetime
    ) -> None:
        self._connection = connection
        self._driver = driver
        self._gathered = _Gathered()
        self._begun = False
        self.principal = principal
        self.now = now
        """When the transaction began, by the injected clock; UTC."""

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run a SQLAlchemy Core statement."""
        with reachable():
            await self._begin()
            return await self._connection.execute(statement, parameters)

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """Run plain SQL with `$1` places, and give its rows. For hot paths."""
        with reachable():
            await self._begin()
            rows: list[asyncpg.Record] = await self._driver.fetch(sql, *args)
        return rows

    async def fetch_one(self, sql: str, *args: Any) -> asyncpg.Record | None:
        """As `fetch`, for at most one row."""
        with reachable():
            await self._begin()
            return await self._driver.fetchrow(sql, *args)

    async def read(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """As `fetch`, for a SELECT that locks nothing: it does not begin the transaction.

        At READ COMMITTED each statement sees what is committed when it begins, inside a transaction or not.
        """
        with reachable():
            rows: list[asyncpg.Record] = await self._driver.fetch(sql, *args)
        return rows

    async def read_one(self, sql: str, *args: Any) -> asyncpg.Record | None:
        """As `read`, for at most one row."""
        with reachable():
            return await self._driver.fetchrow(sql, *args)

    def write(self, sql: str, *args: Any) -> None:
        """Gather a statement whose result nobody needs. The commit runs it with all else that is gathered.

        Statements gathered so do not see each other's rows, and must not change the same row.
        """
        self._gathered.rows.append((sql, args))

    async def last(self, sql: str, *args: Any) -> asyncpg.Record | None:
        """Run a statement together with all that is gathered; the transaction's last, as a rule. Its first row.

        Where nothing had begun the transaction, this is all of it: one round trip, durable when it returns. What
        follows is then a transaction of its own.
        """
        with reachable(), telemetry.client_span("commit", db__system__name="postgresql"):
            together, values = _together((sql, args), self._take())
            return await self._driver.fetchrow(together, *values)

    @contextmanager
    def as_of(self, at: datetime, principal: Principal) -> Iterator[None]:
        """What is recorded in the block happened at `at`, by `principal`: it is written only now."""
        held = self.now, self.principal
        self.now, self.principal = at, principal
        try:
            yield
        finally:
            self.now, self.principal = held

    async def _begin(self) -> None:
        if not self._begun:
            await self._driver.execute("BEGIN")
            self._begun = True

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that can fail, and be undone, on its own, with all that it gathered. Raises what the part raises."""
        with reachable():
            await self._begin()
        await self._driver.execute("SAVEPOINT part")
        kept = self._gathered.copy()
        try:
            yield
        except BaseException:
            self._gathered = kept
            await self._driver.execute("ROLLBACK TO SAVEPOINT part")
            raise
        await self._driver.execute("RELEASE SAVEPOINT part")

    def emit(self, event: Message, *, key: str, subject: str | None = None) -> str:
        """Tell the other services, once this commits. Returns the event's id.

        Events of one `key` (the aggregate's id) are published in the order told. `subject` is given only for
        an event whose contract leaves a part of its subject open.
        """
        row = self.event(event, key=key, subject=subject)
        self._gathered.events.append(row)
        return str(row[0])

    def event(self, event: Message, *, key: str, subject: str | None = None) -> tuple[Any, ...]:
        """The outbox row of an event, for a statement that decides whether to write it; then wake "relay".

        The columns: event_id, key, subject, payload, traceparent, occurred_at.
        """
        named = subject or contract.event_subject(type(event))
        if not named:
            raise TypeError(f"{event.DESCRIPTOR.full_name} is not an event")
        return ids.new_id(), key, named, event.SerializeToString(), telemetry.traceparent(), self.now

    def audit(self, person_id: str, *, action: str, seen_as: str, role: str = "", break_glass: bool = False) -> None:
        """Note that a record about the person was looked at or changed, here and for the access history they read."""
        who = self.principal
        self._gathered.audit.append(
            (ids.new_id(), self.now, who.id, role, who.service or "", action, seen_as, person_id,
             break_glass or who.break_glass, telemetry.trace_id())
        )  # fmt: skip

    def remember(self, method: str, key: str, request_hash: bytes, response: bytes) -> None:
        """Keep the answer to a command, so that the same key gives the same answer."""
        self._gathered.answer = (self.principal.id, method, key, request_hash, response, self.now)

    def wake(self, name: str) -> None:
        """Wake the named worker, on this replica and the others, once this commits."""
        self._gathered.wakes.add(name)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this once the commit is durable. It must not fail and not wait."""
        self._gathered.after.append(call)

    @property
    def writes(self) -> bool:
        """Whether anything was gathered that the commit has to write."""
        gathered = self._gathered
        return bool(gathered.rows or gathered.events or gathered.audit or gathered.answer)

    def committed(self, wake: Wake) -> None:
        """Call and wake what waited for the commit; pages go before events and watchers."""
        for call in self._gathered.after:
            call()
        for name in self._gathered.wakes:
            wake.wake(name)

    async def commit(self) -> None:
        """Write what was gathered, and commit. Only the kit calls this."""
        if not self.writes:
            if self._begun:
                await self._driver.execute("COMMIT")
            return
        with telemetry.client_span("commit", db__system__name="postgresql"):
            first, *others = self._take()
            sql, args = _together(first, others)
            await self._driver.execute(sql, *args)
            if self._begun:
                await self._driver.execute("COMMIT")

    def _take(self) -> list[_Part]:
        gathered = self._gathered
        parts, gathered.rows = gathered.rows, []
        if gathered.events:
            parts.append((_OUTBOX, [list(column) for column in zip(*gathered.events, strict=True)]))
            gathered.wakes.add("relay")
            gathered.events = []
        if gathered.audit:
            parts.append((_AUDIT, [list(column) for column in zip(*gathered.audit, strict=True)]))
            gathered.audit = []
        if gathered.answer:
            parts.append((_REMEMBER, gathered.answer))
            gathered.answer = None
        return parts


def _together(main: _Part, others: Sequence[_Part]) -> _Part:
    """One statement for several: a round trip costs more than the inserts. Its rows are those of `main`."""
    sql, args = main
    if not others:
        return main
    values = list(args)
    named: list[str] = []
    for index, (other, its) in enumerate(others):
        named.append(f"part{index} AS ({_shifted(other, len(values))})")
        values.extend(its)
    separator = ", " if sql.startswith("WITH ") else " "
    return f"WITH {', '.join(named)}{separator}{sql.removeprefix('WITH ')}", values


@cache
def _shifted(sql: str, by: int) -> str:
    return _PLACE.sub(lambda place: f"${int(place[1]) + by}", sql)


class Database:
    """A service's own database: a pool of connections and the one way to open a transaction."""

    def __init__(
        self, url: str, *, clock: Clock, pool_size: int = 10, application: str = "haven", wake: Wake | None = None
    ) -> None:
        self.clock = clock
        self.url = url
        self.address = Address(url)
        self.wake = wake or Wake(self.address)
        self._beside: list[Database] = []
        settings = {
            "application_name": application,
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": str(IDLE_TIMEOUT_MS),
            "timezone": "UTC",
        }
        self._engine: AsyncEngine = create_async_engine(
            DIALECT,
            # Tx begins and commits by itself, so that Core and plain SQL share one transaction.
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            hide_parameters=True,
            async_creator=lambda: self.address.connect(
                timeout=CONNECT_TIMEOUT_S, command_timeout=ANSWER_TIMEOUT_S, settings=settings
            ),
        )
        self._pool = Pool(self._engine, pool_size)

    def beside(self, pool_size: int, application: str) -> Database:
        """The same database through a pool of its own, for work that must not queue behind any other. It wakes the
        same workers, and is closed with this one."""
        self._beside.append(
            Database(self.url, clock=self.clock, pool_size=pool_size, application=application, wake=self.wake)
        )
        return self._beside[-1]

    @asynccontextmanager
    async def transaction(self, principal: Principal) -> AsyncIterator[Tx]:
        """A transaction that commits when the block ends and rolls back when it raises.

        Raises Unavailable when the database cannot be reached; then nothing was changed, unless the connection was lost
        during the commit itself, which only an idempotency key can tell. Raises Overloaded where too many wait.
        """
        with reachable():
            held = await self._pool.take()
        whole = False
        try:
            tx = Tx(held.core, held.driver, principal, self.clock.now())
            try:
                yield tx
                with reachable():
                    await tx.commit()
                whole = True
            except BaseException:
                whole = not held.driver.is_closed() and await asyncio.shield(_rolled_back(held.driver))
                raise
        finally:
            if whole:
                self._pool.give(held)
            else:  # a statement was cut off: nobody knows what state the connection is in
                await asyncio.shield(self._pool.drop(held))
        tx.committed(self.wake)

    async def reachable(self, timeout: float = 1.0) -> bool:
        """Whether the database answers within the given seconds."""
        try:
            async with asyncio.timeout(timeout), self.transaction(_CHECK) as tx:
                await tx.read("SELECT 1")
        except (HavenError, SQLAlchemyError, *_GONE):
            return False
        return True

    async def close(self) -> None:
        """Give all connections back."""
        for each in self._beside:
            await each.close()
        await self.wake.close()
        await self._pool.close()
        await self._engine.dispose()


async def _rolled_back(driver: asyncpg.Connection) -> bool:
    try:
        await driver.execute("ROLLBACK", timeout=CONNECT_TIMEOUT_S)
    except (asyncpg.PostgresError, *_GONE):
        return False
    return True


class reachable:  # noqa: N801 - reads as a statement
    """Turns a lost database into Unavailable, and leaves every other error as it is."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        cause = driver_error(error)
        if isinstance(cause, _GONE):
            raise Unavailable("The record store") from error
        if isinstance(cause, asyncpg.PostgresError) and cause is not error:
            # Callers name driver errors (a broken constraint, say); the wrapper only hides them.
            raise cause from error


def driver_error(error: BaseException | None) -> BaseException | None:
    """The driver's own error behind one of SQLAlchemy's."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error
