"""The day in the program, end to end on real parts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import aiohttp
import asyncpg
import pytest_asyncio

from haven_dev.day.day import Day, Who
from haven_dev.day.play import play
from haven_dev.day.trace import complete_trace
from haven_dev.otlp import Span
from haven_dev.runner import SERVICES, Platform
from haven_kit.audit import verify
from haven_kit.clock import SystemClock
from haven_kit.database import Database
from haven_kit.testing import eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def day(platform: Platform, http: aiohttp.ClientSession) -> Day:
    """The day, played once; it raises where a step does not hold."""
    return await play(platform, http, lambda _: None, Who.anyone())


def _path(spans: list[Span], leaf: Span) -> list[str]:
    by_id = {span.span_id: span for span in spans}
    path = [leaf]
    while path[-1].parent_id in by_id:
        path.append(by_id[path[-1].parent_id])
    return [f"{span.service}: {span.name}" for span in reversed(path)]


async def test_one_trace_runs_from_the_button_to_the_page_and_to_whoever_reacts(platform: Platform, day: Day) -> None:
    await complete_trace(day)
    spans = platform.otlp.trace(day.made["trace"])
    page = next(span for span in spans if span.name.startswith("page"))
    assert _path(spans, page) == [
        "gateway: POST /v1/rooms/{sessionId}:callForHelp",
        "gateway: haven.sessions.v1.HelpService/CallForHelp",
        "sessions: /haven.sessions.v1.HelpService/CallForHelp",
        "sessions: haven.crisis.v1.CrisisService/RaiseSignal",
        "crisis: /haven.crisis.v1.CrisisService/RaiseSignal",
        f"crisis: {page.name}",
    ]
    reaction = next(span for span in spans if span.name == "react distress_signalled" and span.service == "crisis")
    assert _path(spans, reaction)[-2:] == [
        "sessions: publish haven.sessions.participant.distress_signalled.v1",
        "crisis: react distress_signalled",
    ]
    commits = {span.service for span in spans if span.name == "commit"}
    assert {"sessions", "crisis"} <= commits


async def test_each_page_went_out_once_and_says_nothing_of_health(platform: Platform, day: Day) -> None:
    pages = [each for each in platform.webhook.received if day.made["alert"].encode() in each.body]
    assert len(pages) >= 2
    assert len({each.headers["webhook-id"] for each in pages}) == len(pages)
    for page in pages:
        assert day.who.given.encode() not in page.body
        assert day.made["person"].encode() not in page.body


async def test_every_event_was_published_and_none_became_a_dead_letter(platform: Platform, day: Day) -> None:
    assert day.made["claim"]

    async def settled() -> bool:
        for service in SERVICES:
            connection = await asyncpg.connect(platform.database_url(service))
            try:
                assert await connection.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0
                assert await connection.fetch("SELECT reaction, error FROM dead_letter") == []
            finally:
                await connection.close()
        return True

    await eventually(settled, timeout=20)


async def test_every_audit_chain_holds(platform: Platform, day: Day) -> None:
    assert day.made["claim"]
    for service in SERVICES:
        database = Database(platform.database_url(service), clock=SystemClock())
        try:
            verdict = await verify(database, service)
        finally:
            await database.close()
        assert verdict.broken_at is None, service
        assert verdict.entries > 0, service


async def test_the_person_finds_each_look_at_their_record(platform: Platform, day: Day) -> None:
    """What the services wrote down about this person is, entry by entry, what the person reads."""
    written: set[str] = set()
    for service in SERVICES:
        connection = await asyncpg.connect(platform.database_url(service))
        try:
            rows = await connection.fetch(
                "SELECT entry_id::text FROM audit_entry WHERE person_id = $1", day.made["person"]
            )
        finally:
            await connection.close()
        written |= {row[0] for row in rows}

    async def all_found() -> bool:
        found: list[Any] = []
        token = ""
        while True:
            query = {"page_size": 100} | ({"page_token": token} if token else {})
            page = await day.rosa.get(f"/v1/people/{day.made['person']}/accesses", **query)
            found += page.get("accesses", [])
            token = page.get("nextPageToken", "")
            if not token:
                break
        seen = Counter(each["accessId"] for each in found)
        assert not [each for each, times in seen.items() if times > 1]
        assert written <= set(seen)
        return True

    await eventually(all_found, timeout=20)
