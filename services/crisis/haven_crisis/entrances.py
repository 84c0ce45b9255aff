"""By which door a call for help came in: a call of the API, or a message of an integrated system."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from haven_crisis.keeping.case import Asked
from haven_kit.call import Call
from haven_kit.database import Database, Tx
from haven_kit.identity import Principal

SEEN_AS = "called for help for you"


class Entrance(Protocol):
    """What taking a call for help needs to know of who called."""

    @property
    def principal(self) -> Principal:
        """Who called."""

    def transaction(self, database: Database) -> AbstractAsyncContextManager[Tx]:
        """A transaction of theirs."""

    def note(self, tx: Tx, person_id: str) -> None:
        """Note it in the person's access history, as part of the next statement."""

    def asked(self, *, unverified: bool) -> Asked:
        """What the access history will say once there is a record again."""


class OfCall:
    """A call of the API."""

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def principal(self) -> Principal:
        """The caller."""
        return self._call.principal

    def transaction(self, database: Database) -> AbstractAsyncContextManager[Tx]:
        """A transaction of the call."""
        return self._call.transaction(database)

    def note(self, tx: Tx, person_id: str) -> None:
        """Note it as the method says."""
        self._call.about(person_id)
        self._call.write_audit(tx)

    def asked(self, *, unverified: bool) -> Asked:
        """Who called, by their token."""
        principal, method = self._call.principal, self._call.method
        return Asked(
            principal_id=principal.id,
            service=principal.service or "",
            role=self._call.role,
            action=method.full_name,
            seen_as=method.access.seen_as,
            person_id=principal.person_id or "",
            unverified=unverified,
        )


class OfSystem:
    """A message of an integrated system, whose signature was verified."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    def transaction(self, database: Database) -> AbstractAsyncContextManager[Tx]:
        """A transaction in the system's name."""
        return database.transaction(self.principal)

    def note(self, tx: Tx, person_id: str) -> None:
        """Note it as the system's."""
        tx.audit(person_id, action=self.principal.id, seen_as=SEEN_AS)

    def asked(self, *, unverified: bool) -> Asked:
        """Which system called."""
        return Asked(principal_id=self.principal.id, action=self.principal.id, seen_as=SEEN_AS, unverified=unverified)
