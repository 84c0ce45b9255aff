"""The one statement that makes a call for help durable: signal, alert, first pages, first deadline, and their news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import orjson
from haven.crisis.v1 import events_pb2
from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis.domain.signals import Signal
from haven_crisis.store.pages import Draft
from haven_kit.database import Tx

# An alert that was contacted or stabilised is paged anew. So is one of a flood, alone, when somebody else than its
# system calls for help: theirs is not to be one of many.
_ANEW = "(a.state IN (4, 5) OR (a.gathered AND a.origin <> excluded.origin))"

# The signal goes first: whoever loses the race for its id inserts nothing and joins nothing. `cycle_signal_id` says
# whether this signal began the paging. Pages of a flood are queued, to be sent together (`pages.gather`).
# A turn is taken only for a person without an open alert, since a sequence takes none back: what joins takes none.
# `turn_of` is the turn of an alert without one; each draft is of the alerts whose turn leaves its remainder.
_ACCEPT = f"""WITH signal AS (
    INSERT INTO signal (signal_id, person_id, source, principal_id, raised_at, accepted_at)
    VALUES ($1::uuid, $2::uuid, $3, $4, $5, $6) ON CONFLICT (signal_id) DO NOTHING RETURNING 1
), joined AS (
    INSERT INTO alert AS a (alert_id, person_id, drill, state, severity, raised_at, next_deadline, stage, cycle, seq,
        session_id, facilitator_id, responder_id, withdrawn, signals, cycle_signal_id, traceparent, changed_at, turn,
        origin, gathered)
    SELECT $7::uuid, $2::uuid, $8, 1, $9::smallint, $6, $10, $11, 0, 1, NULLIF($12::text, '')::uuid, $13, '', FALSE, 1,
        $1::uuid, $14, $6, CASE WHEN $33::boolean
            AND NOT EXISTS (SELECT 1 FROM alert WHERE person_id = $2::uuid AND drill = $8 AND state <> 6)
            THEN nextval(CASE WHEN $8 THEN 'drill_turn' ELSE 'alert_turn' END::regclass) END,
        $36::text, CASE WHEN $36::text = '' OR $9::smallint >= 3 THEN FALSE ELSE (
            SELECT count(*) >= $37::int FROM (SELECT FROM alert WHERE origin = $36::text
                AND raised_at > $6::timestamptz - interval '1 minute' LIMIT $37::int) AS lately) END
    FROM signal
    ON CONFLICT (person_id, drill) WHERE state <> 6 DO UPDATE SET
        signals = a.signals + 1,
        severity = GREATEST(a.severity, excluded.severity, CASE WHEN a.signals + 1 >= $15 THEN 3 END),
        session_id = COALESCE(excluded.session_id, a.session_id),
        facilitator_id = COALESCE(NULLIF(excluded.facilitator_id, ''), a.facilitator_id),
        withdrawn = FALSE,
        seq = a.seq + 1,
        changed_at = excluded.changed_at,
        state = CASE WHEN {_ANEW} THEN 1 ELSE a.state END,
        cycle = CASE WHEN {_ANEW} THEN a.cycle + 1 ELSE a.cycle END,
        cycle_signal_id = CASE WHEN {_ANEW} THEN excluded.cycle_signal_id ELSE a.cycle_signal_id END,
        traceparent = CASE WHEN {_ANEW} THEN excluded.traceparent ELSE a.traceparent END,
        stage = CASE WHEN {_ANEW} THEN excluded.stage ELSE a.stage END,
        next_deadline = CASE WHEN {_ANEW} THEN excluded.next_deadline ELSE a.next_deadline END,
        responder_id = CASE WHEN {_ANEW} THEN '' ELSE a.responder_id END,
        offered_to = CASE WHEN {_ANEW} THEN '' ELSE a.offered_to END,
        lease_renewed = a.lease_renewed AND NOT {_ANEW},
        acknowledged_at = CASE WHEN {_ANEW} THEN NULL ELSE a.acknowledged_at END,
        contacted_at = CASE WHEN {_ANEW} THEN NULL ELSE a.contacted_at END,
        gathered = a.gathered AND a.origin = excluded.origin
            AND GREATEST(a.severity, excluded.severity, CASE WHEN a.signals + 1 >= $15 THEN 3 END) < 3
    RETURNING alert_id, seq, cycle, severity, raised_at, signals = 1 AS raised, cycle_signal_id = $1::uuid AS paging,
        origin, gathered,
        COALESCE(a.turn, ('x' || right(alert_id::text, 8))::bit(32)::bigint) AS turn
), entry AS (
    INSERT INTO timeline (alert_id, seq, entry_id, kind, at, actor, facts, sealed, signal_id)
    SELECT alert_id, seq, $16::uuid, CASE WHEN raised THEN 1 ELSE 2 END, $6, $4, jsonb_build_object(
            'signal_id', $1::text, 'source', $17::text, 'severity', severity::text, 'drill', $8::boolean::text,
            'session_id', $12::text, 'facilitator_id', $13::text, 'stage', $11::int::text, 'deadline', $18::text,
            'reopens', (paging AND NOT raised)::text, 'turn', turn::text)
            || CASE WHEN raised AND gathered THEN '{{"gathered": "true"}}' ELSE '{{}}' END::jsonb || $32::text::jsonb,
        $19::bytea, $1::uuid
    FROM joined
), paged AS (
    INSERT INTO page (page_id, alert_id, cycle, stage, responder_id, place, channel, attempt, state, resent, due_at,
        lease_until, worker, traceparent, created_at, failure)
    SELECT draft.page_id, joined.alert_id, joined.cycle, $11, draft.responder_id, draft.place, draft.channel, 1,
        CASE WHEN gathered THEN 1 ELSE 2 END, FALSE, $6, CASE WHEN NOT gathered THEN $20::timestamptz END,
        CASE WHEN gathered THEN '' ELSE $21 END, $14, $6, ''
    FROM joined, unnest($22::uuid[], $23::text[], $24::smallint[], $25::text[], $34::smallint[])
        AS draft (page_id, responder_id, place, channel, turn)
    WHERE joined.paging AND (draft.place = 0 OR joined.severity = 3) AND draft.turn = joined.turn % $35::int
), told AS (
    INSERT INTO outbox (event_id, key, subject, payload, traceparent, occurred_at)
    SELECT $26::uuid, $27, $28, $29, $30, $31 FROM joined WHERE raised
)
SELECT alert_id::text, cycle, severity, raised_at, raised, paging, turn, gathered,
    origin <> '' AND NOT gathered AS apart, (SELECT version FROM on_call_version) AS version,
    (SELECT sealed FROM person_record WHERE person_id = $2::uuid AND kind = 'location') AS place
