"""What was kept elsewhere while the database was away, and is in the record now; and what is open, to page from memory
should it go away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from haven_crisis.store.deliveries import Paged
from haven_kit.database import Tx

MOST_OPEN = 1_000
MOST_PAGED = 5_000


@dataclass(frozen=True, slots=True)
class Open:
    """An open alert, as much of it as paging from memory needs."""

    alert_id: str
    person_id: str
    drill: bool
    state: int
    severity: int
    raised_at: datetime
    next_deadline: datetime
    stage: int
    traceparent: str
    turn: int | None
    """Of the round robins; None where its id says it."""


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page that was sent without a record."""

    page_id: str
    stage: int
    responder_id: str
    place: int
    channel: str
    attempt: int
    state: int
    resent: bool
    due_at: datetime
    lease_until: datetime | None
    created_at: datetime
    accepted_at: datetime | None
    failure: str


async def open_alerts(tx: Tx) -> list[Open]:
    """Open alerts, the next due first."""
    rows = await tx.read(
        """SELECT alert_id::text, person_id::text, drill, state, severity, raised_at, next_deadline, stage, traceparent,
            turn
        FROM alert WHERE state <> 6 ORDER BY next_deadline LIMIT $1""",
        MOST_OPEN,
    )
    return [Open(**row) for row in rows]


async def being_paged(tx: Tx) -> list[Paged]:
    """Pages of alerts that nobody has answered, the newest first: any of them may be answered while the record is
    away."""
    rows = await tx.read(
        """SELECT page_id::text, alert_id::text, page.responder_id, channel FROM alert JOIN page USING (alert_id)
        WHERE alert.state IN (1, 2) AND NOT drill AND page.state NOT IN (1, 6)
        ORDER BY page.created_at DESC LIMIT $1""",
        MOST_PAGED,
    )
    return [Paged(**row) for row in rows]


async def begin(tx: Tx, case_id: str) -> tuple[str, int] | None:
    """Lock a case until the commit; the alert that it became, and its cycle, where it is in the record already.

    Where it is, its row is locked too, so that this commit is one that waits for the standby: a try before, whose
    answer was lost, may have been cut off while it waited.
    """
    await tx.fetch("SELECT pg_advisory_xact_lock(hashtextextended($1, 2))", case_id)
    row = await tx.fetch_one(
        """SELECT alert.alert_id::text, cycle FROM kept JOIN alert ON alert.alert_id = became_alert_id
        WHERE case_id = $1 FOR UPDATE OF kept""",
        case_id,
    )
    return (row["alert_id"], row["cycle"]) if row is not None else None


async def entries(tx: Tx, signal_ids: Sequence[str]) -> set[str]:
    """The entries of signals that the record has."""
    rows = await tx.fetch("SELECT entry_id::text FROM timeline WHERE signal_id = ANY($1::uuid[])", signal_ids)
    return {row["entry_id"] for row in rows}


async def known_pages(tx: Tx, page_ids: Sequence[str]) -> set[str]:
    """Those of the pages that the record has."""
    rows = await tx.fetch("SELECT page_id::text FROM page WHERE page_id = ANY($1::uuid[])", page_ids)
    return {row["page_id"] for row in rows}


async def taken_since(tx: Tx, alert_id: str, at: datetime) -> bool:
    """Whether somebody took the alert at that time or later, or people were called anew for it."""
    row = await tx.fetch_one(
        """SELECT 1 FROM timeline WHERE alert_id = $1 AND at >= $2
            AND (kind IN (7, 8, 9) OR kind = 2 AND facts->>'reopens' = 'true') LIMIT 1""",
        alert_id,
        at,
    )
    return row is not None


def done(tx: Tx, case_id: str, told: str, became: str, road: int, signals: int, kept_at: datetime) -> None:
    """Note with the commit that a case is in the record. `told` is the alert's id that pages have told."""
    tx.write(
        """INSERT INTO kept (case_id, alert_id, became_alert_id, road, signals, kept_at, completed_at)
        VALUES ($1::uuid, $2::uuid, $3::uuid, $4, $5, $6, $7)""",
        case_id,
        told,
        became,
        road,
        signals,
        kept_at,
        tx.now,
    )


async def became(tx: Tx, alert_id: str) -> str | None:
    """The alert that one told by a page has become part of."""
    row = await tx.read_one(
        "SELECT became_alert_id::text AS became FROM kept WHERE alert_id = $1 ORDER BY completed_at DESC LIMIT 1",
        alert_id,
    )
    return str(row["became"]) if row is not None else None


# A page that the record has already, because the database had taken the signal after all, gets what became of it.
_PAGES = """INSERT INTO page AS p (page_id, alert_id, cycle, stage, responder_id, place, channel, attempt, state,
    resent, due_at, lease_until, worker, traceparent, created_at, accepted_at, failure)
SELECT page_id, $1, $2, stage, responder_id, place, channel, attempt, state, resent, due_at, lease_until, $3, $4,
    created_at, accepted_at, failure
FROM unnest($5::uuid[], $6::int[], $7::text[], $8::smallint[], $9::text[], $10::smallint[], $11::smallint[],
    $12::boolean[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::text[])
    AS sent (page_id, stage, responder_id, place, channel, attempt, state, resent, due_at, lease_until, created_at,
        accepted_at, failure)
ON CONFLICT (page_id) DO UPDATE SET state = excluded.state, lease_until = excluded.lease_until,
    accepted_at = excluded.accepted_at, failure = excluded.failure
WHERE p.state IN (1, 2, 5)"""

# What another replica meant to send again, taking it for lost.
_NOT_AGAIN = """UPDATE page SET state = 6 WHERE alert_id = $1 AND state = 1 AND (stage, responder_id, place) IN
(SELECT stage, responder_id, place FROM page WHERE page_id = ANY($2::uuid[]) AND state = 3)"""


async def pages(tx: Tx, alert_id: str, cycle: int, worker: str, traceparent: str, sent: Sequence[PageRow]) -> None:
    """Write pages that were sent without a record, each under its own id. The alert must be locked."""
    if not sent:
        return
    sent = await _with_free_attempts(tx, alert_id, cycle, sent)
    columns: list[list[Any]] = [
        [getattr(each, name) for each in sent]
        for name in PageRow.__slots__  # in the order of the statement
    ]
    await tx.fetch(_PAGES, alert_id, cycle, worker, traceparent, *columns)
    await tx.fetch(_NOT_AGAIN, alert_id, columns[0])


async def _with_free_attempts(tx: Tx, alert_id: str, cycle: int, sent: Sequence[PageRow]) -> list[PageRow]:
    """The alert may have had a page like one of these: then it is the next attempt."""
    rows = await tx.fetch(
        """SELECT stage, responder_id, place, max(attempt) AS last FROM page
        WHERE alert_id = $1 AND cycle = $2 AND page_id <> ALL($3::uuid[]) GROUP BY 1, 2, 3""",
        alert_id,
        cycle,
        [each.page_id for each in sent],
    )
    last = {(row["stage"], row["responder_id"], row["place"]): row["last"] for row in rows}
    return [
        replace(each, attempt=each.attempt + last.get((each.stage, each.responder_id, each.place), 0)) for each in sent
    ]
