"""What operators run: the `haven` command against a platform's databases."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import asyncpg
import pytest_asyncio

from haven_dev.day import arriving, before
from haven_dev.day.day import Day, Who
from haven_dev.runner import SERVICES, Platform
from haven_kit import ids
from haven_kit.testing import eventually

HAVEN = Path(sys.executable).with_name("haven")


async def _haven(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        str(HAVEN), *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), timeout=60)
    return process.returncode or 0, said.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def person(platform: Platform, http: aiohttp.ClientSession) -> str:
    """Someone who was referred, so that there are events and audit entries."""
    day = Day.begin(platform, http, lambda _: None, Who.anyone())
    await before.on_call(day)
    await arriving.referral(day)
    return str(day.made["person"])


async def test_the_audit_trail_is_verified(platform: Platform, person: str) -> None:
    assert person
    for service in SERVICES:
        url = platform.database_url(service)
        status, said = await _haven("audit", "verify", "--service", service, "--database-url", url)
        assert status == 0, said
        assert "entries are whole" in said


async def test_a_broken_audit_trail_ends_with_status_1(platform: Platform, person: str) -> None:
    connection = await asyncpg.connect(platform.database_url("intake"))

    async def sealed() -> bool:
        return bool(await connection.fetchval("SELECT 1 FROM audit_entry WHERE seq = 1"))

    async def set_action(action: str) -> None:
        async with connection.transaction():
            await connection.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_is_final")
            await connection.execute("UPDATE audit_entry SET action = $1 WHERE seq = 1", action)
            await connection.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_is_final")

    assert person
    await eventually(sealed)
    words = ("audit", "verify", "--service", "intake", "--database-url", platform.database_url("intake"))
    written = await connection.fetchval("SELECT action FROM audit_entry WHERE seq = 1")
    await set_action(written + "Other")
    try:
        status, said = await _haven(*words)
    finally:
        await set_action(written)
        await connection.close()
    assert status == 1
    assert "BROKEN at entry 1" in said
    assert (await _haven(*words))[0] == 0


async def test_a_replay_repeats_no_effect(platform: Platform, person: str) -> None:
    url = platform.database_url("intake")
    source, copy = await asyncpg.connect(url), await asyncpg.connect(platform.database_url("crisis"))

    async def published() -> bool:
        return not await source.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")

    try:
        await eventually(published)
        before_ = await copy.fetchval("SELECT count(*) FROM inbox")
        status, said = await _haven("events", "replay", "--service", "intake", "--database-url", url)
        assert status == 0, said
        await eventually(published)
        assert await source.fetchval("SELECT min(replays) FROM outbox") >= 0
        assert await source.fetchval("SELECT count(*) FROM outbox WHERE replays > 0") > 0
        assert await copy.fetchval("SELECT count(*) FROM inbox") == before_
        assert await copy.fetchval("SELECT count(*) FROM dead_letter") == 0
    finally:
        await source.close()
        await copy.close()
    assert person


async def test_a_dead_letter_is_listed_and_driven_again(platform: Platform, person: str) -> None:
    """A care team that arrives after its reaction had failed for good takes effect when it is driven again."""
    from haven.intake.v1 import events_pb2

    url = platform.database_url("billing")
    event = events_pb2.CareTeamChanged(person_id=person, version=10_000)
    event.members.add(principal_id="late-member", role="prescriber")
    event_id = ids.new_id()
    connection = await asyncpg.connect(url)

    async def arrived() -> bool:
        return bool(await connection.fetchval("SELECT 1 FROM care_team WHERE principal_id = 'late-member'"))

    try:
        await connection.execute(
            """INSERT INTO dead_letter (event_id, reaction, subject, payload, headers, attempts, error, died_at)
            VALUES ($1, 'relations.care_team', $3, $2, '{}', 8, 'ValueError', now())""",
            event_id,
            event.SerializeToString(),
            "haven.intake.care_team.changed.v1",
        )
        words = ("events", "dead-letters", "list", "--service", "billing", "--database-url", url)
        assert event_id in (await _haven(*words))[1]
        status, said = await _haven("events", "dead-letters", "redrive", "--service", "billing", "--database-url", url)
        assert status == 0, said
        await eventually(arrived, timeout=20)
        assert "has no dead letters" in (await _haven(*words))[1]
    finally:
        await connection.close()
