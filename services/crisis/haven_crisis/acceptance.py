"""Accepting a call for help: signal, alert, first pages and first deadline in one statement.

This is the one place where a signal becomes durable. Where it is kept while the database is away is decided here too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import asyncpg
from haven.crisis.v1 import events_pb2
from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis import facts, metrics
from haven_crisis.directory import Directory
from haven_crisis.domain.alerts import State
from haven_crisis.domain.escalation import stage_from
from haven_crisis.domain.severity import Severity
from haven_crisis.pager import Pager
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import alerts, pages
from haven_crisis.store.pages import Draft, Round
from haven_kit import ids, telemetry
from haven_kit.database import Tx
from haven_kit.errors import Internal
from haven_kit.service import Parts

# The signal goes first: whoever loses the race for its id inserts nothing and joins nothing. An alert that was
# contacted or stabilised is paged anew; `cycle_signal_id` says whether this signal began the paging.
_ACCEPT = """WITH signal AS (
    INSERT INTO signal (signal_id, person_id, source, principal_id, raised_at, accepted_at)
    VALUES ($1::uuid, $2::uuid, $3, $4, $5, $6) ON CONFLICT (signal_id) DO NOTHING RETURNING 1
), joined AS (
    INSERT INTO alert AS a (alert_id, person_id, drill, state, severity, raised_at, next_deadline, stage, cycle, seq,
        session_id, facilitator_id, responder_id, withdrawn, signals, cycle_signal_id, traceparent, changed_at)
    SELECT $7::uuid, $2::uuid, $8, 1, $9, $6, $10, $11, 0, 1, NULLIF($12::text, '')::uuid, $13, '', FALSE, 1, $1::uuid,
        $14, $6
    FROM signal
    ON CONFLICT (person_id, drill) WHERE state <> 6 DO UPDATE SET
        signals = a.signals + 1,
        severity = GREATEST(a.severity, excluded.severity, CASE WHEN a.signals + 1 >= $15 THEN 3 END),
        session_id = COALESCE(excluded.session_id, a.session_id),
        facilitator_id = COALESCE(NULLIF(excluded.facilitator_id, ''), a.facilitator_id),
        withdrawn = FALSE,
        seq = a.seq + 1,
        changed_at = excluded.changed_at,
        state = CASE WHEN a.state IN (4, 5) THEN 1 ELSE a.state END,
        cycle = CASE WHEN a.state IN (4, 5) THEN a.cycle + 1 ELSE a.cycle END,
        cycle_signal_id = CASE WHEN a.state IN (4, 5) THEN excluded.cycle_signal_id ELSE a.cycle_signal_id END,
        traceparent = CASE WHEN a.state IN (4, 5) THEN excluded.traceparent ELSE a.traceparent END,
        stage = CASE WHEN a.state IN (4, 5) THEN excluded.stage ELSE a.stage END,
        next_deadline = CASE WHEN a.state IN (4, 5) THEN excluded.next_deadline ELSE a.next_deadline END,
        responder_id = CASE WHEN a.state IN (4, 5) THEN '' ELSE a.responder_id END,
        acknowledged_at = CASE WHEN a.state IN (4, 5) THEN NULL ELSE a.acknowledged_at END,
        contacted_at = CASE WHEN a.state IN (4, 5) THEN NULL ELSE a.contacted_at END
    RETURNING alert_id, seq, cycle, severity, raised_at, signals = 1 AS raised, cycle_signal_id = $1::uuid AS paging
), entry AS (
    INSERT INTO timeline (alert_id, seq, entry_id, kind, at, actor, facts, sealed, signal_id)
    SELECT alert_id, seq, $16::uuid, CASE WHEN raised THEN 1 ELSE 2 END, $6, $4, jsonb_build_object(
            'signal_id', $1::text, 'source', $17::text, 'severity', severity::text, 'drill', $8::boolean::text,
            'session_id', $12::text, 'facilitator_id', $13::text, 'stage', $11::int::text, 'deadline', $18::text,
            'reopens', (paging AND NOT raised)::text),
        $19::bytea, $1::uuid
    FROM joined
), paged AS (
    INSERT INTO page (page_id, alert_id, cycle, stage, responder_id, place, channel, attempt, state, resent, due_at,
        lease_until, worker, traceparent, created_at, failure)
    SELECT draft.page_id, joined.alert_id, joined.cycle, $11, draft.responder_id, draft.place, draft.channel, 1, 2,
        FALSE, $6, $20::timestamptz, $21, $14, $6, ''
    FROM joined, unnest($22::uuid[], $23::text[], $24::smallint[], $25::text[])
        AS draft (page_id, responder_id, place, channel)
    WHERE joined.paging AND (draft.place = 0 OR joined.severity = 3)
), told AS (
    INSERT INTO outbox (event_id, key, subject, payload, traceparent, occurred_at)
    SELECT $26::uuid, $27, $28, $29, $30, $31 FROM joined WHERE raised
)
SELECT alert_id::text, cycle, severity, raised_at, raised, paging, (SELECT version FROM on_call_version) AS version
FROM joined"""


@dataclass(frozen=True, slots=True)
class Signal:
    """A call for help, as it came in."""

    signal_id: str
    person_id: str
    source: int
    """A SignalSource number."""
    actor: str
    raised_at: datetime
    session_id: str = ""
    facilitator_id: str = ""
    note: str = ""
    pressed: bool = False
    """A person calls now. Where a signal of this id is over, closed or taken back, that is a new call: a client that
    uses an id twice must not silence it. What services and events bring again is the old one."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a signal."""

    signal_id: str
    alert_id: str
    raised: bool
    """It opened the alert. False: it joined one, or was known already."""


