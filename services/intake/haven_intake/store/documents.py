"""One record of a kind that someone has: preferences of a person, the story of a couple. Sealed whole."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message

from haven_kit import etags
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import Stale

M = TypeVar("M", bound=Message)


def _context(kind: str, owner_id: str) -> str:
    return f"{kind}/{owner_id}"


async def read(tx: Tx, cipher: Cipher, kind: type[M], owner_id: str, *, lock: bool = False) -> tuple[M, int]:
    """The record and its version; an empty one of version 0 where there is none."""
    name = kind.DESCRIPTOR.name
    row = await tx.fetch_one(
        f"SELECT version, sealed FROM document WHERE owner_id = $1 AND kind = $2{' FOR UPDATE' if lock else ''}",
        owner_id,
        name,
    )
    if row is None:
        return kind(), 0
    return cipher.open(kind, row["sealed"], context=_context(name, owner_id)), int(row["version"])


async def write(tx: Tx, cipher: Cipher, owner_id: str, message: Message, etag: str) -> int:
    """Put the record in place of the one whose etag is given, and return the new version. Raises Stale."""
    name = message.DESCRIPTOR.name
    row = await tx.fetch_one(
        "SELECT version FROM document WHERE owner_id = $1 AND kind = $2 FOR UPDATE", owner_id, name
    )
    known = int(row["version"]) if row else 0
    etags.check(etag, known)
    written = await tx.fetch_one(
        """INSERT INTO document (owner_id, kind, version, updated_at, sealed) VALUES ($1, $2, 1, $3, $4)
        ON CONFLICT (owner_id, kind) DO UPDATE
        SET version = document.version + 1, updated_at = excluded.updated_at, sealed = excluded.sealed
        WHERE document.version = $5 RETURNING version""",
        owner_id,
        name,
        tx.now,
        cipher.seal(message, context=_context(name, owner_id)),
        known,
    )
    if written is None:
        raise Stale
    return int(written["version"])
