"""Pages. One that is born while its alert is locked belongs to the replica that made it; others are claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

import asyncpg
import orjson
from haven.crisis.v1 import alerts_pb2 as pb

from haven_crisis.domain.alerts import UNANSWERED, Alert, State
from haven_crisis.domain.escalation import NAMED_STAGE
from haven_kit import ids
from haven_kit.database import Tx


class PageState(IntEnum):
    """Numbers of haven.crisis.v1.PageState."""

    QUEUED = 1
    SENDING = 2
    ACCEPTED = 3
    FAILED = 4
    UNKNOWN = 5
    NOT_NEEDED = 6
    DELIVERED = 7


@dataclass(frozen=True, slots=True)
class Job:
    """A page that this replica has claimed and is to send before `lease_until`."""

    page_id: str
    alert_id: str
    cycle: int
    stage: int
    responder_id: str
    place: int
    channel: str
    attempt: int
    resent: bool
    drill: bool
    raised_at: datetime
    traceparent: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """A page to be made: the responder's channel at `place` in their list."""

    responder_id: str
    place: int
    channel: str
    attempt: int = 1
    resent: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """What the pages of one stage of an alert share."""

    alert_id: str
    cycle: int
    stage: int
    drill: bool
    raised_at: datetime
    traceparent: str


LAST_OF_STEPS = 999_999
"""Greater stages are the auditor's, which pages whoever has the alert."""


def wanted(alert: Alert, cycle: int, stage: int) -> bool:
    """Whether a page is still to go out: nobody has answered, and paging did not begin anew; or it was asked for by
    somebody, or by the auditor, who want it whoever has the alert."""
    asked = stage < NAMED_STAGE or stage > LAST_OF_STEPS
    return alert.state is not State.CLOSED if asked else alert.state in UNANSWERED and alert.cycle == cycle


# The same in SQL.
_WANTED = f"""CASE WHEN {{stage}} BETWEEN {NAMED_STAGE} AND {LAST_OF_STEPS}
    THEN alert.state IN (1, 2) AND alert.cycle = {{cycle}} ELSE alert.state <> 6 END"""
_PAGE_WANTED = _WANTED.format(cycle="page.cycle", stage="page.stage")

# A page of a step of an alert that is one of a flood: sent together with others. What somebody asked for is not.
_GATHERED = f"alert.gathered AND {{stage}} BETWEEN 0 AND {LAST_OF_STEPS}"
_PAGE_GATHERED = f"({_GATHERED.format(stage='page.stage')})"

# What is not wanted any more is not made. With the alert locked it stays wanted until the commit.
# One made before is looked for, not run into: a conflict would wait for whoever notes how that page went, and they may
# wait for the alert, which is locked here.
_CREATE = f"""INSERT INTO page (page_id, alert_id, cycle, stage, responder_id, place, channel, attempt, state, resent,
    due_at, lease_until, worker, traceparent, created_at, failure)
SELECT page_id, $1::uuid, $2::int, $3, responder_id, place, channel, attempt, CASE WHEN together THEN 1 ELSE $4 END,
    resent, $5, CASE WHEN NOT together THEN $6::timestamptz END, CASE WHEN together THEN '' ELSE $7 END, $8, $9, ''
FROM unnest($10::uuid[], $11::text[], $12::smallint[], $13::text[], $14::smallint[], $15::boolean[])
    AS draft (page_id, responder_id, place, channel, attempt, resent),
    (SELECT {_GATHERED.format(stage="$3::int")} AS together FROM alert
    WHERE alert_id = $1::uuid AND {_WANTED.format(cycle="$2::int", stage="$3::int")}) AS held
WHERE NOT EXISTS (SELECT 1 FROM page AS made WHERE made.alert_id = $1::uuid AND made.cycle = $2::int AND made.stage = $3
    AND made.responder_id = draft.responder_id AND made.place = draft.place AND made.attempt = draft.attempt)
ON CONFLICT DO NOTHING RETURNING page_id::text, state"""


async def create(tx: Tx, of: Round, drafts: Sequence[Draft], worker: str, lease_until: datetime) -> list[Job]:
    """Make pages that this replica sends after the commit. The alert must be locked. One made before is left out, and
    so are all where they are not `wanted`. Those of a flood are queued instead: `gather` sends them together."""
    made = await _insert(tx, of, drafts, PageState.SENDING, tx.now, worker, lease_until)
    if any(state == PageState.QUEUED for _, _, state in made):
        tx.wake("gathered")
    return [job(of, draft, page_id, lease_until) for page_id, draft, state in made if state == PageState.SENDING]


