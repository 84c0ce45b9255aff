"""Responders, rotations, policies, teams. Every change counts up `on_call_version`, which tells a copy that is old."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
import orjson
from google.protobuf.message import Message

from haven_kit import etags
from haven_kit.database import Tx
from haven_kit.errors import NotFound, Stale

_KEYS = {
    "responder": ("responder_id", "text", "sealed"),
    "rotation": ("rotation_id", "uuid", "body"),
    "policy": ("policy_id", "uuid", "body"),
    "team": ("team_id", "uuid", "body"),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """The whole plan as it is stored: bodies by key, those of responders sealed."""

    responders: Mapping[str, bytes] = field(default_factory=dict)
    rotations: Mapping[str, bytes] = field(default_factory=dict)
    policies: Mapping[str, bytes] = field(default_factory=dict)
    teams: Mapping[str, bytes] = field(default_factory=dict)
    default_policy_id: str = ""
    away: Sequence[tuple[str, datetime, datetime]] = ()
    """Time off that is not over: whose, from, to."""

    def dump(self, version: int) -> bytes:
        """As bytes, with the version of the plan."""
        bodies = {
            name: {key: base64.b64encode(body).decode() for key, body in getattr(self, name).items()}
            for name in _BODIES.values()
        }
        rest = {"version": version, "default_policy_id": self.default_policy_id, "away": self.away}
        return orjson.dumps(bodies | rest)

    @classmethod
    def load(cls, kept: bytes) -> tuple[Rows, int]:
        """What `dump` made. Raises ValueError for anything else."""
        found = orjson.loads(kept)
        try:
            bodies = {
                name: {key: base64.b64decode(body, validate=True) for key, body in found[name].items()}
                for name in _BODIES.values()
            }
            away = tuple(
                (who, datetime.fromisoformat(starts), datetime.fromisoformat(ends))
                for who, starts, ends in found["away"]
            )
            return cls(**bodies, default_policy_id=found["default_policy_id"], away=away), int(found["version"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a snapshot of the on-call plan") from error


_BODIES = {"responder": "responders", "rotation": "rotations", "policy": "policies", "team": "teams"}


async def rows(tx: Tx) -> Rows:
    """The whole plan."""
    bodies = {
        _BODIES[table]: {
            row["key"]: bytes(row["body"])
            for row in await tx.fetch(f"SELECT {name}::text AS key, {body} AS body FROM {table} ORDER BY {name}")
        }
        for table, (name, _, body) in _KEYS.items()
    }
    default = await tx.fetch_one("SELECT policy_id::text FROM policy WHERE is_default")
    away = await tx.fetch(
        "SELECT responder_id, starts_at, ends_at FROM time_off WHERE ends_at > $1 ORDER BY starts_at", tx.now
    )
    return Rows(
        **bodies,
        default_policy_id=default["policy_id"] if default is not None else "",
        away=tuple((row["responder_id"], row["starts_at"], row["ends_at"]) for row in away),
    )


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
    await count_up(tx)
    name, _, _ = _KEYS[table]
    row = await tx.fetch_one(f"SELECT version FROM {table} WHERE {name} = $1", key)
    if row is None:
        if etag not in ("", "*"):
            raise Stale
        return 1
    etags.check(etag, row["version"])
    return int(row["version"]) + 1


async def count_up(tx: Tx) -> None:
    """Lock the on-call plan, and have every replica's copy renewed after the commit."""
    await tx.fetch("UPDATE on_call_version SET version = version + 1")


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


async def drop(tx: Tx, table: str, key: str) -> None:
    """Take a row out."""
    name, _, _ = _KEYS[table]
    await tx.fetch(f"DELETE FROM {table} WHERE {name} = $1", key)
