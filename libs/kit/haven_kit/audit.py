"""The audit chain: entries are written with what they are about, sealed within a second, and verified.

An entry's hash is SHA-256 over the hash before it and the entry's fields, so that changing, adding or removing a
sealed entry shows. Each sealed stretch is told as an event, which keeps the chain's head outside the database and
brings the entries to the history that people read of who has seen their data.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, timedelta

import asyncpg
from haven.audit.v1 import events_pb2

from haven_kit.database import Database, Tx
from haven_kit.identity import system
from haven_kit.workers import Worker

BATCH = 200
"""Entries sealed at once, which bounds the event's size."""
SETTLE = timedelta(milliseconds=200)
"""How long an entry rests before it is sealed, so that most entries are sealed in the order of their time."""
GENESIS = b"\0" * 32
_SEALED = ("entry_id", "at", "principal_id", "role", "via", "action", "seen_as", "person_id", "break_glass", "trace_id")
_UNSEALED = """SELECT
    entry_id::text AS entry_id, at, principal_id, role, via, action, seen_as, person_id, break_glass, trace_id
FROM audit_entry WHERE seq IS NULL AND at <= $1 ORDER BY entry_id LIMIT $2"""
_AFTER = """SELECT seq, hash,
    entry_id::text AS entry_id, at, principal_id, role, via, action, seen_as, person_id, break_glass, trace_id
FROM audit_entry WHERE seq > $1 ORDER BY seq LIMIT 1000"""


class Sealer:
    """Seals one service's audit entries, on one replica at a time."""

    def __init__(self, service: str, database: Database) -> None:
        self._service = service
        self._database = database

    def worker(self) -> Worker:
        """The loop that seals. It gathers for a second: nobody waits for a seal, and small batches cost more."""
        return Worker("seal", self.seal_batch, every=timedelta(seconds=1), exclusive=True)

    async def seal_batch(self) -> bool:
        """Seal the oldest unsealed entries. True when there may be more."""
        async with self._database.transaction(system(f"{self._service}/seal")) as tx:
            rows = await tx.read(_UNSEALED, tx.now - SETTLE, BATCH)
            if rows:
                await self._seal(tx, rows)
        return len(rows) == BATCH

    async def _seal(self, tx: Tx, rows: list[asyncpg.Record]) -> None:
        last = await tx.fetch_one(
            "SELECT seq, hash FROM audit_entry WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1 FOR UPDATE"
        )
        first_seq = last["seq"] + 1 if last else 1
        head = bytes(last["hash"]) if last else GENESIS
        hashes = []
        for row in rows:
            head = chained(head, row)
            hashes.append(head)
        await tx.fetch(
            """UPDATE audit_entry SET seq = sealed.seq, hash = sealed.hash
            FROM unnest($1::uuid[], $2::bigint[], $3::bytea[]) AS sealed (entry_id, seq, hash)
            WHERE audit_entry.entry_id = sealed.entry_id""",
            [row["entry_id"] for row in rows],
            list(range(first_seq, first_seq + len(rows))),
            hashes,
        )
        event = events_pb2.AccessesSealed(
            service=self._service, first_seq=first_seq, last_seq=first_seq + len(rows) - 1, head=head.hex()
        )
        event.accesses.extend(_told(row) for row in rows if row["person_id"])
        tx.emit(event, key=f"audit/{self._service}", subject=f"haven.{self._service}.audit.sealed.v1")


def chained(before: bytes, row: asyncpg.Record) -> bytes:
    """The hash of an entry in the chain, after the entry whose hash is `before`."""
    digest = hashlib.sha256(before)
    for name in _SEALED:
        value = row[name]
        text = value.astimezone(UTC).isoformat() if name == "at" else str(value)
        digest.update(len(text.encode()).to_bytes(4, "big") + text.encode())
    return digest.digest()


def _told(row: asyncpg.Record) -> events_pb2.Access:
    access = events_pb2.Access(
        id=row["entry_id"],
        person_id=row["person_id"],
        principal_id=row["principal_id"],
        role=row["role"],
        seen_as=row["seen_as"],
        action=row["action"],
        break_glass=row["break_glass"],
    )
    access.at.FromDatetime(row["at"])
    return access


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found."""

    entries: int
    """Sealed entries that were checked."""
    unsealed: int
    """Entries that wait for their seal."""
    head: str
    """The chain's head, in hex; to compare with the one last told in an event."""
    broken_at: int | None
    """The sequence number of the first entry that does not fit, or of a gap; None where the chain holds."""


async def verify(database: Database, service: str) -> Verdict:
    """Check the whole chain, from its first entry to its head, in batches."""
    head, after, checked = GENESIS, 0, 0
    async with database.transaction(system(f"{service}/audit-verify")) as tx:
        while rows := await tx.fetch(_AFTER, after):
            for row in rows:
                head = chained(head, row)
                if row["seq"] != after + 1 or bytes(row["hash"]) != head:
                    return Verdict(checked, 0, head.hex(), after + 1)
                after = row["seq"]
                checked += 1
        waiting = await tx.fetch("SELECT count(*) FROM audit_entry WHERE seq IS NULL")
    return Verdict(checked, waiting[0][0], head.hex(), None)
