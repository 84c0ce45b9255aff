"""Who has seen whose data, and the names of staff as people read them."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg
from haven.audit.v1 import events_pb2

from haven_kit.database import Tx
from haven_kit.paging import Page


async def add(tx: Tx, sealed: events_pb2.AccessesSealed) -> None:
    """Take over the accesses of a sealed stretch."""
    found = sealed.accesses
    await tx.fetch(
        """INSERT INTO data_access (access_id, person_id, at, principal_id, role, what, service, break_glass)
        SELECT access_id, person_id, at, principal_id, role, what, $8, break_glass
        FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::boolean[])
        AS seen (access_id, person_id, at, principal_id, role, what, break_glass) ON CONFLICT DO NOTHING""",
        [each.id for each in found],
        [each.person_id for each in found],
        [each.at.ToDatetime(tx.now.tzinfo) for each in found],
        [each.principal_id for each in found],
        [each.role for each in found],
        [each.seen_as for each in found],
        [each.break_glass for each in found],
        sealed.service,
    )


async def page(tx: Tx, person_id: str, page: Page) -> list[asyncpg.Record]:
    """A page of accesses, newest first, and one more where there is one. `name` is the staff member's, where known."""
    after = page.after or [None, None]
    return await tx.fetch(
        """SELECT access_id::text AS access_id, at, at::text AS key, principal_id, role, what, service,
        break_glass, COALESCE(staff.name, '') AS name
        FROM data_access LEFT JOIN staff USING (principal_id)
        WHERE person_id = $1 AND ($2::text IS NULL OR (at, access_id) < ($2::text::timestamptz, $3::uuid))
        ORDER BY at DESC, access_id DESC LIMIT $4""",
        person_id,
        after[0],
        after[1],
        page.size + 1,
    )


async def name_staff(tx: Tx, names: Mapping[str, str]) -> None:
    """Remember how members of staff are called. Names given are by the subject of their tokens."""
    await tx.fetch(
        """INSERT INTO staff (principal_id, name) SELECT * FROM unnest($1::text[], $2::text[])
        ON CONFLICT (principal_id) DO UPDATE SET name = excluded.name""",
        list(names),
        list(names.values()),
    )
