"""Registered systems, how they name people, and how much they sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp
from haven.crisis.v1 import integration_service_pb2 as pb

from haven_kit import etags
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound

_COLUMNS = """system_id::text AS system_id, version, disabled, sealed, last_seen_at, accepted, refused, last_refusal,
    links"""


@dataclass(frozen=True, slots=True)
class System:
    """A system as stored, with its secrets."""

    system_id: str
    name: str
    secret: str
    disabled: bool
    version: int
    old_secret: str = ""
    old_until: datetime | None = None
    last_seen_at: datetime | None = None
    accepted: int = 0
    refused: int = 0
    last_refusal: str = ""
    links: int = 0
    """Counts the changes of whom it means by its names."""

    def secrets(self, now: datetime) -> list[str]:
        """Those that are good now."""
        old = [self.old_secret] if self.old_until is not None and now < self.old_until else []
        return [self.secret, *old]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of a system since it was last written down."""

    system_id: str
    last_seen_at: datetime | None
    accepted: int
    refused: int
    last_refusal: str


def message(system: System) -> pb.IntegratedSystem:
    """The system as administrators see it."""
    shown = pb.IntegratedSystem(
        system_id=system.system_id,
        name=system.name,
        disabled=system.disabled,
        accepted=system.accepted,
        refused=system.refused,
        last_refusal=system.last_refusal,
        etag=etags.of(system.version),
    )
    for name, at in (("last_seen_at", system.last_seen_at), ("old_secret_until", system.old_until)):
        if at is not None:
            getattr(shown, name).FromDatetime(at)
    return shown


async def put(tx: Tx, cipher: Cipher, system: System) -> None:
    """Write a system; one that was there must be locked."""
    kept = pb.SystemSecret(system=pb.IntegratedSystem(name=system.name), secret=f"{system.secret} {system.old_secret}")
    if system.old_until is not None:
        kept.system.old_secret_until.FromDatetime(system.old_until)
    await tx.fetch(
        """INSERT INTO integrated_system (system_id, version, disabled, sealed) VALUES ($1, $2, $3, $4)
        ON CONFLICT (system_id) DO UPDATE
        SET version = excluded.version, disabled = excluded.disabled, sealed = excluded.sealed""",
        system.system_id,
        system.version,
        system.disabled,
        cipher.seal(kept, context=f"integrated_system/{system.system_id}"),
    )


async def get(tx: Tx, cipher: Cipher, system_id: str, *, lock: bool = False) -> System:
    """One system. Raises NotFound."""
    row = await tx.fetch_one(
        f"SELECT {_COLUMNS} FROM integrated_system WHERE system_id = $1{' FOR UPDATE' if lock else ''}", system_id
    )
    if row is None:
        raise NotFound("integrated system")
    return _system(cipher, row)


async def page(tx: Tx, cipher: Cipher, after: str | None, limit: int) -> list[System]:
    """Systems by id, after one."""
    rows = await tx.read(
        f"""SELECT {_COLUMNS} FROM integrated_system WHERE $1::uuid IS NULL OR system_id > $1
        ORDER BY system_id LIMIT $2""",
        after,
        limit,
    )
    return [_system(cipher, row) for row in rows]


def _system(cipher: Cipher, row: asyncpg.Record) -> System:
    kept = cipher.open(pb.SystemSecret, row["sealed"], context=f"integrated_system/{row['system_id']}")
    secret, _, old_secret = kept.secret.partition(" ")
    until: Timestamp = kept.system.old_secret_until
    return System(
        system_id=row["system_id"],
        name=kept.system.name,
        secret=secret,
        disabled=row["disabled"],
        version=row["version"],
        old_secret=old_secret,
        old_until=until.ToDatetime(UTC) if kept.system.HasField("old_secret_until") else None,
        last_seen_at=row["last_seen_at"],
        accepted=row["accepted"],
        refused=row["refused"],
        last_refusal=row["last_refusal"],
        links=row["links"],
    )


async def link(tx: Tx, system_id: str, external: bytes, person_id: str) -> None:
    """Whom a system means by a name; empty: nobody any more. The system must be locked."""
    await tx.fetch("UPDATE integrated_system SET links = links + 1 WHERE system_id = $1", system_id)
    if not person_id:
        await tx.fetch("DELETE FROM external_person WHERE system_id = $1 AND external = $2", system_id, external)
        return
    await tx.fetch(
        """INSERT INTO external_person (system_id, external, person_id) VALUES ($1, $2, $3)
        ON CONFLICT (system_id, external) DO UPDATE SET person_id = excluded.person_id""",
        system_id,
        external,
        person_id,
    )


async def people(tx: Tx, system_id: str) -> dict[bytes, str]:
    """Everyone whom a system has a name for."""
    rows = await tx.read(
        "SELECT external, person_id::text AS person_id FROM external_person WHERE system_id = $1", system_id
    )
    return {bytes(row["external"]): row["person_id"] for row in rows}


async def hear(tx: Tx, heard: Iterable[Heard]) -> None:
    """Write down what was heard of systems."""
    for each in heard:
        await tx.fetch(
            """UPDATE integrated_system SET accepted = accepted + $2, refused = refused + $3,
                last_seen_at = GREATEST(last_seen_at, $4),
                last_refusal = CASE WHEN $5 = '' THEN last_refusal ELSE $5 END
            WHERE system_id = $1""",
            each.system_id,
            each.accepted,
            each.refused,
            each.last_seen_at,
            each.last_refusal,
        )
