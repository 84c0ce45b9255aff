"""Proposals of more care, and the alerts that speak for one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import asyncpg
from haven.intake.v1 import screening_service_pb2
from haven.intake.v1 import step_up_service_pb2 as pb

from haven_kit import etags, words
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page

_COLUMNS = "proposal_id::text AS proposal_id, person_id::text AS person_id, version, sealed"
_MOST_SCREENINGS = 50


@dataclass(frozen=True, slots=True)
class Record:
    """A proposal as stored."""

    version: int
    message: pb.StepUpProposal


def _record(cipher: Cipher, row: asyncpg.Record) -> Record:
    message = cipher.open(pb.StepUpProposal, row["sealed"], context=f"step_up/{row['proposal_id']}")
    message.etag = etags.of(row["version"])
    return Record(row["version"], message)


async def get(tx: Tx, cipher: Cipher, proposal_id: str, *, lock: bool = False) -> Record:
    """One proposal. Raises NotFound."""
    row = await tx.fetch_one(
        f"SELECT {_COLUMNS} FROM step_up WHERE proposal_id = $1{' FOR UPDATE' if lock else ''}", proposal_id
    )
    if row is None:
        raise NotFound("step-up proposal")
    return _record(cipher, row)


async def open_of(tx: Tx, cipher: Cipher, person_id: str) -> Record | None:
    """The person's open proposal, locked."""
    row = await tx.fetch_one(
        f"SELECT {_COLUMNS} FROM step_up WHERE person_id = $1 AND state = 'open' FOR UPDATE", person_id
    )
    return _record(cipher, row) if row else None


async def decided_since(tx: Tx, cipher: Cipher, person_id: str, since: datetime) -> list[pb.StepUpProposal]:
    """The person's proposals that were decided since a moment."""
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM step_up WHERE person_id = $1 AND decided_at >= $2 LIMIT 50", person_id, since
    )
    return [_record(cipher, row).message for row in rows]


async def put(tx: Tx, cipher: Cipher, proposal: pb.StepUpProposal) -> Record:
    """Write a proposal as it is now; one that was there must be locked."""
    kept = pb.StepUpProposal()
    kept.CopyFrom(proposal)
    kept.ClearField("etag")
    decided = kept.decided_at.ToDatetime(tx.now.tzinfo) if kept.HasField("decided_at") else None
    (row,) = await tx.fetch(
        f"""INSERT INTO step_up AS held (proposal_id, person_id, state, proposed_at, decided_at, version, sealed)
        VALUES ($1, $2, $3, $4, $5, 1, $6) ON CONFLICT (proposal_id) DO UPDATE SET state = excluded.state,
            decided_at = excluded.decided_at, version = held.version + 1, sealed = excluded.sealed
        RETURNING {_COLUMNS}""",
        kept.proposal_id,
        kept.person_id,
        words.word(pb.StepUpState, kept.state),
        kept.proposed_at.ToDatetime(tx.now.tzinfo),
        decided,
        cipher.seal(kept, context=f"step_up/{kept.proposal_id}"),
    )
    return _record(cipher, row)


async def page(
    tx: Tx, cipher: Cipher, *, principal_id: str, sees_all: bool, person_id: str, decided: bool, page: Page
) -> list[Record]:
    """A page of proposals that the principal may see, the newest first, and one more where there is one."""
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM step_up WHERE ($1 OR EXISTS (SELECT 1 FROM care_team
            WHERE care_team.person_id = step_up.person_id AND care_team.principal_id = $2))
        AND ($3::uuid IS NULL OR person_id = $3) AND ($4 OR state = 'open')
        AND ($5::uuid IS NULL OR proposal_id < $5::uuid) ORDER BY proposal_id DESC LIMIT $6""",
        sees_all,
        principal_id,
        person_id or None,
        decided,
        page.after[0] if page.after else None,
        page.size + 1,
    )
    return [_record(cipher, row) for row in rows]


async def totals(tx: Tx, cipher: Cipher, person_id: str, instrument_id: str) -> list[tuple[datetime, int]]:
    """The latest totals of an instrument, with when they were scored."""
    rows = await tx.fetch(
        """SELECT screening_id::text AS screening_id, scored_at, sealed FROM screening
        WHERE person_id = $1 AND instrument_id = $2 AND scored_at IS NOT NULL ORDER BY scored_at DESC LIMIT $3""",
        person_id,
        instrument_id,
        _MOST_SCREENINGS,
    )
    return [
        (
            row["scored_at"],
            cipher.open(
                screening_service_pb2.Screening, row["sealed"], context=f"screening/{row['screening_id']}"
            ).score.total,
        )
        for row in rows
    ]


async def see_alert(tx: Tx, alert_id: str, person_id: str, raised_at: datetime, since: datetime) -> int:
    """Note an alert of a person. Returns how many there are since a moment, this one among them."""
    await tx.fetch(
        "INSERT INTO alert_seen (alert_id, person_id, raised_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        alert_id,
        person_id,
        raised_at,
    )
    row = await tx.fetch_one(
        "SELECT count(*) AS number FROM alert_seen WHERE person_id = $1 AND raised_at >= $2", person_id, since
    )
    return int(row["number"]) if row else 0