FROM joined"""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that accepting a signal will write, decided before the database is asked."""

    signal: Signal
    source: str
    """The signal's source as the rules name it."""
    drill: bool
    severity: int
    makes_immediate: int
    """How many signals of one alert make it immediate."""
    alert_id: str
    """Of the alert that the signal raises, where it joins none."""
    entry_id: str
    sealed: bytes | None
    """The note, sealed for the entry."""
    stage: int
    deadline: datetime
    pages: tuple[tuple[tuple[str, Draft], ...], ...]
    """The first pages with their ids, each channel of each responder: the statement leaves out those that the alert's
    severity does not ask for. For each turn of a round robin its own; else one of these alone."""
    worker: str
    lease_until: datetime
    traceparent: str
    flood: int
    """How many alerts of one integrated system within a minute make its further ones a flood."""
    takes_turn: bool = False
    """Whether an alert that the signal raises takes the next turn of the round robins; else its id says which."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """More for the signal's entry: where it was kept while the database was away, say."""

    @property
    def origin(self) -> str:
        """The integrated system that the signal is from; empty for what people and Haven itself tell."""
        return self.signal.actor if self.signal.source == pb.SIGNAL_SOURCE_INTEGRATED_SYSTEM else ""

    def pages_of(self, turn: int) -> tuple[tuple[str, Draft], ...]:
        """The first pages of an alert that has this turn."""
        return self.pages[turn % len(self.pages)]


async def accept(tx: Tx, plan: Plan) -> asyncpg.Record | None:
    """Make the signal durable. None where its id is taken; else `alert_id`, `cycle`, `severity`, `raised_at`, whether
    it `raised` the alert and began `paging`, the alert's `turn`, whether its pages are `gathered` with others of a
    flood or, though it came from a system, go out `apart`, and the `version` of the on-call plan."""
    signal, pages = plan.signal, [(*page, turn) for turn, each in enumerate(plan.pages) for page in each]
    return await tx.last(
        _ACCEPT,
        signal.signal_id,
        signal.person_id,
        signal.source,
        signal.actor,
        min(signal.raised_at, tx.now),
        tx.now,
        plan.alert_id,
        plan.drill,
        plan.severity,
        plan.deadline,
        plan.stage,
        signal.session_id,
        signal.facilitator_id,
        plan.traceparent,
        plan.makes_immediate,
        plan.entry_id,
        plan.source,
        plan.deadline.isoformat(),
        plan.sealed,
        plan.lease_until,
        plan.worker,
        [page_id for page_id, _, _ in pages],
        [draft.responder_id for _, draft, _ in pages],
        [draft.place for _, draft, _ in pages],
        [draft.channel for _, draft, _ in pages],
        *_raised(tx, plan),
        orjson.dumps(dict(plan.facts)).decode(),
        plan.takes_turn,
        [turn for _, _, turn in pages],
        len(plan.pages),
        plan.origin,
        plan.flood,
    )


async def known(tx: Tx, signal_id: str) -> asyncpg.Record | None:
    """What became of the signal that has this id: `alert_id`, `person_id`, the alert's `state`, and `withdrawn`."""
    return await tx.read_one(
        """SELECT timeline.alert_id::text, signal.person_id::text, state, withdrawn
        FROM signal JOIN timeline USING (signal_id) JOIN alert USING (alert_id) WHERE signal_id = $1""",
        signal_id,
    )


def _raised(tx: Tx, plan: Plan) -> tuple[Any, ...]:
    event = events_pb2.AlertRaised(
        alert_id=plan.alert_id, person_id=plan.signal.person_id, session_id=plan.signal.session_id, drill=plan.drill
    )
    event.raised_at.FromDatetime(tx.now)
    return tx.event(event, key=plan.alert_id)
