"""Admissions and check-ins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import asyncpg
from haven.intake.v1 import care_pb2 as pb

from haven_kit import etags
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page

MOST_CHECK_INS = 100
"""As many of a person's latest check-ins are looked at together."""
_COLUMNS = "admission_id::text AS admission_id, admitted_at, discharged_at, version, sealed"


@dataclass(frozen=True, slots=True)
class Record:
    """An admission as stored."""

    admission_id: str
    admitted_at: datetime
    discharged_at: datetime | None
    version: int
    message: pb.Admission


def _record(cipher: Cipher, row: asyncpg.Record) -> Record:
    message = cipher.open(pb.Admission, row["sealed"], context=f"admission/{row['admission_id']}")
    message.etag = etags.of(row["version"])
    return Record(row["admission_id"], row["admitted_at"], row["discharged_at"], row["version"], message)


async def admit(tx: Tx, cipher: Cipher, admission: pb.Admission) -> Record:
    """Write down an admission."""
    await tx.fetch(
        "INSERT INTO admission (admission_id, person_id, admitted_at, version, sealed) VALUES ($1, $2, $3, 1, $4)",
        admission.admission_id,
        admission.person_id,
        tx.now,
        cipher.seal(admission, context=f"admission/{admission.admission_id}"),
    )
    return await latest(tx, cipher, admission.person_id)


async def find(tx: Tx, cipher: Cipher, person_id: str, *, lock: bool = False) -> Record | None:
    """A person's latest admission, if there is one."""
    row = await tx.fetch_one(
        f"""SELECT {_COLUMNS} FROM admission WHERE person_id = $1 ORDER BY admitted_at DESC, admission_id DESC
        LIMIT 1{" FOR UPDATE" if lock else ""}""",
        person_id,
    )
    return _record(cipher, row) if row else None


async def latest(tx: Tx, cipher: Cipher, person_id: str, *, lock: bool = False) -> Record:
    """A person's latest admission. Raises NotFound."""
    found = await find(tx, cipher, person_id, lock=lock)
    if found is None:
        raise NotFound("admission")
    return found


async def save(tx: Tx, cipher: Cipher, record: Record, *, discharged_at: datetime | None = None) -> Record:
    """Write the changed message of an admission that was read with a lock."""
    changed = pb.Admission()
    changed.CopyFrom(record.message)
    changed.ClearField("etag")
    await tx.fetch(
        "UPDATE admission SET version = version + 1, discharged_at = $2, sealed = $3 WHERE admission_id = $1",
        record.admission_id,
        discharged_at,
        cipher.seal(changed, context=f"admission/{record.admission_id}"),
    )
    return await latest(tx, cipher, changed.person_id)


def add_check_in(tx: Tx, cipher: Cipher, check_in: pb.CheckIn) -> None:
    """Write down a check-in."""
    tx.write(
        "INSERT INTO check_in (check_in_id, person_id, sealed) VALUES ($1, $2, $3)",
        check_in.check_in_id,
        check_in.person_id,
        cipher.seal(check_in, context=f"check_in/{check_in.check_in_id}"),
    )


async def check_ins(tx: Tx, cipher: Cipher, person_id: str, page: Page) -> list[pb.CheckIn]:
    """A page of a person's check-ins, newest first, and one more where there is one."""
    rows = await tx.fetch(
        """SELECT check_in_id::text AS check_in_id, sealed FROM check_in
        WHERE person_id = $1 AND ($2::uuid IS NULL OR check_in_id < $2::uuid) ORDER BY check_in_id DESC LIMIT $3""",
        person_id,
        page.after[0] if page.after else None,
        page.size + 1,
    )
    return [cipher.open(pb.CheckIn, row["sealed"], context=f"check_in/{row['check_in_id']}") for row in rows]


async def latest_check_ins(tx: Tx, cipher: Cipher, person_id: str) -> list[pb.CheckIn]:
    """A person's latest check-ins, newest first, at most MOST_CHECK_INS."""
    rows = await tx.fetch(
        """SELECT check_in_id::text AS check_in_id, sealed FROM check_in
        WHERE person_id = $1 ORDER BY check_in_id DESC LIMIT $2""",
        person_id,
        MOST_CHECK_INS,
    )
    return [cipher.open(pb.CheckIn, row["sealed"], context=f"check_in/{row['check_in_id']}") for row in rows]


async def trend_told_until(tx: Tx, person_id: str) -> date | None:
    """The last day whose check-ins crisis was told of."""
    row = await tx.fetch_one("SELECT told_until FROM check_in_trend WHERE person_id = $1", person_id)
    return row["told_until"] if row else None


async def tell_trend(tx: Tx, person_id: str, day: date) -> None:
    """Note that crisis is told of the check-ins until that day."""
    await tx.fetch(
        """INSERT INTO check_in_trend (person_id, told_until, raised_at) VALUES ($1, $2, $3)
        ON CONFLICT (person_id) DO UPDATE SET told_until = excluded.told_until, raised_at = excluded.raised_at""",
        person_id,
        day,
        tx.now,
    )