async def queue(tx: Tx, of: Round, drafts: Sequence[Draft], due_at: datetime) -> None:
    """Make pages that any replica claims when they are due."""
    await _insert(tx, of, drafts, PageState.QUEUED, due_at, "", None)


def job(of: Round, draft: Draft, page_id: str, lease_until: datetime) -> Job:
    """The job of sending a page."""
    return Job(
        page_id,
        of.alert_id,
        of.cycle,
        of.stage,
        draft.responder_id,
        draft.place,
        draft.channel,
        draft.attempt,
        draft.resent,
        of.drill,
        of.raised_at,
        of.traceparent,
        lease_until,
    )


async def _insert(
    tx: Tx, of: Round, drafts: Sequence[Draft], state: PageState, due_at: datetime, worker: str, lease: datetime | None
) -> list[tuple[str, Draft, int]]:
    if not drafts:
        return []
    by_id = {ids.new_id(): draft for draft in drafts}
    rows = await tx.fetch(
        _CREATE,
        of.alert_id,
        of.cycle,
        of.stage,
        int(state),
        due_at,
        lease,
        worker,
        of.traceparent,
        tx.now,
        list(by_id),
        [each.responder_id for each in drafts],
        [each.place for each in drafts],
        [each.channel for each in drafts],
        [each.attempt for each in drafts],
        [each.resent for each in drafts],
    )
    return [(row["page_id"], by_id[row["page_id"]], row["state"]) for row in rows]


# A page whose lease ran out may or may not have been sent: it is sent again, and says so.
_EXPIRE = """WITH lost AS (
    UPDATE page SET state = 5, lease_until = NULL, failure = 'lease ran out' WHERE page_id IN (
        SELECT page_id FROM page WHERE state = 2 AND lease_until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING *
)
INSERT INTO page (page_id, alert_id, cycle, stage, responder_id, place, channel, attempt, state, resent, due_at, worker,
    traceparent, created_at, failure)
SELECT gen_random_uuid(), alert_id, cycle, stage, responder_id, place, channel, attempt + 1, 1, TRUE, $1, '',
    traceparent, $1, '' FROM lost
ON CONFLICT DO NOTHING"""

_DROP = f"""UPDATE page SET state = 6 WHERE page_id IN (
    SELECT page_id FROM page JOIN alert USING (alert_id)
    WHERE page.state = 1 AND page.due_at <= $1 AND NOT ({_PAGE_WANTED})
    LIMIT $2 FOR UPDATE OF page SKIP LOCKED)"""

# The lock on the alert makes claim and acknowledgement take turns: a page claimed here began before the acknowledgement
# commits, and one that finds it committed is not claimed.
_CLAIM = f"""WITH due AS (
    SELECT page.page_id, alert.drill, alert.raised_at FROM page JOIN alert USING (alert_id)
    WHERE page.state = 1 AND page.due_at <= $1 AND {_PAGE_WANTED} AND NOT {_PAGE_GATHERED}
    ORDER BY page.due_at LIMIT $2 FOR UPDATE OF page SKIP LOCKED FOR SHARE OF alert SKIP LOCKED
)
UPDATE page SET state = 2, worker = $3, lease_until = $4 FROM due WHERE page.page_id = due.page_id
RETURNING page.page_id::text, page.alert_id::text, cycle, stage, responder_id, place, channel, attempt, resent,
    due.drill, due.raised_at, traceparent, lease_until"""


async def claim(tx: Tx, worker: str, lease_until: datetime, limit: int) -> list[Job]:
    """Pages that are due, claimed for this replica; those of a replica that died among them."""
    await tx.fetch(_EXPIRE, tx.now, limit)
    await tx.fetch(_DROP, tx.now, limit)
    return [Job(**row) for row in await tx.fetch(_CLAIM, tx.now, limit, worker, lease_until)]


# Whose turn it is: the system, responder and channel whose oldest page is due, and that had no page sent together since
# `$2`. One replica sends them: others that find the same wait for its commit, and then find that it is no turn.
_TURN = f"""INSERT INTO gathering AS held (origin, responder_id, place, began_at)
SELECT alert.origin, page.responder_id, page.place, $1 FROM page JOIN alert USING (alert_id)
WHERE page.state = 1 AND page.due_at <= $1 AND {_PAGE_WANTED} AND {_PAGE_GATHERED}
AND NOT EXISTS (SELECT FROM gathering AS lately WHERE lately.origin = alert.origin AND lately.place = page.place
    AND lately.responder_id = page.responder_id AND lately.began_at > $2)
ORDER BY page.due_at, page.page_id LIMIT 1
ON CONFLICT (origin, responder_id, place) DO UPDATE SET began_at = excluded.began_at WHERE held.began_at <= $2
RETURNING origin, responder_id, place"""

