"""The relay: publishes what the outbox holds, in order per aggregate, and marks what the stream has acknowledged."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, timedelta

import asyncpg
from nats import errors as nats_errors
from nats.js import JetStreamContext
from nats.js import errors as js_errors

from haven_kit import logs, metrics, telemetry
from haven_kit.database import Database
from haven_kit.errors import Unavailable
from haven_kit.identity import system
from haven_kit.messaging import Messaging, stream_of
from haven_kit.workers import Worker

BATCH = 256
RETENTION = timedelta(days=14)
"""How long a published event stays in the outbox for replay."""
_READY_S = 5.0
_SWEEP_BATCH = 5_000
_log = logs.get(__name__)

_PENDING = """SELECT seq, event_id::text AS event_id, key, subject, payload, traceparent, occurred_at, replays
FROM outbox WHERE published_at IS NULL ORDER BY seq LIMIT $1"""
_WAITING = """SELECT count(*) AS pending, min(occurred_at) AS oldest
FROM (SELECT occurred_at FROM outbox WHERE published_at IS NULL ORDER BY seq LIMIT $1) AS waiting"""
COUNTED = 10_000
"""The most that `haven_outbox_pending` counts to."""


class Relay:
    """One service's relay. At most one replica publishes at a time; every one measures what waits."""

    def __init__(self, service: str, database: Database, messaging: Messaging) -> None:
        self._service = service
        self._database = database
        self._messaging = messaging
        self._principal = system(f"{service}/relay")

    def workers(self) -> tuple[Worker, ...]:
        """The relay, the measure of what waits for it, and the sweep of what was published long ago."""
        return (
            Worker("relay", self.publish_pending, every=timedelta(seconds=1), wake="relay", exclusive=True),
            # On every replica: a value that only the holder of the lock sets would stay when the lock moves on.
            Worker("outbox-watch", self.measure, every=timedelta(seconds=5)),
            Worker("outbox-sweep", self.sweep, every=timedelta(hours=1), exclusive=True),
        )

    async def publish_pending(self) -> bool:
        """Publish one batch. True when there may be more."""
        try:
            async with asyncio.timeout(_READY_S):
                _, stream = await self._messaging.ready()
        except TimeoutError:
            raise Unavailable("NATS") from None
        async with self._database.transaction(self._principal) as tx:
            rows = await tx.read(_PENDING, BATCH)
        if not rows:
            return False
        by_key: defaultdict[str, list[asyncpg.Record]] = defaultdict(list)
        for row in rows:
            by_key[row["key"]].append(row)
        done = await asyncio.gather(*(self._in_order(stream, rows) for rows in by_key.values()))
        published = [seq for each in done for seq in each]
        if not published:
            raise Unavailable("NATS")  # another replica may reach it: the worker lets go of its lock
        async with self._database.transaction(self._principal) as tx:
            tx.write("UPDATE outbox SET published_at = $1 WHERE seq = ANY($2)", tx.now, published)
        metrics.RELAY_PUBLISHED.inc(len(published))
        return len(published) == BATCH

    async def measure(self) -> bool:
        """Count what waits, and tell its age. Needs no NATS."""
        async with self._database.transaction(self._principal) as tx:
            row = (await tx.read(_WAITING, COUNTED))[0]
        metrics.OUTBOX_PENDING.set(row["pending"])
        metrics.OUTBOX_AGE.set((tx.now - row["oldest"]).total_seconds() if row["pending"] else 0)
        return False

    async def _in_order(self, stream: JetStreamContext, rows: list[asyncpg.Record]) -> list[int]:
        # The first that fails holds back the rest of its aggregate until the next sweep.
        done: list[int] = []
        for row in rows:
            try:
                await self._publish(stream, row)
            except (TimeoutError, nats_errors.Error, js_errors.Error) as error:
                _log.warning("relay.not_published", subject=row["subject"], error=type(error).__name__)
                metrics.RELAY_FAILURES.inc()
                break
            done.append(row["seq"])
            metrics.RELAY_LAG.observe((self._database.clock.now() - row["occurred_at"]).total_seconds())
        return done

    async def _publish(self, stream: JetStreamContext, row: asyncpg.Record) -> None:
        with telemetry.producer_span(f"publish {row['subject']}", {"traceparent": row["traceparent"]}):
            await stream.publish(
                row["subject"],
                row["payload"],
                stream=stream_of(self._service),
                headers=_headers(self._service, row),
            )

    async def sweep(self) -> bool:
        """Forget one batch of what was published before the retention window."""
        async with self._database.transaction(self._principal) as tx:
            gone = await tx.fetch(
                """DELETE FROM outbox WHERE seq IN
                (SELECT seq FROM outbox WHERE published_at < $1 ORDER BY published_at LIMIT $2) RETURNING seq""",
                tx.now - RETENTION,
                _SWEEP_BATCH,
            )
        return len(gone) == _SWEEP_BATCH


def _headers(service: str, row: asyncpg.Record) -> dict[str, str]:
    """CloudEvents 1.0 in binary mode, W3C trace context, and JetStream's own key for dropping duplicates."""
    event_id = row["event_id"]
    headers = {
        "Nats-Msg-Id": event_id if row["replays"] == 0 else f"{event_id}.{row['replays']}",
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-source": f"/haven/{service}",
        "ce-type": row["subject"],
        "ce-time": row["occurred_at"].astimezone(UTC).isoformat(),
        "ce-partitionkey": row["key"],
        "content-type": "application/protobuf",
    }
    traceparent = telemetry.traceparent() or row["traceparent"]
    if traceparent:
        headers["traceparent"] = traceparent
    return headers


async def replay(database: Database, service: str, *, subject: str = "", since_seq: int = 0) -> int:
    """Have the relay publish kept events again: of one subject, or all, from a sequence number on. Returns how many.

    Consumers that have reacted already do nothing: their inbox knows the event.
    """
    async with database.transaction(system(f"{service}/replay")) as tx:
        rows = await tx.fetch(
            """UPDATE outbox SET published_at = NULL, replays = replays + 1
            WHERE published_at IS NOT NULL AND seq >= $1 AND ($2 = '' OR subject = $2) RETURNING seq""",
            since_seq,
            subject,
        )
        tx.wake("relay")
    return len(rows)
