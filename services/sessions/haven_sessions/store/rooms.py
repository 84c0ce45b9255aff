"""Rooms: what happened in them, and who was there. A room's row is locked while something happens in it, so that events
become visible in the order of their numbers, and a reader who goes on from one misses none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from haven_kit.database import Tx
from haven_sessions.domain import audience, events
from haven_sessions.domain.events import Event
from haven_sessions.domain.room import Happened, Place, Room, replay


@dataclass(frozen=True, slots=True)
class Member:
    """The row of somebody who has been in the room. `person_id` is empty for staff without a record."""

    member_id: str
    principal_id: str
    person_id: str
    place: Place
    since_seq: int
    seen_at: datetime
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """An event, and whether somebody who is no staff may see it."""

    happened: Happened
    everyone: bool
    member_ids: frozenset[str]


def bell(session_id: str) -> str:
    """The bell that rings when something happened in the room."""
    return f"room/{session_id}"


async def lock(tx: Tx, session_id: str) -> Room:
    """The room as it is, locked until the transaction ends. Makes one that waits, where there is none."""
    await tx.fetch(
        "INSERT INTO room (session_id, life, last_seq) VALUES ($1, 'waiting', 0) ON CONFLICT DO NOTHING", session_id
    )
    await tx.fetch("SELECT 1 FROM room WHERE session_id = $1 FOR UPDATE", session_id)
    return await load(tx, session_id)


async def load(tx: Tx, session_id: str) -> Room:
    """The room as it is; one that waits, where there is none."""
    return replay(await happened(tx, session_id))


async def happened(tx: Tx, session_id: str) -> list[Happened]:
    """Everything that happened in the room, in order."""
    rows = await tx.fetch(
        "SELECT seq, at, kind, data::text AS data FROM room_event WHERE session_id = $1 ORDER BY seq", session_id
    )
    return [_happened(row) for row in rows]


async def since(tx: Tx, session_id: str, seq: int, limit: int) -> list[Seen]:
    """What happened after the event with that number, at most `limit` of it."""
    rows = await tx.fetch(
        """SELECT seq, at, kind, data::text AS data, everyone, member_ids::text[] AS member_ids FROM room_event
        WHERE session_id = $1 AND seq > $2 ORDER BY seq LIMIT $3""",
        session_id,
        seq,
        limit,
    )
    return [Seen(_happened(row), row["everyone"], frozenset(row["member_ids"])) for row in rows]


async def append(tx: Tx, session_id: str, room: Room, decided: Sequence[Event]) -> None:
    """Let what was decided happen in a locked room. Rings the room's bell once it is committed."""
    if not decided:
        return
    rows: list[tuple[Any, ...]] = []
    for event in decided:
        seen = audience.of(event, room)
        room.apply(Happened(room.last_seq + 1, tx.now, event))
        data = orjson.dumps(events.to_data(event)).decode()
        rows.append((room.last_seq, events.kind_of(event), data, seen.everyone, _uuid_array(seen.member_ids)))
    await tx.fetch(
        """INSERT INTO room_event (session_id, seq, at, kind, data, everyone, member_ids)
        SELECT $1, seq, $2, kind, data::jsonb, everyone, member_ids::uuid[]
        FROM unnest($3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::text[])
        AS happened (seq, kind, data, everyone, member_ids)""",
        session_id,
        tx.now,
        *([list(column) for column in zip(*rows, strict=True)]),
    )
    await tx.fetch(
        "UPDATE room SET life = $2, last_seq = $3 WHERE session_id = $1", session_id, room.life.value, room.last_seq
    )
    await _set_places(tx, session_id, room)
    tx.wake(bell(session_id))


async def _set_places(tx: Tx, session_id: str, room: Room) -> None:
    # Somebody whom staff had sent out sees nothing of what happened meanwhile: what they see begins anew.
    await tx.fetch(
        """UPDATE member SET place = now.place,
            since_seq = CASE WHEN member.place IN ('lobby', 'removed') AND now.place NOT IN ('lobby', 'removed')
                THEN $4 ELSE since_seq END
        FROM unnest($2::uuid[], $3::text[]) AS now (member_id, place)
        WHERE member.session_id = $1 AND member.member_id = now.member_id AND member.place <> now.place""",
        session_id,
        list(room.members),
        [each.place.value for each in room.members.values()],
        room.last_seq,
    )


