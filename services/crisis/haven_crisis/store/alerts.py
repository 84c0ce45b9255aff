"""Alerts and their timelines. A command loads the alert locked, and saves it with the entries it added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import reduce

import asyncpg
import orjson
from haven.crisis.v1 import alerts_pb2 as pb

from haven_crisis.domain.alerts import Alert, CoSignature, Entry, Kind, State, apply
from haven_crisis.domain.severity import Severity
from haven_kit import etags, ids
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound

COLUMNS = """alert_id::text, person_id::text, drill, state, severity, raised_at, next_deadline, stage, cycle, seq,
COALESCE(session_id::text, '') AS session_id, facilitator_id, responder_id, acknowledged_at, contacted_at, closed_at,
COALESCE(follow_up_id::text, '') AS follow_up_id, withdrawn, signals, offered_to, observers,
lease_renewed, co_signature"""

_GET = f"SELECT {COLUMNS} FROM alert WHERE alert_id = $1"
_GET_LOCKED = f"{_GET} FOR NO KEY UPDATE"
_SAVE = """WITH saved AS (
    UPDATE alert SET state = $2, severity = $3, next_deadline = $4, stage = $5, cycle = $6, seq = $7, session_id = $8,
        facilitator_id = $9, responder_id = $10, acknowledged_at = $11, contacted_at = $12, closed_at = $13,
        follow_up_id = $14, withdrawn = $15, signals = $16, changed_at = $17, offered_to = $25,
        observers = $26::text[], lease_renewed = $27, co_signature = $28
    WHERE alert_id = $1
)
INSERT INTO timeline (alert_id, seq, entry_id, kind, at, actor, facts, sealed)
SELECT $1, seq, entry_id, kind, at, actor, facts::jsonb, sealed FROM unnest(
    $18::int[], $19::uuid[], $20::smallint[], $21::timestamptz[], $22::text[], $23::text[], $24::bytea[]
) AS entry (seq, entry_id, kind, at, actor, facts, sealed)"""


@dataclass(frozen=True, slots=True)
class Told:
    """What a human wrote with an entry; sealed."""

    note: str = ""
    closing: pb.Closing | None = None
    debrief: pb.Debrief | None = None


_FIELDS = tuple(each.name for each in fields(Alert))


def of_row(row: asyncpg.Record) -> Alert:
    """The alert in a row that has COLUMNS."""
    values = {name: row[name] for name in _FIELDS}
    values |= {
        "state": State(row["state"]),
        "severity": Severity(row["severity"]),
        "observers": tuple(row["observers"]),
        "co_signature": CoSignature(row["co_signature"]),
    }
    return Alert(**values)


def message(alert: Alert) -> pb.Alert:
    """The alert as callers see it."""
    shown = pb.Alert(
        alert_id=alert.alert_id,
        person_id=alert.person_id,
        state=pb.AlertState.ValueType(alert.state),
        severity=pb.Severity.ValueType(alert.severity),
        drill=alert.drill,
        session_id=alert.session_id,
        facilitator_id=alert.facilitator_id,
        responder_id=alert.responder_id,
        stage=alert.stage,
        withdrawn=alert.withdrawn,
        etag=etags.of(alert.seq),
        follow_up_id=alert.follow_up_id,
        offered_to=alert.offered_to,
        observers=alert.observers,
        lease_renewed=alert.lease_renewed,
        co_signature=pb.CoSignature.ValueType(alert.co_signature),
        signals=alert.signals,
    )
    shown.raised_at.FromDatetime(alert.raised_at)
    for name in ("next_deadline", "acknowledged_at", "contacted_at", "closed_at"):
        at: datetime | None = getattr(alert, name)
        if at is not None:
            getattr(shown, name).FromDatetime(at)
    return shown


async def get(tx: Tx, alert_id: str, *, lock: bool = False) -> Alert:
    """One alert; `lock` keeps it from changing until the commit. Raises NotFound."""
    row = await tx.fetch_one(_GET_LOCKED if lock else _GET, alert_id)
    if row is None:
        raise NotFound("alert")
    return of_row(row)


async def open_of(tx: Tx, person_id: str) -> Alert | None:
    """The person's open alert that is no drill."""
    row = await tx.fetch_one(
        f"SELECT {COLUMNS} FROM alert WHERE person_id = $1 AND NOT drill AND state <> 6",
        person_id,
    )
    return of_row(row) if row is not None else None


async def of_signal(tx: Tx, signal_id: str, *, lock: bool = False) -> Alert:
    """The alert that a signal raised or joined. Raises NotFound("signal")."""
    row = await tx.fetch_one("SELECT alert_id::text FROM timeline WHERE signal_id = $1", signal_id)
    if row is None:
        raise NotFound("signal")
    return await get(tx, row["alert_id"], lock=lock)


