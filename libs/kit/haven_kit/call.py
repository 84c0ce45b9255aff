"""One call of an RPC, as its method sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from haven.options.v1 import options_pb2

from haven_kit import words
from haven_kit.contract import Method
from haven_kit.database import Database, Tx
from haven_kit.identity import Principal

F = TypeVar("F", bound=Callable[..., Any])


class Call:
    """Who calls what, and the transaction it happens in."""

    __slots__ = (
        "_about", "_audited", "_database", "_noted", "_tx", "break_glass", "idempotency_key", "method", "principal",
    )  # fmt: skip

    def __init__(self, method: Method, principal: Principal, database: Database, idempotency_key: str = "") -> None:
        self.method = method
        self.idempotency_key = idempotency_key
        """The caller's key, for methods marked `own_transactions`; the kit itself answers for all others."""
        self.principal = principal
        self.break_glass = False
        """Set it where only emergency access opened the record: the audit entry then says so."""
        self._database = database
        self._about: set[str] | None = None
        self._noted: frozenset[str] = frozenset()
        """Those whose audit entry is written."""
        self._audited = False
        self._tx: Tx | None = None

    @property
    def tx(self) -> Tx:
        """The call's transaction; the kit commits it after the method returns."""
        if self._tx is None:
            raise RuntimeError(f"{self.method.full_name} has no transaction open: use call.transaction()")
        return self._tx

    @property
    def now(self) -> datetime:
        """The time of the call's transaction; outside of one, the time now. UTC."""
        return self._tx.now if self._tx is not None else self._database.clock.now()

    def about(self, *person_ids: str) -> None:
        """Whom the record is about: each gets an audit entry. Without ids: nobody's record was shown."""
        self._about = (self._about or set()) | {each for each in person_ids if each}

    @asynccontextmanager
    async def transaction(self, via: Database | None = None) -> AsyncIterator[Tx]:
        """A short transaction of its own, for methods that stream or that are marked `own_transactions`; `via` names
        another pool than the one that all calls share.

        It carries the audit entries of those who were named with `about` inside it and not in an earlier one.
        """
        noted = self._noted
        try:
            async with (via or self._database).transaction(self.principal) as tx:
                self._tx = tx
                try:
                    yield tx
                    if self._about is not None:
                        self.write_audit(tx)
                finally:
                    self._tx = None
        except BaseException:
            self._noted = noted  # what was not committed was not noted
            raise

    @property
    def role(self) -> str:
        """The role, by its name, that opens the method to the caller; empty for none."""
        held = sorted(self.principal.roles)
        used = [role for role in self.method.access.roles if role in held] or held
        return words.word(options_pb2.Role, used[0]) if used else ""

    def write_audit(self, tx: Tx) -> None:
        """Put the call's audit entries into the transaction. The kit calls this before the commit."""
        access = self.method.access
        name = self.role if self._about else ""
        about = self._about or set()
        for person_id in sorted(about - self._noted):
            tx.audit(
                person_id,
                action=self.method.full_name,
                seen_as=access.seen_as,
                role=name,
                break_glass=self.break_glass,
            )
        self._noted = self._noted | about
        self._audited = True

    def begin(self, tx: Tx) -> None:
        """Run in this transaction. The kit calls this, again when it runs the method once more."""
        self._tx = tx
        self._about = None
        self._noted = frozenset()
        self._audited = False

    @property
    def audited_or_about(self) -> bool:
        """Whether the method has said whose record it showed."""
        return self._audited or self._about is not None


def own_transactions(method: F) -> F:
    """Mark an RPC that must not wait for the database: it opens `call.transaction()` itself, or does without."""
    method.own_transactions = True  # type: ignore[attr-defined]
    return method
