"""Links between people."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
from haven.intake.v1 import link_service_pb2 as pb

from haven_kit import etags, ids
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page

_COLUMNS = """link_id::text AS link_id, person_id::text AS person_id, linked_person_id::text AS linked_person_id, kind,
linked_at, ended_at, version"""


@dataclass(frozen=True, slots=True)
class Record:
    """A link as stored."""

    version: int
    message: pb.Link

    @property
    def people(self) -> tuple[str, str]:
        """The two."""
        return self.message.person_id, self.message.linked_person_id


def _record(row: asyncpg.Record) -> Record:
    message = pb.Link(
        link_id=row["link_id"],
        person_id=row["person_id"],
        linked_person_id=row["linked_person_id"],
        kind=pb.LinkKind.Value(row["kind"]),
        etag=etags.of(row["version"]),
    )
    message.linked_at.FromDatetime(row["linked_at"])
    if row["ended_at"]:
        message.ended_at.FromDatetime(row["ended_at"])
    return Record(row["version"], message)


async def add(tx: Tx, person_id: str, linked_person_id: str, kind: pb.LinkKind.ValueType) -> Record | None:
    """Link two people. None where they are linked already."""
    row = await tx.fetch_one(
        f"""INSERT INTO link (link_id, person_id, linked_person_id, kind, linked_at, version)
        VALUES ($1, $2, $3, $4, $5, 1) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}""",
        ids.new_id(),
        person_id,
        linked_person_id,
        pb.LinkKind.Name(kind),
        tx.now,
    )
    return _record(row) if row else None


async def get(tx: Tx, link_id: str, *, lock: bool = False) -> Record:
    """One link. Raises NotFound."""
    row = await tx.fetch_one(f"SELECT {_COLUMNS} FROM link WHERE link_id = $1{' FOR UPDATE' if lock else ''}", link_id)
    if row is None:
        raise NotFound("link")
    return _record(row)


async def end(tx: Tx, link_id: str) -> Record:
    """End a link now."""
    await tx.fetch("UPDATE link SET ended_at = $2, version = version + 1 WHERE link_id = $1", link_id, tx.now)
    return await get(tx, link_id)


async def page(tx: Tx, person_id: str, page: Page) -> list[Record]:
    """A page of a person's links, newest first, and one more where there is one."""
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM link WHERE $1::uuid IN (person_id, linked_person_id)
        AND ($2::uuid IS NULL OR link_id < $2::uuid) ORDER BY link_id DESC LIMIT $3""",
        person_id,
        page.after[0] if page.after else None,
        page.size + 1,
    )
    return [_record(row) for row in rows]
