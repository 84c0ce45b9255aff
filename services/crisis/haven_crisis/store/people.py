"""What is kept ready about a person: card, location, safety plan, contacts, presence. All sealed but the presence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar

import asyncpg
from google.protobuf.message import Message
from haven.crisis.v1 import people_pb2, signals_pb2

from haven_kit.cipher import Cipher
from haven_kit.database import Tx

M = TypeVar("M", bound=Message)

CARD, LOCATION, SAFETY_PLAN, CONTACTS = "card", "location", "safety_plan", "contacts"
RISK_WATCH = "risk_watch"


async def get(tx: Tx, cipher: Cipher, person_id: str, kind: str, of: type[M]) -> tuple[M | None, int, datetime | None]:
    """A record, its version and when it was written; None and 0 where there is none."""
    row = await tx.fetch_one(
        "SELECT version, updated_at, sealed FROM person_record WHERE person_id = $1 AND kind = $2", person_id, kind
    )
    if row is None:
        return None, 0, None
    return cipher.open(of, row["sealed"], context=_context(person_id, kind)), row["version"], row["updated_at"]


async def put(tx: Tx, cipher: Cipher, person_id: str, kind: str, version: int, record: Message) -> int:
    """Keep a record unless a version as great or greater is held. Gives the version that is held afterwards."""
    sealed = cipher.seal(record, context=_context(person_id, kind))
    row = await tx.fetch_one(
        """INSERT INTO person_record AS held (person_id, kind, version, updated_at, sealed) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (person_id, kind) DO UPDATE
        SET version = excluded.version, updated_at = excluded.updated_at, sealed = excluded.sealed
        WHERE held.version < excluded.version RETURNING version""",
        person_id,
        kind,
        version,
        tx.now,
        sealed,
    )
    if row is not None:
        return version
    row = await tx.fetch_one("SELECT version FROM person_record WHERE person_id = $1 AND kind = $2", person_id, kind)
    return int(row["version"]) if row is not None else 0


async def locked_version(tx: Tx, person_id: str, kind: str) -> int:
    """The version of a record, which does not change until the commit; 0 where there is none."""
    row = await tx.fetch_one(
        "SELECT version FROM person_record WHERE person_id = $1 AND kind = $2 FOR UPDATE", person_id, kind
    )
    return int(row["version"]) if row is not None else 0


async def joined(tx: Tx, person_id: str, session_id: str, facilitator_id: str, at: datetime) -> None:
    """The person is in a room with a facilitator, unless something later is known."""
    await _present(tx, person_id, session_id, facilitator_id, at, present=True)


async def left(tx: Tx, person_id: str, session_id: str, at: datetime) -> None:
    """The person left the room."""
    await _present(tx, person_id, session_id, "", at, present=False)


async def _present(
    tx: Tx, person_id: str, session_id: str, facilitator_id: str, at: datetime, *, present: bool
) -> None:
    # Leaving one room says nothing about another that the person has entered since.
    await tx.fetch(
        """INSERT INTO presence (person_id, session_id, facilitator_id, present, changed_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (person_id) DO UPDATE
        SET session_id = excluded.session_id, facilitator_id = excluded.facilitator_id,
            present = excluded.present, changed_at = excluded.changed_at
        WHERE presence.changed_at <= excluded.changed_at
            AND (excluded.present OR presence.session_id = excluded.session_id)""",
        person_id,
        session_id,
        facilitator_id,
        present,
        at,
    )


async def presence(tx: Tx, person_id: str) -> asyncpg.Record | None:
    """The `facilitator_id` in the room with the person now, and since when (`changed_at`); None for no room."""
    return await tx.fetch_one(
        "SELECT facilitator_id, changed_at FROM presence WHERE person_id = $1 AND present", person_id
    )


async def at_risk(tx: Tx, cipher: Cipher, person_id: str, after_alert: timedelta) -> bool:
    """Whether somebody called for the person so short a time ago, or an alert is open, or a clinician said so."""
    recent = await tx.fetch_one(
        "SELECT 1 FROM alert WHERE person_id = $1 AND NOT drill AND (state <> 6 OR closed_at > $2) LIMIT 1",
        person_id,
        tx.now - after_alert,
    )
    if recent is not None:
        return True
    watch, _, _ = await get(tx, cipher, person_id, RISK_WATCH, signals_pb2.RiskWatch)
    return watch is not None and watch.until.ToDatetime(UTC) > tx.now


def open_place(cipher: Cipher, person_id: str, sealed: bytes) -> people_pb2.Location:
    """The place in a sealed record of kind `location`. Raises CannotOpen."""
    return cipher.open(people_pb2.Location, sealed, context=_context(person_id, LOCATION))


def _context(person_id: str, kind: str) -> str:
    return f"person_record/{person_id}/{kind}"
