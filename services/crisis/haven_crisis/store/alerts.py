"""Alerts and their timelines. A command loads the alert locked, and saves it with the entries it added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import reduce
from hashlib import sha256

import asyncpg
import orjson
from haven.crisis.v1 import alerts_pb2 as pb

from haven_crisis.domain.alerts import Alert, CoSignature, Entry, Kind, State, apply, replay
from haven_crisis.domain.escalation import turn_of
from haven_crisis.domain.severity import Severity
from haven_crisis.store import kept
from haven_kit import etags, ids
from haven_kit.cipher import CannotOpen, Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound

COLUMNS = """alert_id::text, person_id::text, drill, state, severity, raised_at, next_deadline, stage, cycle, seq,
COALESCE(session_id::text, '') AS session_id, facilitator_id, responder_id, acknowledged_at, contacted_at, closed_at,
COALESCE(follow_up_id::text, '') AS follow_up_id, withdrawn, signals, offered_to, observers,
lease_renewed, co_signature, turn"""

IN_HAND = """(alert.state <> 6 OR alert.drill
    OR EXISTS (SELECT 1 FROM follow_up WHERE follow_up.follow_up_id = alert.follow_up_id AND follow_up.state = 1)
    OR EXISTS (SELECT 1 FROM review WHERE review.alert_id = alert.alert_id AND review.done_at IS NULL))"""
"""Whether there is something to do about an alert: it is open, or its follow-up or a review is due. A drill, which is
about nobody, always counts."""

_GET = f"SELECT {COLUMNS} FROM alert WHERE alert_id = $1"
_GET_LOCKED = f"{_GET} FOR NO KEY UPDATE"
_SAVE = """WITH saved AS (
    UPDATE alert SET state = $2, severity = $3, next_deadline = $4, stage = $5, cycle = $6, seq = $7, session_id = $8,
        facilitator_id = $9, responder_id = $10, acknowledged_at = $11, contacted_at = $12, closed_at = $13,
        follow_up_id = $14, withdrawn = $15, signals = $16, changed_at = $17, offered_to = $25,
        observers = $26::text[], lease_renewed = $27, co_signature = $28, gathered = gathered AND $3::smallint < 3
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
        "turn": turn_of(row["alert_id"], row["turn"]),
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


async def in_hand(tx: Tx, alert_id: str) -> bool:
    """Whether there is something to do about an alert: see `IN_HAND`."""
    return await tx.fetch_one(f"SELECT 1 FROM alert WHERE alert_id = $1 AND {IN_HAND}", alert_id) is not None


async def get(tx: Tx, alert_id: str, *, lock: bool = False) -> Alert:
    """One alert; `lock` keeps it from changing until the commit. The id that pages told while the record was away leads
    to the alert that theirs became part of. Raises NotFound."""
    row = await tx.fetch_one(_GET_LOCKED if lock else _GET, alert_id)
    if row is None:
        became = await kept.became(tx, alert_id)
        if became in (None, alert_id):
            raise NotFound("alert")
        return await get(tx, str(became), lock=lock)
    return of_row(row)


async def called_at(tx: Tx, alert: Alert) -> datetime:
    """When the person called for help that is being answered: a call that came when help had been there counts anew."""
    row = await tx.fetch_one(
        """SELECT accepted_at FROM signal
        WHERE signal_id = (SELECT cycle_signal_id FROM alert WHERE alert_id = $1)""",
        alert.alert_id,
    )
    return row["accepted_at"] if row is not None else alert.raised_at


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


async def withdrawals(tx: Tx, cipher: Cipher, alert_id: str, by: str, signal_id: str) -> list[str | None]:
    """What somebody wrote when they said that a signal was a mistake, each time; None for what cannot be read."""
    rows = await tx.fetch(
        """SELECT entry_id::text, sealed FROM timeline
        WHERE alert_id = $1 AND kind = 3 AND actor = $2 AND facts->>'signal_id' = $3""",
        alert_id,
        by,
        signal_id,
    )
    return [_note(cipher, row) for row in rows]


def _note(cipher: Cipher, row: asyncpg.Record) -> str | None:
    """What was written with an entry; None where it cannot be read."""
    if row["sealed"] is None:
        return ""
    try:
        return cipher.open(pb.TimelineEntry, row["sealed"], context=f"timeline/{row['entry_id']}").note
    except CannotOpen:
        return None


async def closed_by(tx: Tx, alert_id: str) -> str:
    """Who wrote the closing of an alert that holds now. Raises NotFound where nobody did."""
    row = await tx.fetch_one(
        "SELECT actor FROM timeline WHERE alert_id = $1 AND kind IN (14, 25) ORDER BY seq DESC LIMIT 1", alert_id
    )
    if row is None:
        raise NotFound("closing")
    return str(row["actor"])


async def chain_head(tx: Tx, alert_id: str) -> bytes:
    """The hash of the last entry."""
    row = await tx.fetch_one("SELECT hash FROM timeline WHERE alert_id = $1 ORDER BY seq DESC LIMIT 1", alert_id)
    return bytes(row["hash"]) if row is not None else b""


# One statement, so that the alert and its timeline are of the same moment.
_WHOLE = f"""SELECT held.*, entry.seq AS place, entry.entry_id::text AS entry_id, entry.kind, entry.at, entry.actor,
    entry.facts::text AS facts, entry.sealed, entry.signal_id::text AS signal_id, entry.hash
FROM (SELECT {COLUMNS} FROM alert WHERE alert_id = $1) AS held
LEFT JOIN timeline AS entry ON entry.alert_id = held.alert_id::uuid ORDER BY entry.seq"""


async def verify(tx: Tx, alert_id: str) -> str | None:
    """What is wrong with an alert's timeline, in plain words without health information; None: nothing.

    Every entry is there and as it was written (the hash of each covers the one before it, as `timeline_hash` in the
    database does), there are as many as the alert says, and replaying them gives the alert. Raises NotFound.
    """
    rows = await tx.read(_WHOLE, alert_id)
    if not rows:
        raise NotFound("alert")
    held = of_row(rows[0])
    rows = [row for row in rows if row["place"] is not None]
    previous = b""
    for place, row in enumerate(rows, 1):
        if row["place"] != place:
            return f"Entry {place} is missing."
        previous = _hash(previous, held.alert_id, row)
        if row["hash"] != previous:
            return f"Entry {place} is not what was written, or one before it."
    if len(rows) != held.seq:
        return f"There are {len(rows)} entries where the alert counts {held.seq}."
    try:
        found = [Entry(Kind(row["kind"]), row["at"], row["actor"], orjson.loads(row["facts"])) for row in rows]
        same = replay(held.alert_id, held.person_id, found) == held
    except (KeyError, ValueError):
        return "Its entries cannot be replayed."
    return None if same else "Its entries do not give the alert."


def _hash(previous: bytes, alert_id: str, row: asyncpg.Record) -> bytes:
    parts = (
        alert_id,
        str(row["place"]),
        row["entry_id"],
        str(row["kind"]),
        str((row["at"] - _EPOCH) // timedelta(microseconds=1)),
        row["signal_id"] or "",
        (row["sealed"] or b"").hex(),
        row["facts"],
        row["actor"],
    )
    return sha256(previous + "\n".join(parts).encode()).digest()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
