"""Referrals."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
from haven.intake.v1 import referral_service_pb2 as pb

from haven_kit import etags, ids
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page

_COLUMNS = """referral_id::text AS referral_id, person_id::text AS person_id, own_person_id::text AS own_person_id,
state, possible_duplicate, content_hash, received_at, version, sealed"""


@dataclass(frozen=True, slots=True)
class Record:
    """A referral as stored. `own_person_id` is the record made for it, kept when it turned out to be a known person."""

    referral_id: str
    person_id: str
    own_person_id: str
    version: int
    content_hash: bytes | None
    message: pb.Referral


def _record(cipher: Cipher, row: asyncpg.Record) -> Record:
    message = cipher.open(pb.Referral, row["sealed"], context=f"referral/{row['referral_id']}")
    message.referral_id, message.person_id = row["referral_id"], row["person_id"]
    message.state = pb.ReferralState.Value(row["state"])
    message.possible_duplicate, message.etag = row["possible_duplicate"], etags.of(row["version"])
    message.received_at.FromDatetime(row["received_at"])
    content = bytes(row["content_hash"]) if row["content_hash"] else None
    return Record(row["referral_id"], row["person_id"], row["own_person_id"], row["version"], content, message)


@dataclass(frozen=True, slots=True)
class Source:
    """Where an import comes from: a keyed hash of the other system's identifier, and a hash of the content."""

    key: bytes
    content: bytes


async def add(tx: Tx, cipher: Cipher, referral: pb.Referral, own_person_id: str, source: Source | None) -> Record:
    """Write down a new referral about `referral.person_id`."""
    referral_id = ids.new_id()
    await tx.fetch(
        """INSERT INTO referral (referral_id, person_id, own_person_id, source_key, content_hash, state,
        possible_duplicate, received_at, version, sealed)
        VALUES ($1, $2, $3, $4, $5, 'REFERRAL_STATE_RECEIVED', $6, $7, 1, $8)""",
        referral_id,
        referral.person_id,
        own_person_id,
        source.key if source else None,
        source.content if source else None,
        referral.possible_duplicate,
        tx.now,
        cipher.seal(_bare(referral), context=f"referral/{referral_id}"),
    )
    return await get(tx, cipher, referral_id)


async def get(tx: Tx, cipher: Cipher, referral_id: str, *, lock: bool = False) -> Record:
    """One referral. Raises NotFound."""
    row = await tx.fetch_one(
        f"SELECT {_COLUMNS} FROM referral WHERE referral_id = $1{' FOR UPDATE' if lock else ''}", referral_id
    )
    if row is None:
        raise NotFound("referral")
    return _record(cipher, row)


async def by_source(tx: Tx, cipher: Cipher, key: bytes) -> Record | None:
    """The referral that an earlier import from there made. Imports of one source wait for each other here."""
    await tx.fetch("SELECT pg_advisory_xact_lock(hashtextextended($1, 8))", key.hex())
    row = await tx.fetch_one(f"SELECT {_COLUMNS} FROM referral WHERE source_key = $1 FOR UPDATE", key)
    return _record(cipher, row) if row else None


async def save(tx: Tx, cipher: Cipher, record: Record, *, content: bytes | None = None) -> Record:
    """Write the changed message of a referral that was read with a lock."""
    changed = record.message
    await tx.fetch(
        """UPDATE referral SET person_id = $2, state = $3, possible_duplicate = $4, version = version + 1, sealed = $5,
        content_hash = COALESCE($6, content_hash) WHERE referral_id = $1""",
        record.referral_id,
        changed.person_id,
        pb.ReferralState.Name(changed.state),
        changed.possible_duplicate,
        cipher.seal(_bare(changed), context=f"referral/{record.referral_id}"),
        content,
    )
    return await get(tx, cipher, record.referral_id)


async def latest_of(tx: Tx, cipher: Cipher, person_id: str) -> Record | None:
    """The person's latest referral, locked."""
    row = await tx.fetch_one(
        f"SELECT {_COLUMNS} FROM referral WHERE person_id = $1 ORDER BY referral_id DESC LIMIT 1 FOR UPDATE", person_id
    )
    return _record(cipher, row) if row else None


async def page(
    tx: Tx, cipher: Cipher, state: pb.ReferralState.ValueType, page: Page, *, duplicates_only: bool
) -> list[Record]:
    """A page of referrals, newest first, and one more where there is one."""
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM referral WHERE ($1 = '' OR state = $1) AND (NOT $2 OR possible_duplicate)
        AND ($3::uuid IS NULL OR referral_id < $3::uuid) ORDER BY referral_id DESC LIMIT $4""",
        pb.ReferralState.Name(state) if state else "",
        duplicates_only,
        page.after[0] if page.after else None,
        page.size + 1,
    )
    return [_record(cipher, row) for row in rows]


def _bare(referral: pb.Referral) -> pb.Referral:
    bare = pb.Referral()
    bare.CopyFrom(referral)
    for name in ("referral_id", "person_id", "state", "possible_duplicate", "received_at", "etag"):
        bare.ClearField(name)
    return bare