_GATHER = f"""WITH due AS (
    SELECT page.page_id, page.due_at, alert.drill, alert.raised_at FROM page JOIN alert USING (alert_id)
    WHERE page.state = 1 AND page.due_at <= $1 AND {_PAGE_WANTED} AND {_PAGE_GATHERED}
    AND alert.origin = $5 AND page.responder_id = $6 AND page.place = $7
    ORDER BY page.due_at, page.page_id LIMIT $2 FOR UPDATE OF page SKIP LOCKED FOR SHARE OF alert SKIP LOCKED
)
UPDATE page SET state = 2, worker = $3, lease_until = $4,
    lead = (SELECT page_id FROM due ORDER BY due_at, page_id LIMIT 1)
FROM due WHERE page.page_id = due.page_id
RETURNING page.page_id::text, page.alert_id::text, cycle, stage, responder_id, place, channel, attempt, resent,
    due.drill, due.raised_at, traceparent, lease_until, page.page_id = lead AS leads"""


async def gather(tx: Tx, worker: str, lease_until: datetime, apart: timedelta, limit: int) -> list[Job]:
    """Pages of a flood that go to one responder on one channel as one message, claimed for this replica; the first
    leads them. The first of a flood goes at once; what comes then waits until `apart` has passed. Empty: none is due.
    """
    turn = await tx.fetch_one(_TURN, tx.now, tx.now - apart)
    if turn is None:
        return []
    rows = await tx.fetch(_GATHER, tx.now, limit, worker, lease_until, *turn.values())
    if not rows:
        # Others hold them all: nothing was sent, and nobody is to wait for it.
        await tx.fetch("DELETE FROM gathering WHERE origin = $1 AND responder_id = $2 AND place = $3", *turn.values())
    rows.sort(key=lambda row: not row["leads"])
    return [Job(**{name: value for name, value in row.items() if name != "leads"}) for row in rows]


async def together(tx: Tx, page_id: str) -> list[tuple[str, str]]:
    """The pages that went out as one message with this one, each with its alert, in the order of the alerts; itself
    alone where it went alone. Empty where there is no such page."""
    rows = await tx.read(
        """SELECT page.page_id::text, page.alert_id::text FROM page
        WHERE page.page_id = $1 OR page.lead = (SELECT lead FROM page WHERE page_id = $1) ORDER BY 2""",
        page_id,
    )
    return [(row["page_id"], row["alert_id"]) for row in rows]


async def about(tx: Tx, page_id: str, alert_id: str) -> list[str]:
    """The alerts that an answer to a page is about: its own; where it was one message with others, those of them that
    are still of the flood. Who has called for help otherwise since is paged, and answered, alone."""
    rows = await tx.read(
        """SELECT page.alert_id::text FROM page JOIN alert USING (alert_id)
        WHERE page.lead = (SELECT lead FROM page WHERE page_id = $1) AND alert.gathered ORDER BY 1""",
        page_id,
    )
    return [row["alert_id"] for row in rows] or [alert_id]


# One statement, because every page ends here: the page, the alert's state and place in its timeline, the entry, and
# the event.
_ACCEPTED = """WITH ended AS (
    UPDATE page SET state = 3, lease_until = NULL, accepted_at = $3
    WHERE page_id = $1 AND worker = $2 AND state = 2 RETURNING alert_id, cycle
), touched AS (
    UPDATE alert SET seq = alert.seq + 1, changed_at = $3,
        state = CASE WHEN alert.state = 1 AND alert.cycle = ended.cycle THEN 2 ELSE alert.state END
    FROM ended WHERE alert.alert_id = ended.alert_id RETURNING alert.alert_id, alert.seq
), told AS (
    INSERT INTO outbox (event_id, key, subject, payload, traceparent, occurred_at)
    SELECT $7::uuid, $8, $9, $10, $11, $12 FROM touched
)
INSERT INTO timeline (alert_id, seq, entry_id, kind, at, actor, facts)
SELECT alert_id, seq, $4, 4, $3, $5, $6::text::jsonb FROM touched RETURNING 1"""


