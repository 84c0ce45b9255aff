"""What a day has done to every service, for comparing a disturbed day with an undisturbed one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from haven_dev.project import SERVICES
from haven_dev.runner import Platform
from haven_kit import contract
from haven_kit.audit import verify
from haven_kit.clock import SystemClock
from haven_kit.database import Database

Effects = Counter[tuple[str, ...]]
Consumers = dict[str, set[tuple[str, str]]]
"""Who reacts to a subject: consuming service and reaction."""

# The program's one policy is there after its first day.
_ONCE = ("policy",)
# How often these grow depends on how long things took: reads that were repeated, seals, pages until someone answered.
_BY_TIME = frozenset(
    {
        "alembic_version",
        "outbox",
        "inbox",
        "idempotency",
        "audit_entry",
        "data_access",
        "page",
        "delivery",
        "kept",
        "room_event",
    }
)
_SUBJECTS_BY_TIME = (".audit.sealed.", "haven.crisis.alert.paged.", "haven.crisis.alert.escalated.")
_TIMELINE_BY_TIME = ("paged", "escalated", "page", "cycle")
_OTHER_WAY = ("/ConfirmLocation", "/Heartbeat")
"""Done by another way, or more or fewer times, when a part is away or time passes."""
_READS = frozenset(each.full_name for each in contract.all_methods() if each.http_verb == "GET" or not each.http_path)

_DETAILS: dict[str, dict[str, str]] = {
    "billing": {
        "charge": "SELECT state || ' ' || hcpcs || ' ' || amount, count(*) FROM charge GROUP BY 1",
        "claim": "SELECT concat_ws(' ', state, total, paid, adjusted, person_owes), count(*) FROM claim GROUP BY 1",
        "journal": "SELECT kind, count(*) FROM journal GROUP BY 1",
        "ledger": "SELECT account || ' ' || currency, sum(amount)::bigint FROM posting GROUP BY 1",
        "days used": "SELECT 'days', sum(days_used) FROM payer_authorization",
    },
    "crisis": {
        "alert": "SELECT concat_ws(' ', state, severity, signals), count(*) FROM alert GROUP BY 1",
        "signal": "SELECT source::text, count(*) FROM signal GROUP BY 1",
        "follow-up": "SELECT state::text, count(*) FROM follow_up GROUP BY 1",
    },
    "intake": {
        "referral": "SELECT state, count(*) FROM referral GROUP BY 1",
        "consent": "SELECT kind, count(*) FROM consent GROUP BY 1",
        "screening": "SELECT instrument_id || ' ' || (scored_at IS NOT NULL), count(*) FROM screening GROUP BY 1",
        "document": "SELECT kind || ' ' || version, count(*) FROM document GROUP BY 1",
    },
    "scheduling": {
        "seat": "SELECT holder_kind || ' ' || (released_at IS NULL), count(*) FROM seat GROUP BY 1",
        "enrolment": "SELECT state::text, count(*) FROM enrolment GROUP BY 1",
    },
    "sessions": {
        "room": "SELECT kind, count(*) FROM room_event WHERE kind <> 'HelpChanged' GROUP BY 1",
        # News of help that comes late is passed over, so only how it ended is always the same.
        "help ended": """SELECT last.state, count(*) FROM (
            SELECT DISTINCT ON (session_id) data->>'state' AS state FROM room_event WHERE kind = 'HelpChanged'
            ORDER BY session_id, seq DESC) last GROUP BY 1""",
        "help": "SELECT concat_ws(' ', shown, withdrawn_at IS NULL), count(*) FROM help_call GROUP BY 1",
    },
}


@asynccontextmanager
async def connected(platform: Platform, service: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a service's database."""
    connection = await asyncpg.connect(platform.database_url(service))
    try:
        yield connection
    finally:
        await connection.close()


async def effects(platform: Platform) -> Effects:
    """Counts of everything that a day does, by service, kind of record and its state."""
    found: Effects = Counter()
    for service in SERVICES:
        async with connected(platform, service) as connection:
            names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            queries = {
                f"rows of {each[0]}": f"SELECT '', count(*) FROM \"{each[0]}\""
                for each in names
                if each[0] not in (*_BY_TIME, *_ONCE, "timeline")
            } | _DETAILS[service]
            for name, query in queries.items():
                for key, count in await connection.fetch(query):
                    found[service, name, str(key)] += int(count or 0)
            for subject, count in await connection.fetch("SELECT subject, count(*) FROM outbox GROUP BY 1"):
                if not any(each in subject for each in _SUBJECTS_BY_TIME):
                    found[service, "event", subject] += count
            rows = await connection.fetch("SELECT action, count(*) FROM audit_entry WHERE via = 'gateway' GROUP BY 1")
            for action, count in rows:
                if action not in _READS and not action.endswith(_OTHER_WAY):
                    found[service, "access by command", action] += count
            rows = await connection.fetch("SELECT method, count(*) FROM idempotency GROUP BY 1")
            for method, count in rows:
                if not method.endswith(_OTHER_WAY):
                    found[service, "answer kept", method] += count
    await _timeline(platform, found)
    return found


