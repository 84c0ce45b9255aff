"""What providers say about pages: whose hands a page went into, its name there, and what was told of it later.

Reports come in any order and more than once: of one page, the first that says how it ended stands, and one that it
arrived stands above all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from haven_crisis.store.pages import PageState
from haven_kit.database import Tx


@dataclass(frozen=True, slots=True)
class Sent:
    """A page that was handed to a provider."""

    page_id: str
    channel: str
    provider: str
    reference: str
    """The provider's id of it; empty where it gave none."""
    sent_at: datetime
    open_at_provider: bool
    """The provider keeps it open until it is told that somebody has the alert."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a provider says about a page it took: DELIVERED or FAILED."""

    page_id: str
    reference: str
    state: PageState
    reason: str
    """Its word for how it ended, and its number for why."""
    channel: str
    provider: str
    """Who says so."""


_SENT = """INSERT INTO delivery (page_id, channel, provider, reference, sent_at, open_at_provider)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::boolean[])
ON CONFLICT (page_id) DO UPDATE SET channel = excluded.channel, provider = excluded.provider,
    reference = COALESCE(NULLIF(excluded.reference, ''), delivery.reference), sent_at = excluded.sent_at,
    open_at_provider = excluded.open_at_provider"""


async def sent(tx: Tx, sends: Sequence[Sent]) -> None:
    """Note what was handed over, by page; of two sends of a page the later one of the list."""
    latest = list({each.page_id: each for each in sends}.values())
    await tx.fetch(
        _SENT,
        [each.page_id for each in latest],
        [each.channel for each in latest],
        [each.provider for each in latest],
        [each.reference for each in latest],
        [each.sent_at for each in latest],
        [each.open_at_provider for each in latest],
    )


# 7 is DELIVERED: it stands above a failure; otherwise what came first stands.
_REPORT = """INSERT INTO delivery AS d (page_id, reference, reported, reported_at, reason, channel, provider, applied)
VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE)
ON CONFLICT (page_id) DO UPDATE SET
    reported = excluded.reported, reported_at = excluded.reported_at, reason = excluded.reason, applied = FALSE,
    reference = COALESCE(NULLIF(d.reference, ''), excluded.reference)
WHERE d.reported = 0 OR (excluded.reported = 7 AND d.reported <> 7)"""


async def report(tx: Tx, told: Report) -> None:
    """Keep how a page ended, as its provider says; nothing where that was known."""
    await tx.fetch(
        _REPORT, told.page_id, told.reference, int(told.state), tx.now, told.reason, told.channel, told.provider
    )


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A page that a provider took, and of which nobody wrote down that it was handed over."""

    page_id: str
    alert_id: str
    responder_id: str
    place: int
    channel: str
    cycle: int
    stage: int
    drill: bool
    accepted_at: datetime


_UNWRITTEN = """SELECT page_id::text, page.alert_id::text, page.responder_id, page.place, page.channel, page.cycle,
    page.stage, alert.drill, page.accepted_at
FROM page JOIN alert USING (alert_id) LEFT JOIN delivery USING (page_id)
WHERE page.created_at >= $1 AND page.created_at < $2 AND page.state = 3 AND delivery.page_id IS NULL
ORDER BY page.created_at LIMIT $3"""


async def unwritten(tx: Tx, since: datetime, before: datetime, limit: int) -> list[Unwritten]:
    """What a replica that was killed had handed over and not written down, of the pages made in that time."""
    return [Unwritten(**row) for row in await tx.read(_UNWRITTEN, since, before, limit)]


async def unapplied(tx: Tx, limit: int) -> list[asyncpg.Record]:
    """Reports that are not in their page's record yet, of pages that have one and are not just being sent; locked."""
    return await tx.fetch(
        """SELECT delivery.page_id::text, reported, reason FROM delivery JOIN page USING (page_id)
        WHERE NOT applied AND (page.state <> 2 OR page.lease_until <= $2)
        ORDER BY page_id LIMIT $1 FOR UPDATE OF delivery SKIP LOCKED""",
        limit,
        tx.now,
    )


async def applied(tx: Tx, page_id: str) -> None:
    """The report is in the page's record."""
    await tx.fetch("UPDATE delivery SET applied = TRUE WHERE page_id = $1", page_id)


async def delivered(tx: Tx, page_id: str) -> None:
    """The page arrived, whatever was thought of it before, and all that were one message with it."""
    await tx.fetch("UPDATE page SET state = 7 WHERE (page_id = $1 OR lead = $1) AND state IN (3, 4, 5)", page_id)


# Somebody has the alert, or it is over, or paging began anew, and likewise of all that were one message with it: the
# provider need not keep this page open.
_OVER = """UPDATE delivery SET tries = tries + 1, next_try = $1 + $2::interval * least(tries + 1, 30)
FROM (
    SELECT delivery.page_id, page.responder_id, page.place FROM delivery
    JOIN page USING (page_id) JOIN alert USING (alert_id)
    WHERE open_at_provider AND (next_try IS NULL OR next_try <= $1)
    AND (alert.state NOT IN (1, 2) OR alert.cycle <> page.cycle)
    AND NOT EXISTS (SELECT FROM page AS mate JOIN alert AS other USING (alert_id)
        WHERE mate.lead = page.page_id AND other.state IN (1, 2) AND other.cycle = mate.cycle)
    LIMIT $3 FOR UPDATE OF delivery SKIP LOCKED
) AS over WHERE delivery.page_id = over.page_id
RETURNING delivery.page_id::text, channel, provider, reference, responder_id, place, tries"""


async def over(tx: Tx, again: timedelta, limit: int) -> list[asyncpg.Record]:
    """Pages that providers keep open and need not. They come again, later each time, until they are `settled`."""
    return await tx.fetch(_OVER, tx.now, again, limit)


async def settled(tx: Tx, page_ids: Sequence[str]) -> None:
    """The provider knows, or there is nobody to tell."""
    await tx.fetch("UPDATE delivery SET open_at_provider = FALSE WHERE page_id = ANY($1::uuid[])", list(page_ids))


@dataclass(frozen=True, slots=True)
class Paged:
    """Whom a page was for."""

    page_id: str
    alert_id: str
    responder_id: str
    channel: str


async def page(tx: Tx, page_id: str) -> Paged | None:
    """One page; None where it has no record, or none yet."""
    row = await tx.read_one(
        "SELECT page_id::text, alert_id::text, responder_id, channel FROM page WHERE page_id = $1", page_id
    )
    return Paged(**row) if row is not None else None


async def open_alerts(tx: Tx, responder_ids: Sequence[str], since: datetime) -> list[Paged]:
    """For each open alert that these responders were paged for by text message or call lately, the newest page; of
    several that were one message, the one that led them."""
    rows = await tx.read(
        """SELECT DISTINCT ON (page.alert_id, page.responder_id) COALESCE(lead.page_id, page.page_id)::text AS page_id,
            COALESCE(lead.alert_id, page.alert_id)::text AS alert_id, page.responder_id, page.channel
        FROM page JOIN alert USING (alert_id) LEFT JOIN page AS lead ON lead.page_id = page.lead
        WHERE page.responder_id = ANY($1::text[]) AND page.created_at >= $2 AND page.channel IN ('sms', 'voice')
        AND alert.state <> 6
        ORDER BY page.alert_id, page.responder_id, page.created_at DESC""",
        list(responder_ids),
        since,
    )
    return list(dict.fromkeys(Paged(**row) for row in rows))
