"""What people said: agreements accepted, messages, ratings, calls for help."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from haven_kit.database import Tx

LONG_AGO = timedelta(hours=1)
"""After which a call for help with the same id is no repetition of the first."""


async def accepted(tx: Tx, principal_id: str, agreement_id: str) -> bool:
    """Whether the principal has accepted that version of the group agreement."""
    row = await tx.fetch_one(
        "SELECT 1 FROM agreement_acceptance WHERE principal_id = $1 AND agreement_id = $2", principal_id, agreement_id
    )
    return row is not None


async def accept(tx: Tx, principal_id: str, agreement_id: str) -> None:
    """Note the acceptance; the first one stands."""
    await tx.fetch(
        """INSERT INTO agreement_acceptance (principal_id, agreement_id, accepted_at) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING""",
        principal_id,
        agreement_id,
        tx.now,
    )


async def add_message(tx: Tx, message_id: str, session_id: str, sealed: bytes) -> None:
    """Keep a message."""
    await tx.fetch(
        "INSERT INTO message (message_id, session_id, sealed) VALUES ($1, $2, $3)", message_id, session_id, sealed
    )


async def message(tx: Tx, message_id: str) -> bytes:
    """The sealed message."""
    rows = await tx.fetch("SELECT sealed FROM message WHERE message_id = $1", message_id)
    sealed: bytes = rows[0]["sealed"]
    return sealed


@dataclass(frozen=True, slots=True)
class Visible:
    """Which messages a reader may see: all for staff; otherwise those since an event, to everyone or by themselves."""

    staff: bool
    member_id: str
    since_seq: int


async def messages(tx: Tx, session_id: str, visible: Visible, after_seq: int, limit: int) -> list[Any]:
    """Messages in order: `seq` and `sealed`, `message_id`."""
    return await tx.fetch(
        """SELECT happened.seq, message.message_id::text AS message_id, message.sealed
        FROM room_event happened JOIN message ON message.message_id = (happened.data ->> 'message_id')::uuid
        WHERE happened.session_id = $1 AND happened.kind = 'MessageSent' AND happened.seq > $2
            AND ($3 OR (happened.seq >= $4 AND happened.everyone) OR $5 = ANY(happened.member_ids::text[]))
        ORDER BY happened.seq LIMIT $6""",
        session_id,
        after_seq,
        visible.staff,
        visible.since_seq,
        visible.member_id,
        limit,
    )


async def rate(tx: Tx, session_id: str, person_id: str, sealed: bytes) -> None:
    """Keep a rating, in place of an earlier one."""
    await tx.fetch(
        """INSERT INTO rating (session_id, person_id, rated_at, sealed) VALUES ($1, $2, $3, $4)
        ON CONFLICT (session_id, person_id) DO UPDATE SET rated_at = excluded.rated_at, sealed = excluded.sealed""",
        session_id,
        person_id,
        tx.now,
        sealed,
    )


async def ratings(tx: Tx, session_id: str) -> list[Any]:
    """All ratings of a session: `person_id` and `sealed`."""
    return await tx.fetch("SELECT person_id::text AS person_id, sealed FROM rating WHERE session_id = $1", session_id)


async def is_over(tx: Tx, signal_id: str, person_id: str) -> bool:
    """Whether a call of this id was taken back, was made long ago, or is somebody else's."""
    row = await tx.fetch_one(
        """SELECT withdrawn_at IS NOT NULL OR raised_at < $2 OR person_id <> $3 AS over
        FROM help_call WHERE signal_id = $1""",
        signal_id,
        tx.now - LONG_AGO,
        person_id,
    )
    return row is not None and row["over"]


async def call_for_help(tx: Tx, signal_id: str, person_id: str, session_id: str, note: bytes | None) -> bool:
    """Keep a call for help. False where it is kept already."""
    row = await tx.fetch_one(
        """INSERT INTO help_call (signal_id, person_id, session_id, raised_at, shown, sealed_note)
        VALUES ($1, $2, $3, $4, FALSE, $5) ON CONFLICT DO NOTHING RETURNING 1""",
        signal_id,
        person_id,
        session_id,
        tx.now,
        note,
    )
    return row is not None


async def first_to_show(tx: Tx, signal_id: str) -> bool:
    """Whether this is the first to show the call to staff, and the call was not taken back meanwhile."""
    row = await tx.fetch_one(
        "UPDATE help_call SET shown = TRUE WHERE signal_id = $1 AND NOT shown AND withdrawn_at IS NULL RETURNING 1",
        signal_id,
    )
    return row is not None


async def withdraw(tx: Tx, signal_id: str, person_id: str, *, told: bool) -> str | None:
    """Note that the person took a call back, and whether crisis knows. The session's id; None for no such call."""
    row = await tx.fetch_one(
        """UPDATE help_call SET withdrawn_at = coalesce(withdrawn_at, $3),
            withdrawal_due_at = CASE WHEN $4 THEN NULL ELSE $3 END
        WHERE signal_id = $1 AND person_id = $2 RETURNING session_id::text AS session_id""",
        signal_id,
        person_id,
        tx.now,
        told,
    )
    return row["session_id"] if row else None


async def due_withdrawal(tx: Tx) -> str | None:
    """A call that was taken back and that crisis is to be told of now; its row is locked."""
    row = await tx.fetch_one(
        """SELECT signal_id::text AS signal_id FROM help_call WHERE withdrawal_due_at <= $1
        ORDER BY withdrawal_due_at LIMIT 1 FOR UPDATE SKIP LOCKED""",
        tx.now,
    )
    return row["signal_id"] if row else None


async def set_withdrawal_due(tx: Tx, signal_id: str, due_at: datetime | None) -> None:
    """When to tell crisis of a withdrawal again; None: it knows."""
    await tx.fetch("UPDATE help_call SET withdrawal_due_at = $2 WHERE signal_id = $1", signal_id, due_at)


async def was_in(tx: Tx, session_id: str, person_id: str) -> bool:
    """Whether the person was ever in the room of the session."""
    row = await tx.fetch_one(
        "SELECT 1 FROM member WHERE session_id = $1 AND person_id = $2 LIMIT 1", session_id, person_id
    )
    return row is not None