async def _timeline(platform: Platform, found: Effects) -> None:
    from haven.crisis.v1 import alerts_pb2

    field = alerts_pb2.TimelineEntry.DESCRIPTOR.fields_by_name["kind"]
    async with connected(platform, "crisis") as connection:
        for kind, count in await connection.fetch("SELECT kind, count(*) FROM timeline GROUP BY 1"):
            name = field.enum_type.values_by_number[kind].name.lower() if field.enum_type else str(kind)
            if not any(each in name for each in _TIMELINE_BY_TIME):
                found["crisis", "timeline", name] += count


def difference(after: Effects, before: Effects) -> Effects:
    """What was added, negative counts too."""
    made: Effects = Counter({key: after[key] - before[key] for key in after.keys() | before.keys()})
    return Counter({key: count for key, count in made.items() if count})


@dataclass
class Road:
    """Every event that was told, and every reaction to one."""

    told: dict[str, str] = field(default_factory=dict)
    """Subject by event id."""
    unpublished: list[str] = field(default_factory=list)
    reacted: defaultdict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    """Consuming service and reaction, by event id."""
    dead: list[tuple[str, ...]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    """What is still to be done: audit entries without a seal, concerns and places not brought to crisis, pages not
    ended."""

    def consumers(self) -> Consumers:
        """Who reacts to each subject. Raises AssertionError where two events of a subject were treated differently."""
        found: Consumers = {}
        for event_id, subject in self.told.items():
            by = self.reacted.get(event_id, set())
            assert found.setdefault(subject, by) == by, f"{subject} {event_id}: {by}, others {found[subject]}"
        return found


async def road(platform: Platform) -> Road:
    """What is on the road, from all databases."""
    found = Road()
    for service in SERVICES:
        async with connected(platform, service) as connection:
            # The inbox first: an event that is told meanwhile is then not yet expected in it.
            for event_id, reaction in await connection.fetch("SELECT event_id::text, reaction FROM inbox"):
                found.reacted[event_id].add((service, reaction))
            found.dead += [
                (service, *row) for row in await connection.fetch("SELECT reaction, subject, error FROM dead_letter")
            ]
            rows = await connection.fetch("SELECT event_id::text, subject, published_at FROM outbox")
            found.told |= {row[0]: row[1] for row in rows}
            found.unpublished += [row[1] for row in rows if row[2] is None]
            if await connection.fetchval("SELECT count(*) FROM audit_entry WHERE seq IS NULL"):
                found.waiting.append(f"{service}: seals")
            if service == "intake" and await connection.fetchval(
                "SELECT count(*) FROM concern WHERE accepted_at IS NULL"
            ):
                found.waiting.append("intake: concerns")
            if service == "crisis" and await connection.fetchval("SELECT count(*) FROM page WHERE state IN (1, 2)"):
                found.waiting.append("crisis: pages")
            if service == "sessions" and await connection.fetchval("SELECT count(*) FROM kept_location"):
                found.waiting.append("sessions: places that crisis has not heard of")
    return found


async def chains_hold(platform: Platform) -> None:
    """Every audit chain verifies, and what people read is what was written, entry by entry."""
    written: set[str] = set()
    for service in SERVICES:
        database = Database(platform.database_url(service), clock=SystemClock())
        try:
            verdict = await verify(database, service)
        finally:
            await database.close()
        assert verdict.broken_at is None, f"{service}: the chain breaks at {verdict.broken_at}"
        assert verdict.unsealed == 0, service
        assert verdict.entries > 0, service
        async with connected(platform, service) as connection:
            rows = await connection.fetch("SELECT entry_id::text FROM audit_entry WHERE person_id <> ''")
            written |= {row[0] for row in rows}
    async with connected(platform, "intake") as connection:
        read = {row[0] for row in await connection.fetch("SELECT access_id::text FROM data_access")}
    assert read == written, f"{len(written - read)} accesses not in the history, {len(read - written)} were invented"


async def ledger_balances(platform: Platform) -> None:
    """All postings, and those of each journal, sum to zero."""
    async with connected(platform, "billing") as connection:
        rows = await connection.fetch(
            "SELECT journal_id, currency FROM posting GROUP BY 1, 2 HAVING sum(amount) <> 0 LIMIT 5"
        )
        assert rows == [], rows
        assert await connection.fetchval("SELECT count(*) FROM posting") > 0


async def pages_arrived(platform: Platform, alerts: list[str], crashes: int) -> None:
    """Each accepted page was received; none more often than once and once more for each crash of who sends them."""
    received: Counter[str] = Counter(each.headers["webhook-id"] for each in platform.webhook.received)
    for mail in platform.smtp.received:
        received[str(mail.message["Message-ID"]).strip("<>").partition("@")[0]] += 1
    async with connected(platform, "crisis") as connection:
        pages: list[Any] = await connection.fetch("SELECT * FROM page WHERE alert_id::text = ANY($1)", alerts)
    rounds: Counter[tuple[Any, ...]] = Counter()
    for page in pages:
        if page["state"] == 3:
            assert received[str(page["page_id"])], f"page {page['page_id']} is said to be accepted but never came"
        times = received[str(page["page_id"])]
        key = (str(page["alert_id"]), page["cycle"], page["stage"], page["responder_id"], page["channel"])
        rounds[key] += times
    for key, times in rounds.items():
        assert times <= 1 + crashes, f"page {key} came {times} times in {crashes} crashes"
    for alert in alerts:
        assert any(times for key, times in rounds.items() if key[0] == alert), f"nobody was paged for {alert}"