async def member_of(tx: Tx, session_id: str, principal_id: str) -> Member | None:
    """The row of a principal in a room; None for who has never been in it."""
    row = await tx.fetch_one(f"{_MEMBERS} AND principal_id = $2", session_id, principal_id)
    return _member(row) if row else None


async def members(tx: Tx, session_id: str) -> dict[str, Member]:
    """Everyone who has been in the room, by member_id."""
    rows = await tx.fetch(_MEMBERS, session_id)
    return {row["member_id"]: _member(row) for row in rows}


async def put_member(tx: Tx, session_id: str, member: Member) -> None:
    """Add somebody, or take over a new name and the time they were seen."""
    await tx.fetch(
        """INSERT INTO member (member_id, session_id, principal_id, person_id, place, since_seq, seen_at, sealed)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (member_id) DO UPDATE SET seen_at = excluded.seen_at, sealed = excluded.sealed""",
        member.member_id,
        session_id,
        member.principal_id,
        member.person_id or None,
        member.place.value,
        member.since_seq,
        member.seen_at,
        member.sealed,
    )


async def see(tx: Tx, session_id: str, principal_id: str) -> bool:
    """Note that somebody is still there. False for who is not in the room."""
    row = await tx.fetch_one(
        """UPDATE member SET seen_at = $3 WHERE session_id = $1 AND principal_id = $2 AND place = 'in' RETURNING 1""",
        session_id,
        principal_id,
        tx.now,
    )
    return row is not None


async def agenda(tx: Tx, session_id: str) -> bytes | None:
    """The sealed agenda of a room; None while it is not known."""
    row = await tx.fetch_one("SELECT sealed_agenda FROM room WHERE session_id = $1", session_id)
    return row["sealed_agenda"] if row else None


async def put_agenda(tx: Tx, session_id: str, sealed: bytes) -> None:
    """Keep the agenda of a room."""
    await tx.fetch("UPDATE room SET sealed_agenda = $2 WHERE session_id = $1", session_id, sealed)


async def lapsed(tx: Tx, seen_before: datetime) -> str | None:
    """A room, now locked, with somebody in it who was last seen before then; None when there is none."""
    row = await tx.fetch_one(
        """SELECT room.session_id::text AS session_id FROM room WHERE life = 'open' AND EXISTS
            (SELECT 1 FROM member WHERE member.session_id = room.session_id AND place = 'in' AND seen_at < $1)
        LIMIT 1 FOR UPDATE SKIP LOCKED""",
        seen_before,
    )
    return row["session_id"] if row else None


async def abandoned(tx: Tx, ended_before: datetime, long_before: datetime) -> str | None:
    """An open room, now locked, that should have ended: before the first time with no staff in it, or the second."""
    row = await tx.fetch_one(
        """SELECT room.session_id::text AS session_id FROM room JOIN session USING (session_id)
        WHERE life = 'open' AND (ends_at < $2 OR (ends_at < $1 AND NOT EXISTS
            (SELECT 1 FROM member WHERE member.session_id = room.session_id AND place = 'in'
                AND principal_id = session.facilitator_id)))
        LIMIT 1 FOR UPDATE OF room SKIP LOCKED""",
        ended_before,
        long_before,
    )
    return row["session_id"] if row else None


_MEMBERS = """SELECT member_id::text AS member_id, principal_id, coalesce(person_id::text, '') AS person_id, place,
    since_seq, seen_at, sealed FROM member WHERE session_id = $1"""


def _member(row: Any) -> Member:
    return Member(**{**row, "place": Place(row["place"])})


def _happened(row: Any) -> Happened:
    return Happened(row["seq"], row["at"], events.from_data(row["kind"], orjson.loads(row["data"])))


def _uuid_array(ids: Sequence[str]) -> str:
    # unnest takes no array of arrays of different lengths: each goes as PostgreSQL's own text form of one.
    return "{" + ",".join(ids) + "}"
