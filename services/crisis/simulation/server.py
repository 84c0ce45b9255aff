"""A model of PostgreSQL at READ COMMITTED, as far as the crisis path leans on it.

Sessions, transactions that commit or leave nothing, row locks (shared and exclusive) with SKIP LOCKED, unique keys that
make an inserter wait for another's, deadlocks, statements that give up, connections that are lost before or after a
statement took effect. A statement runs at one moment, on what is committed then; where it has to wait for a lock it is
run again once the lock is free, keeps the locks that it had, and sees the rows that there were, as they are now.
`tests/test_records.py` holds it against the real one.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg

from haven_kit.errors import Unavailable
from simulation.loop import START, Owner, VirtualLoop

Key = tuple[Any, ...]
Rows = dict[str, dict[Any, Any]]
Work = Callable[["View"], Any]
STATEMENT_TIMEOUT_S = 10.0
TABLES = ("signal", "alert", "open", "entry", "of_signal", "page", "page_key", "follow_up", "gathering")

WORKERS = ("pages", "gathered", "escalations", "follow-ups")


class Weather(Protocol):
    """What may go wrong between a replica and the server."""

    def travel(self) -> float:
        """Seconds until a statement arrives."""

    def fate(self) -> str:
        """`lost before`, `lost after`, or nothing."""

    def arrives(self) -> bool:
        """Whether what a dying client had sent still arrives."""


class Blocked(Exception):
    """A statement needs a lock that others hold."""

    def __init__(self, holders: set[Session]) -> None:
        super().__init__()
        self.holders = holders


class LostConnection(Unavailable):
    """As the kit says it."""

    def __init__(self) -> None:
        super().__init__("The record store")


@dataclass(eq=False, slots=True)
class Session:
    """One connection, and the transaction open on it."""

    owner: Owner
    changes: Rows = field(default_factory=dict)
    locks: dict[Key, bool] = field(default_factory=dict)
    """Key → whether it is exclusive."""
    waits_for: set[Session] = field(default_factory=set)
    lost: bool = False
    aborted: bool = False


@dataclass(eq=False, slots=True)
class _Request:
    session: Session
    work: Work | None
    commits: bool
    future: asyncio.Future[Any]
    fate: str
    gives_up_at: float
    seen: dict[str, set[Any]] | None = None
    """The keys of rows that its snapshot has, once it had to wait: what is inserted meanwhile is not for it."""
    known: dict[str, Any] = field(default_factory=dict)
    """What it keeps, when it is run again, from the first time."""


class View:
    """What one statement sees and does."""

    __slots__ = ("_committed", "_known", "_seen", "_server", "_session", "_writes")

    def __init__(
        self, server: Server, session: Session, seen: dict[str, set[Any]] | None, known: dict[str, Any]
    ) -> None:
        self._seen = seen
        self._known = known
        self._server = server
        self._session = session
        self._committed = server.tables
        self._writes: Rows = {}

    def get(self, table: str, key: Any) -> Any:
        """One row, or None."""
        for layer in (self._writes, self._session.changes, self._committed):
            rows = layer.get(table)
            if rows is not None and key in rows:
                return rows[key]
        return None

    def once(self, name: str, find: Callable[[], Any]) -> Any:
        """What was found the first time, when the statement is run again: what its snapshot has, what it has drawn."""
        if name not in self._known:
            self._known[name] = find()
        return self._known[name]

    def draw(self, sequence: str) -> int:
        """The next number of a sequence, which is not given back whatever becomes of the transaction."""
        self._server.drawn[sequence] += 1
        return self._server.drawn[sequence] - 1

    def scan(self, table: str) -> Iterator[Any]:
        """All rows."""
        return self._rows(table, self._committed[table])

    def open_pages(self) -> Iterator[Any]:
        """Those of all pages that are open."""
        return (page for page in self._rows("page", self._server.open_pages) if page.open)

    def _rows(self, table: str, rows: dict[Any, Any]) -> Iterator[Any]:
        changed = self._session.changes.get(table)
        if self._seen is not None:
            seen = self._seen[table]
            rows = {key: row for key, row in rows.items() if key in seen}
        return iter(list(({**rows, **changed} if changed else rows).values()))

    def put(self, table: str, key: Any, row: Any) -> None:
        """Write a row, which must be locked."""
        if (table, key) not in self._session.locks:
            raise RuntimeError(f"{table} {key} is written without a lock")
        self._writes.setdefault(table, {})[key] = row

    def lock(self, table: str, key: Any, *, shared: bool = False, skip: bool = False) -> bool:
        """Lock a row or a unique key. False where another holds it and `skip` is given; raises Blocked without."""
        place = (table, key)
        session = self._session
        if session.locks.get(place, False) or (shared and place in session.locks):
            return True
        held = self._server.locks.get(place)
        if held:
            others = {each for each in held if each is not session and (not shared or each.locks[place])}
            if others:
                if skip:
                    return False
                raise Blocked(others)
        self._server.locks[place].add(session)
        session.locks[place] = not shared
        return True

    def insert(self, table: str, key: Any, row: Any) -> bool:
        """A new row of a unique key; False where there is one. Waits for whoever is about to insert it."""
        if self.get(table, key) is not None:
            return False
        self.lock(table, key)
        self.put(table, key, row)
        return True

    def done(self) -> None:
        """The statement succeeded: the transaction has its rows."""
        for table, rows in self._writes.items():
            self._session.changes.setdefault(table, {}).update(rows)


class Server:
    """The one database of all replicas. `committed` is told of every commit, with the rows that it changed."""

    def __init__(self, loop: VirtualLoop, weather: Weather, committed: Callable[[Rows], None]) -> None:
        self.loop = loop
        self.tables: Rows = {name: {} for name in TABLES}
        self.open_pages: dict[str, Any] = {}
        """Of the table of pages those that somebody is yet to send, or to note."""
        self.locks: defaultdict[Key, set[Session]] = defaultdict(set)
        self.drawn: Counter[str] = Counter()
        """How many numbers of each sequence are used."""
        self.commits = 0
        self.first: dict[str, float] = {}
        """The moment at which each worker first has something to do, by a clock that began with the loop's."""
        self.due_changed: Callable[[Iterable[str]], None] = lambda _: None
        """Told of the workers for whom `first` is another."""
        self._weather = weather
        self._committed = committed
        self._sessions: dict[Session, None] = {}
        self._waiting: list[_Request] = []

    def _first(self) -> dict[str, float]:
        held = self.tables["alert"]
        opened = self.open_pages.values()
        pages = [page.lease_until or page.due_at for page in opened]
        gathered = [page.due_at for page in opened if page.lease_until is None and held[page.alert_id].gathered]
        alerts = [row.alert.next_deadline for row in held.values()]
        late = [row.due_at for row in self.tables["follow_up"].values() if row.state == 1]
        found = (pages, gathered, [each for each in alerts if each is not None], late)
        return {name: (min(at) - START).total_seconds() for name, at in zip(WORKERS, found, strict=True) if at}

    def connect(self, owner: Owner) -> Session:
        """A connection of a replica."""
        session = Session(owner)
        self._sessions[session] = None
        return session

    async def run(self, session: Session, work: Work | None, *, commits: bool) -> Any:
        """Run a statement; `commits` ends the transaction with it. Raises Unavailable where the connection is lost."""
        if session.lost:
            raise LostConnection
        future = self.loop.create_future()
        travel = self._weather.travel()
        gives_up_at = self.loop.time() + travel + STATEMENT_TIMEOUT_S
        request = _Request(session, work, commits, future, self._weather.fate(), gives_up_at)
        self.loop.at(travel, self.loop.server, self._arrive, request)
        return await future

    def close(self, session: Session) -> None:
        """The connection is closed, or the transaction is rolled back: nothing of it remains."""
        self._sessions.pop(session, None)
        session.lost = True
        session.changes = {}
        self._release(session)

    def gone(self, owner: Owner, after: float) -> None:
        """A replica is gone; the server notices after so many seconds."""
        for session in [each for each in self._sessions if each.owner is owner]:
            if self._weather.arrives() and after == 0:
                # What it had sent before it died is in the server's buffer, and is run first.
                self.loop.at(0.002, self.loop.server, self.close, session)
            else:
                self.loop.at(after, self.loop.server, self.close, session)

    def _arrive(self, request: _Request) -> None:
        session = request.session
        if session.lost or request.fate == "lost before":
            self.close(session)
            self._answer(request, None, LostConnection())
            return
        if session.aborted and not request.commits:
            self._answer(request, None, asyncpg.InFailedSQLTransactionError("the transaction is aborted"))
            return
        view = View(self, session, request.seen, request.known)
        try:
            result = request.work(view) if request.work is not None else None
        except Blocked as blocked:
            self._wait(request, blocked.holders)
            return
        except Exception as error:  # noqa: BLE001 - as a server would say it
            session.aborted = True
            self._answer(request, None, error)
            return
        session.waits_for = set()
        view.done()
        if request.commits:
            self._commit(session)
        if request.fate == "lost after":
            self.close(session)
            self._answer(request, None, LostConnection())
            return
        self._answer(request, result, None)

    def _wait(self, request: _Request, holders: set[Session]) -> None:
        session = request.session
        session.waits_for = holders
        if request.seen is None:
            request.seen = {table: set(rows) for table, rows in self.tables.items()}
        if self._in_circle(session):
            session.waits_for = set()
            session.aborted = True
            self._answer(request, None, asyncpg.DeadlockDetectedError("deadlock detected"))
            return
        self._waiting.append(request)
        left = request.gives_up_at - self.loop.time()
        self.loop.at(left, self.loop.server, self._give_up, request)

    def _give_up(self, request: _Request) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
            request.session.waits_for = set()
            request.session.aborted = True
            self._answer(request, None, asyncpg.QueryCanceledError("statement timeout"))

    def _in_circle(self, session: Session) -> bool:
        seen: set[Session] = set()
        front = list(session.waits_for)
        while front:
            other = front.pop()
            if other is session:
                return True
            if other not in seen:
                seen.add(other)
                front.extend(other.waits_for)
        return False

    def _commit(self, session: Session) -> None:
        changes, session.changes = session.changes, {}
        if session.aborted:
            session.aborted = False
            changes = {}
        if changes:
            self.commits += 1
            self._committed(changes)
            for table, rows in changes.items():
                self.tables[table].update(rows)
            for page_id, page in changes.get("page", {}).items():
                if page.open:
                    self.open_pages[page_id] = page
                else:
                    self.open_pages.pop(page_id, None)
            first = self._first()
            if first != self.first:
                before, self.first = self.first, first
                names = [name for name in WORKERS if before.get(name) != first.get(name)]
                self.due_changed([*names, "auditor"])
        self._release(session)

    def _release(self, session: Session) -> None:
        for place in session.locks:
            holders = self.locks[place]
            holders.discard(session)
            if not holders:
                del self.locks[place]
        session.locks = {}
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self.loop.at(0, self.loop.server, self._arrive, request)

    def _answer(self, request: _Request, result: Any, error: Exception | None) -> None:
        if request.future.done() or not request.session.owner.alive:
            return
        if error is not None:
            request.future.set_exception(error)
        else:
            request.future.set_result(result)
