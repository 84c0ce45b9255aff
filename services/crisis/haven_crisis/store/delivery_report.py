"""How pages went, over a stretch of time."""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg
import orjson
from haven.crisis.v1 import alerts_pb2
from haven.crisis.v1 import delivery_service_pb2 as pb

from haven_kit.database import Tx

_FROM = """page JOIN alert USING (alert_id) LEFT JOIN delivery USING (page_id)
WHERE page.created_at >= $1 AND page.created_at < $2 AND ($3 OR NOT alert.drill)"""

_LIST = f"""SELECT page_id::text, page.alert_id::text, page.responder_id, page.channel,
    COALESCE(delivery.provider, '') AS provider, page.state, alert.drill, page.stage, attempt, resent,
    page.created_at, accepted_at, reported_at, COALESCE(reference, '') AS reference, failure
FROM {_FROM} AND ($4 = '' OR page.channel = $4) AND ($5 = 0 OR page.state = $5)
AND ($6::timestamptz IS NULL OR (page.created_at, page_id) < ($6, $7::uuid))
ORDER BY page.created_at DESC, page_id DESC LIMIT $8"""


async def listed(
    tx: Tx,
    since: datetime,
    until: datetime,
    *,
    channel: str,
    state: int,
    drills: bool,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[pb.Delivery]:
    """Pages, the newest first."""
    at, page_id = before or (None, None)
    rows = await tx.read(_LIST, since, until, drills, channel, state, at, page_id, limit)
    return [_delivery(row) for row in rows]


def _delivery(row: asyncpg.Record) -> pb.Delivery:
    told = {key: value for key, value in row.items() if not key.endswith("_at")}
    shown = pb.Delivery(**{**told, "state": alerts_pb2.PageState.ValueType(row["state"])})
    for name in ("created_at", "accepted_at", "reported_at"):
        if row[name] is not None:
            getattr(shown, name).FromDatetime(row[name])
    return shown


# Latency counts from the page's making. 7 is DELIVERED, told by the provider.
_LINES = f"""WITH told AS (
    SELECT page.channel, COALESCE(delivery.provider, '') AS provider, page.state,
        extract(epoch FROM accepted_at - page.created_at)::float8 AS accepted,
        CASE WHEN page.state = 7 THEN extract(epoch FROM reported_at - page.created_at)::float8 END AS delivered
    FROM {_FROM}
), counted AS (
    SELECT channel, provider, jsonb_object_agg(state, pages) AS counts
    FROM (SELECT channel, provider, state, count(*) AS pages FROM told GROUP BY 1, 2, 3) AS by_state GROUP BY 1, 2
)
SELECT channel, provider, min(counts::text) AS counts,
    percentile_cont(ARRAY[0.5, 0.95, 1.0]) WITHIN GROUP (ORDER BY accepted) AS accepted,
    percentile_cont(ARRAY[0.5, 0.95, 1.0]) WITHIN GROUP (ORDER BY delivered) AS delivered
FROM told JOIN counted USING (channel, provider)
WHERE $4 OR (channel, provider) > ($5, $6)
GROUP BY channel, provider ORDER BY channel, provider LIMIT $7"""


async def lines(
    tx: Tx, since: datetime, until: datetime, *, drills: bool, after: tuple[str, str], first: bool, limit: int
) -> list[pb.DeliveryLine]:
    """Counts and latencies by channel and provider, in their order, after the given one."""
    rows = await tx.read(_LINES, since, until, drills, first, *after, limit)
    return [_line(row) for row in rows]


def _line(row: asyncpg.Record) -> pb.DeliveryLine:
    line = pb.DeliveryLine(channel=row["channel"], provider=row["provider"])
    for state, pages in sorted(orjson.loads(row["counts"]).items(), key=lambda each: int(each[0])):
        line.counts.add(state=alerts_pb2.PageState.ValueType(int(state)), pages=pages)
    _latency(line.to_accepted, row["accepted"])
    _latency(line.to_delivered, row["delivered"])
    return line


def _latency(shown: pb.Latency, seconds: list[float | None] | None) -> None:
    if seconds is None:
        return
    for name, value in zip(("median", "p95", "longest"), seconds, strict=True):
        if value is not None:
            getattr(shown, name).FromTimedelta(timedelta(seconds=value))
