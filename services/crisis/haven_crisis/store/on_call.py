"""Responders, rotations and policies. Every change counts up `on_call_version`, which tells a copy that is old."""

from __future__ import annotations

import asyncpg
from google.protobuf.message import Message

from haven_kit import etags
from haven_kit.database import Tx
from haven_kit.errors import NotFound, Stale

_KEYS = {
    "responder": ("responder_id", "text", "sealed"),
    "rotation": ("rotation_id", "uuid", "body"),
    "policy": ("policy_id", "uuid", "body"),
}


async def get(tx: Tx, table: str, key: str) -> asyncpg.Record:
    """One row: `key`, `version`, `body`. Raises NotFound."""
    name, _, body = _KEYS[table]
    row = await tx.fetch_one(f"SELECT {name}::text AS key, version, {body} AS body FROM {table} WHERE {name} = $1", key)
    if row is None:
        raise NotFound(table)
    return row


async def listed(tx: Tx, table: str, after: str, limit: int) -> list[asyncpg.Record]:
    """Rows after a key, in order of their keys."""
    name, _, body = _KEYS[table]
    return await tx.fetch(
        f"""SELECT {name}::text AS key, version, {body} AS body FROM {table}
        WHERE {name}::text > $1 ORDER BY {name}::text LIMIT $2""",
        after,
        limit,
    )


async def version(tx: Tx, table: str, key: str, etag: str) -> int:
    """The next version of a row that is about to be written. Raises Stale where the etag is of another.

    The whole on-call plan is locked with it: what is checked against the plan holds until the commit.
    """
    await tx.fetch("UPDATE on_call_version SET version = version + 1")
    name, _, _ = _KEYS[table]
    row = await tx.fetch_one(f"SELECT version FROM {table} WHERE {name} = $1", key)
    if row is None:
        if etag not in ("", "*"):
            raise Stale
        return 1
    etags.check(etag, row["version"])
    return int(row["version"]) + 1


async def put(tx: Tx, table: str, key: str, version: int, body: bytes | Message) -> None:
    """Write a row."""
    name, kind, column = _KEYS[table]
    await tx.fetch(
        f"""INSERT INTO {table} ({name}, version, {column}{", is_default" if table == "policy" else ""})
        VALUES ($1::{kind}, $2, $3{", FALSE" if table == "policy" else ""})
        ON CONFLICT ({name}) DO UPDATE SET version = excluded.version, {column} = excluded.{column}""",
        key,
        version,
        body if isinstance(body, bytes) else body.SerializeToString(),
    )


async def make_default(tx: Tx, policy_id: str, is_default: bool) -> None:
    """Make a policy the default one, and no other; or not the default any more."""
    if is_default:
        await tx.fetch("UPDATE policy SET is_default = FALSE WHERE is_default AND policy_id <> $1", policy_id)
    await tx.fetch("UPDATE policy SET is_default = $2 WHERE policy_id = $1", policy_id, is_default)