class Acceptance:
    """Takes signals in."""

    def __init__(self, parts: Parts[CrisisSettings], directory: Directory, pager: Pager) -> None:
        self._parts = parts
        self._directory = directory
        self._pager = pager

    async def accept(self, tx: Tx, signal: Signal) -> Accepted:
        """Make a signal durable, and page for it once the transaction commits. The same signal_id twice is one signal.

        In a transaction that nothing has begun this is one round trip, and durable when it returns. An id that another
        person's signal has is not taken from them: the signal gets one of its own, and is not lost.
        """
        if self._directory.version == 0:
            await self._directory.read(tx)
        planned_by = self._directory.version
        source = facts.source_name(signal.source)
        drill = signal.source == pb.SIGNAL_SOURCE_DRILL
        # Every channel is drafted; the statement leaves out those that the alert's severity does not ask for.
        stage = stage_from(self._directory.book, self._directory.book.policy(), 0, tx.now)
        drafts = self._pager.drafts(stage.responders, Severity.IMMEDIATE)
        page_ids = [ids.new_id() for _ in drafts]
        entry_id = ids.new_id()
        deadline = tx.now + stage.wait
        lease_until = self._pager.lease_until(tx.now)
        traceparent = telemetry.traceparent()
        alert_id = ids.new_id()
        row = await tx.last(
            _ACCEPT,
            signal.signal_id,
            signal.person_id,
            signal.source,
            signal.actor,
            min(signal.raised_at, tx.now),
            tx.now,
            alert_id,
            drill,
            int(facts.severity_rules().of(source)),
            deadline,
            stage.number,
            signal.session_id,
            signal.facilitator_id,
            traceparent,
            facts.severity_rules().signals_make_immediate,
            entry_id,
            source,
            deadline.isoformat(),
            alerts.seal(self._parts.cipher, entry_id, alerts.Told(signal.note)) if signal.note else None,
            lease_until,
            self._pager.worker_id,
            page_ids,
            [each.responder_id for each in drafts],
            [each.place for each in drafts],
            [each.channel for each in drafts],
            *_raised(tx, alert_id, signal, drill),
        )
        metrics.SIGNALS.labels(source, "no" if row is not None else "yes").inc()
        if row is None:
            known = await _known(tx, signal)
            return known if isinstance(known, Accepted) else await self.accept(tx, replace(signal, signal_id=known))
        of = Round(row["alert_id"], row["cycle"], stage.number, drill, row["raised_at"], traceparent)
        if row["paging"]:
            chosen = [
                pages.job(of, draft, page_id, lease_until)
                for page_id, draft in zip(page_ids, drafts, strict=True)
                if draft.place == 0 or row["severity"] == Severity.IMMEDIATE
            ]
            self._pager.post(tx, chosen)
            if row["version"] != planned_by:
                await self._page_newcomers(tx, of, row, drafts)
        if row["raised"]:
            tx.wake("relay")
        tx.wake("watch")
        return Accepted(signal.signal_id, row["alert_id"], row["raised"])

    async def _page_newcomers(self, tx: Tx, of: Round, row: asyncpg.Record, known: list[Draft]) -> None:
        """The on-call plan had just changed: whoever is on call by the new one is paged too."""
        book = await self._directory.read(tx)
        stage = stage_from(book, book.policy(), 0, tx.now)
        had = {each.responder_id for each in known}
        newcomers = [each for each in stage.responders if each not in had]
        await self._pager.page(tx, of, self._pager.drafts(newcomers, row["severity"]))


async def _known(tx: Tx, signal: Signal) -> Accepted | str:
    """What became of the signal that has this id; where it is no answer to this one, an id for this one."""
    row = await tx.read_one(
        """SELECT timeline.alert_id::text, signal.person_id::text, state, withdrawn
        FROM signal JOIN timeline USING (signal_id) JOIN alert USING (alert_id) WHERE signal_id = $1""",
        signal.signal_id,
    )
    if row is None:
        # The statement's snapshot was older than the signal's commit; the next one sees it.
        raise Internal
    if row["person_id"] != signal.person_id:
        return str(uuid5(UUID(signal.signal_id), signal.person_id))
    if signal.pressed and (row["state"] == State.CLOSED or row["withdrawn"]):
        return ids.new_id()
    return Accepted(signal.signal_id, row["alert_id"], raised=False)


def _raised(tx: Tx, alert_id: str, signal: Signal, drill: bool) -> tuple[Any, ...]:
    event = events_pb2.AlertRaised(
        alert_id=alert_id, person_id=signal.person_id, session_id=signal.session_id, drill=drill
    )
    event.raised_at.FromDatetime(tx.now)
    return tx.event(event, key=alert_id)