async def accepted(tx: Tx, page_id: str, worker: str, facts: Mapping[str, str], event: tuple[Any, ...]) -> bool:
    """Note that a provider took a page, and tell it. False when its lease had run out: it is not this replica's now."""
    row = await tx.last(
        _ACCEPTED, page_id, worker, tx.now, ids.new_id(), tx.principal.id, orjson.dumps(facts).decode(), *event
    )
    return row is not None


async def ended(tx: Tx, page_id: str, worker: str, state: PageState, failure: str) -> bool:
    """Note a page that no provider took for certain. False when its lease had run out, so that it is another's now."""
    row = await tx.fetch_one(
        """UPDATE page SET state = $3, failure = $4, lease_until = NULL
        WHERE page_id = $1 AND worker = $2 AND state = 2 RETURNING 1""",
        page_id,
        worker,
        int(state),
        failure,
    )
    return row is not None


async def given_back(tx: Tx, page_id: str, worker: str) -> bool:
    """Queue a claimed page that was not sent, for any replica. False when its lease had run out."""
    row = await tx.fetch_one(
        """UPDATE page SET state = 1, worker = '', lease_until = NULL, lead = NULL
        WHERE page_id = $1 AND worker = $2 AND state = 2 RETURNING 1""",
        page_id,
        worker,
    )
    return row is not None


_FAILED_LATER = """UPDATE page SET state = 4, failure = $2, lease_until = NULL FROM alert
WHERE page_id = $1 AND page.state IN (2, 3, 5) AND alert.alert_id = page.alert_id
RETURNING page.page_id::text, page.alert_id::text, page.cycle, page.stage, page.responder_id, place, channel, attempt,
    resent, alert.drill, alert.raised_at, page.traceparent, due_at AS lease_until"""


async def failed_later(tx: Tx, page_id: str, failure: str) -> Job | None:
    """Note that a page which a provider had taken never arrived. None where that is known, or it was delivered."""
    row = await tx.fetch_one(_FAILED_LATER, page_id, failure)
    return Job(**row) if row is not None else None


_LIST = """SELECT page_id::text, responder_id, channel, stage, attempt, state, resent, created_at, accepted_at, failure
FROM page WHERE alert_id = $1 AND page_id > $2::uuid ORDER BY page_id LIMIT $3"""
FIRST = "00000000-0000-0000-0000-000000000000"


async def of_alert(tx: Tx, alert_id: str, after: str = FIRST, limit: int | None = None) -> list[pb.Page]:
    """The pages of an alert, in order of their ids."""
    return [_shown(row) for row in await tx.fetch(_LIST, alert_id, after, limit)]


def _shown(row: asyncpg.Record) -> pb.Page:
    shown = pb.Page(
        page_id=row["page_id"],
        responder_id=row["responder_id"],
        channel=row["channel"],
        stage=row["stage"],
        attempt=row["attempt"],
        state=pb.PageState.ValueType(row["state"]),
        resent=row["resent"],
        failure=row["failure"],
    )
    shown.created_at.FromDatetime(row["created_at"])
    if row["accepted_at"] is not None:
        shown.accepted_at.FromDatetime(row["accepted_at"])
    return shown


async def was_paged(tx: Tx, alert_id: str, responder_id: str) -> bool:
    """Whether somebody was paged for an alert."""
    row = await tx.fetch_one("SELECT 1 FROM page WHERE alert_id = $1 AND responder_id = $2", alert_id, responder_id)
    return row is not None


async def being_paged(tx: Tx, alert_id: str, cycle: int) -> list[tuple[int, str, int]]:
    """Stage, responder and place of the channel of the pages of a cycle, each once, in order. Those that only a rule of
    the responder asked for are left out: they may be due later."""
    rows = await tx.fetch(
        """SELECT DISTINCT stage, responder_id, place FROM page WHERE alert_id = $1 AND cycle = $2 AND attempt > 0
        ORDER BY 1, 2, 3""",
        alert_id,
        cycle,
    )
    return [(row["stage"], row["responder_id"], row["place"]) for row in rows]


async def stuck(tx: Tx, before: datetime) -> int:
    """How many pages of unanswered alerts were due, or their lease over, before a moment, and are not on their way."""
    row = await tx.fetch_one(
        f"""SELECT count(*) AS found FROM page JOIN alert USING (alert_id)
        WHERE page.state IN (1, 2) AND COALESCE(page.lease_until, page.due_at) < $1 AND {_PAGE_WANTED}""",
        before,
    )
    return int(row["found"]) if row is not None else 0
