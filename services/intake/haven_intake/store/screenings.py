"""Screenings, and the concerns that their answers raised."""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg
from haven.intake.v1 import screening_service_pb2 as pb

from haven_kit import telemetry
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page


async def put(tx: Tx, cipher: Cipher, screening: pb.Screening) -> None:
    """Write a screening as it is now."""
    scored = screening.scored_at.ToDatetime(tx.now.tzinfo) if screening.HasField("scored_at") else None
    await tx.fetch(
        """INSERT INTO screening (screening_id, person_id, instrument_id, scored_at, sealed) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (screening_id) DO UPDATE SET scored_at = excluded.scored_at, sealed = excluded.sealed""",
        screening.screening_id,
        screening.person_id,
        screening.instrument_id,
        scored,
        cipher.seal(screening, context=f"screening/{screening.screening_id}"),
    )


async def get(tx: Tx, cipher: Cipher, person_id: str, screening_id: str, *, lock: bool = False) -> pb.Screening:
    """One screening of a person. Raises NotFound."""
    row = await tx.fetch_one(
        f"SELECT sealed FROM screening WHERE screening_id = $1 AND person_id = $2{' FOR UPDATE' if lock else ''}",
        screening_id,
        person_id,
    )
    if row is None:
        raise NotFound("screening")
    return cipher.open(pb.Screening, row["sealed"], context=f"screening/{screening_id}")


async def page(tx: Tx, cipher: Cipher, person_id: str, instrument_id: str, page: Page) -> list[pb.Screening]:
    """A page of a person's screenings, newest first, and one more where there is one."""
    rows = await tx.fetch(
        """SELECT screening_id::text AS screening_id, sealed FROM screening
        WHERE person_id = $1 AND ($2 = '' OR instrument_id = $2) AND ($3::uuid IS NULL OR screening_id < $3::uuid)
        ORDER BY screening_id DESC LIMIT $4""",
        person_id,
        instrument_id,
        page.after[0] if page.after else None,
        page.size + 1,
    )
    return [cipher.open(pb.Screening, row["sealed"], context=f"screening/{row['screening_id']}") for row in rows]


async def last_scored(tx: Tx, person_id: str) -> dict[str, datetime]:
    """When each instrument was last scored for a person."""
    rows = await tx.fetch(
        """SELECT instrument_id, max(scored_at) AS at FROM screening
        WHERE person_id = $1 AND scored_at IS NOT NULL GROUP BY instrument_id""",
        person_id,
    )
    return {row["instrument_id"]: row["at"] for row in rows}


async def add_concern(tx: Tx, signal_id: str, person_id: str, screening_id: str, level: str) -> None:
    """Write down that an answer calls for help, to be told to crisis: "high" or "immediate"."""
    await tx.fetch(
        """INSERT INTO concern (signal_id, person_id, screening_id, raised_at, try_at, traceparent, level)
        VALUES ($1, $2, $3, $4, $4, $5, $6)""",
        signal_id,
        person_id,
        screening_id,
        tx.now,
        telemetry.traceparent(),
        level,
    )


async def claim_concern(tx: Tx, lease: timedelta) -> asyncpg.Record | None:
    """The concern whose turn came first, taken for the length of the lease: `signal_id`, `person_id`, `raised_at`,
    `traceparent`, `level`. One that was tried in vain goes behind those that were not: they must not wait for it."""
    return await tx.fetch_one(
        """UPDATE concern SET attempts = attempts + 1, try_at = $1::timestamptz + $2::interval
        WHERE signal_id = (SELECT signal_id FROM concern WHERE accepted_at IS NULL AND try_at <= $1
            ORDER BY try_at, raised_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING signal_id::text AS signal_id, person_id::text AS person_id, raised_at, traceparent, level""",
        tx.now,
        lease,
    )


async def concern_accepted(tx: Tx, signal_id: str) -> None:
    """Crisis has said that it has the signal."""
    await tx.fetch("UPDATE concern SET accepted_at = $2 WHERE signal_id = $1", signal_id, tx.now)