async def add(tx: Tx, cipher: Cipher, alert: Alert, entries: Sequence[Entry], told: Told | None = None) -> Alert:
    """The alert after the entries, saved. `told` is kept sealed with the first of them. The alert must be locked."""
    if not entries:
        return alert
    after = reduce(apply, entries, alert)
    entry_ids = [ids.new_id() for _ in entries]
    sealed: list[bytes | None] = [None] * len(entries)
    if told is not None and told != Told():
        sealed[0] = seal(cipher, entry_ids[0], told)
    await tx.fetch(
        _SAVE,
        after.alert_id,
        int(after.state),
        int(after.severity),
        after.next_deadline,
        after.stage,
        after.cycle,
        after.seq,
        after.session_id or None,
        after.facilitator_id,
        after.responder_id,
        after.acknowledged_at,
        after.contacted_at,
        after.closed_at,
        after.follow_up_id or None,
        after.withdrawn,
        after.signals,
        tx.now,
        [alert.seq + place for place in range(1, len(entries) + 1)],
        entry_ids,
        [int(each.kind) for each in entries],
        [each.at for each in entries],
        [each.actor for each in entries],
        [orjson.dumps(dict(each.facts)).decode() for each in entries],
        sealed,
        after.offered_to,
        list(after.observers),
        after.lease_renewed,
        int(after.co_signature),
    )
    tx.wake("watch")
    return after


def seal(cipher: Cipher, entry_id: str, told: Told) -> bytes:
    """What was written with an entry, sealed for its row."""
    words = pb.TimelineEntry(note=told.note, closing=told.closing, debrief=told.debrief)
    return cipher.seal(words, context=f"timeline/{entry_id}")


_ENTRIES = """SELECT seq, entry_id::text AS entry_id, kind, at, actor, facts::text AS facts, sealed, hash FROM timeline
WHERE alert_id = $1 AND seq > $2 ORDER BY seq LIMIT $3"""


async def entries(tx: Tx, alert_id: str) -> list[Entry]:
    """The whole timeline, for replay."""
    rows = await tx.fetch(_ENTRIES, alert_id, 0, None)
    return [Entry(Kind(row["kind"]), row["at"], row["actor"], orjson.loads(row["facts"])) for row in rows]


async def timeline(tx: Tx, cipher: Cipher, alert_id: str, after: int, limit: int | None) -> list[pb.TimelineEntry]:
    """Entries after the given one, opened."""
    return [_shown(cipher, row) for row in await tx.fetch(_ENTRIES, alert_id, after, limit)]


def _shown(cipher: Cipher, row: asyncpg.Record) -> pb.TimelineEntry:
    shown = pb.TimelineEntry()
    if row["sealed"] is not None:
        shown = cipher.open(pb.TimelineEntry, row["sealed"], context=f"timeline/{row['entry_id']}")
    shown.seq = row["seq"]
    shown.kind = pb.EntryKind.ValueType(row["kind"])
    shown.at.FromDatetime(row["at"])
    shown.actor_id = row["actor"]
    shown.facts.update(orjson.loads(row["facts"]))
    shown.hash = row["hash"]
    return shown


# $1 the caller, $2 whether every alert is theirs to see. Who was paged or is on the care team sees the alert.
_VISIBLE = """($2 OR responder_id = $1 OR $1 = ANY (observers)
    OR EXISTS (SELECT 1 FROM page WHERE page.alert_id = alert.alert_id AND page.responder_id = $1)
    OR EXISTS (SELECT 1 FROM care_team WHERE care_team.person_id = alert.person_id AND care_team.principal_id = $1))"""

_LIST = f"""SELECT {COLUMNS} FROM alert WHERE {_VISIBLE}
AND ($3::uuid IS NULL OR person_id = $3) AND ($4 OR state <> 6)
AND ($5::timestamptz IS NULL OR (raised_at, alert_id) < ($5, $6::uuid))
ORDER BY raised_at DESC, alert_id DESC LIMIT $7"""

_CHANGED = f"""SELECT {COLUMNS}, changed_at FROM alert WHERE {_VISIBLE}
AND (changed_at >= $3 OR ($4 AND state <> 6))
AND ($5::timestamptz IS NULL OR (changed_at, alert_id) > ($5, $6::uuid))
ORDER BY changed_at, alert_id LIMIT $7"""


async def visible(
    tx: Tx,
    caller: str,
    sees_all: bool,
    *,
    person_id: str,
    closed: bool,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Alert]:
    """Alerts that the caller may see, the newest first."""
    at, alert_id = before or (None, None)
    rows = await tx.fetch(_LIST, caller, sees_all, person_id or None, closed, at, alert_id, limit)
    return [of_row(row) for row in rows]


async def changed(
    tx: Tx,
    caller: str,
    sees_all: bool,
    since: datetime,
    *,
    all_open: bool,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[tuple[datetime, Alert]]:
    """Alerts that the caller may see and that changed since a moment, in order; `all_open` adds every open one."""
    at, alert_id = after or (None, None)
    rows = await tx.fetch(_CHANGED, caller, sees_all, since, all_open, at, alert_id, limit)
    return [(row["changed_at"], of_row(row)) for row in rows]


async def due(tx: Tx, now: datetime, limit: int) -> list[tuple[Alert, str]]:
    """Open alerts whose deadline has passed, locked, with their trace context; those that others hold are left out."""
    rows = await tx.fetch(
        f"""SELECT {COLUMNS}, traceparent FROM alert WHERE state <> 6 AND next_deadline <= $1
        ORDER BY next_deadline LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED""",
        now,
        limit,
    )
    return [(of_row(row), row["traceparent"]) for row in rows]


async def overdue(tx: Tx, before: datetime, grace: timedelta) -> list[str]:
    """Open alerts whose deadline passed longer than `grace` ago: nobody did what was due."""
    rows = await tx.fetch("SELECT alert_id::text FROM alert WHERE state <> 6 AND next_deadline < $1", before - grace)
    return [row["alert_id"] for row in rows]
