"""What the migrations do to records that are there already."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
from alembic import command
from sqlalchemy.ext.asyncio import create_async_engine

from haven_crisis.domain.escalation import turn_of
from haven_crisis.store import alerts
from haven_kit import ids, migrations
from haven_kit.clock import FakeClock
from haven_kit.database import Database, Tx
from haven_kit.identity import system
from haven_kit.testing.module import Module

PACKAGE = "haven_crisis"
RAISED_AT = datetime(2026, 1, 5, 9, 0, 0, 123456, tzinfo=UTC)
RAISED = {"severity": "2", "drill": "false", "stage": "0", "session_id": "", "facilitator_id": ""}
ENTRIES = ((1, 1, {**RAISED, "deadline": RAISED_AT.isoformat()}), (2, 4, {"cycle": "0"}))


async def test_timelines_of_the_release_before_are_chained(haven: Module) -> None:
    url = await _emptied(await haven.database_url("crisis"))
    await _to(url, "0001")
    database = Database(url, clock=FakeClock())
    try:
        async with database.transaction(system("test")) as tx:
            alert_id = await _an_alert(tx)
        await migrations.migrate(url, PACKAGE)
        async with database.transaction(system("test")) as tx:
            assert await alerts.verify(tx, alert_id) is None
            assert (await alerts.get(tx, alert_id)).turn == turn_of(alert_id, None)
            (row,) = await tx.fetch("SELECT count(DISTINCT hash) AS hashes FROM timeline")
    finally:
        await database.close()
    assert row["hashes"] == len(ENTRIES)


async def _an_alert(tx: Tx) -> str:
    alert_id = ids.new_id()
    await tx.fetch(
        """INSERT INTO alert (alert_id, person_id, drill, state, severity, raised_at, next_deadline, stage, cycle, seq,
            facilitator_id, responder_id, withdrawn, signals, cycle_signal_id, traceparent, changed_at)
        VALUES ($1, $2, FALSE, 2, 2, $3, $3, 0, 0, 2, '', '', FALSE, 1, $4, '', $3)""",
        alert_id,
        ids.new_id(),
        RAISED_AT,
        ids.new_id(),
    )
    for seq, kind, facts in ENTRIES:
        await tx.fetch(
            """INSERT INTO timeline (alert_id, seq, entry_id, kind, at, actor, facts, sealed)
            VALUES ($1, $2, $3, $4, $5, 'somebody', $6::text::jsonb, 'sealed')""",
            alert_id,
            seq,
            ids.new_id(),
            kind,
            RAISED_AT,
            orjson.dumps(facts).decode(),
        )
    return alert_id


async def _emptied(url: str) -> str:
    """The module's own database, as it is before the first migration."""
    engine = create_async_engine(_driver(url))
    async with engine.begin() as connection:
        await connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        await connection.exec_driver_sql("CREATE SCHEMA public")
    await engine.dispose()
    return url


async def _to(url: str, revision: str) -> None:
    engine = create_async_engine(_driver(url))
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(migrations.config(PACKAGE, sync), revision))
    await engine.dispose()


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)
