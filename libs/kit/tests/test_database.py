"""The unit of work: one commit for all, or nothing."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest
from haven.intake.v1 import events_pb2
from sqlalchemy import text

from haven_kit import ids, pool
from haven_kit.clock import SystemClock
from haven_kit.database import Database, Tx
from haven_kit.errors import NotFound, Overloaded, Unavailable
from haven_kit.identity import system

WHO = system("test")


def _event(referral_id: str) -> events_pb2.ReferralReceived:
    return events_pb2.ReferralReceived(referral_id=referral_id)


async def _count(database: Database, table: str) -> int:
    async with database.transaction(WHO) as tx:
        return int((await tx.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_events_and_audit_entries_are_committed_with_the_rows_or_not_at_all(kit_db: Database) -> None:
    async with kit_db.transaction(WHO) as tx:
        tx.emit(_event("kept"), key="kept")
        tx.audit(ids.new_id(), action="a", seen_as="read your plan")
        tx.remember("/m", "k", b"hash", b"answer")
    with pytest.raises(NotFound):
        async with kit_db.transaction(WHO) as tx:
            tx.emit(_event("lost"), key="lost")
            tx.audit(ids.new_id(), action="a", seen_as="read your plan")
            raise NotFound("referral")
    assert [await _count(kit_db, table) for table in ("outbox", "audit_entry", "idempotency")] == [1, 1, 1]


async def test_core_and_plain_sql_share_one_transaction(kit_db: Database) -> None:
    insert = "INSERT INTO inbox (event_id, reaction, done_at) VALUES (gen_random_uuid(), 'core', now())"
    with pytest.raises(RuntimeError):
        async with kit_db.transaction(WHO) as tx:
            await tx.execute(text(insert))
            assert (await tx.fetch("SELECT count(*) FROM inbox"))[0][0] == 1
            raise RuntimeError
    assert await _count(kit_db, "inbox") == 0


async def test_a_broken_constraint_shows_as_the_drivers_own_error_either_way(kit_db: Database) -> None:
    event_id = ids.new_id()
    sql = "INSERT INTO inbox (event_id, reaction, done_at) VALUES ($1, 'r', now())"

    async def plain(tx: Tx) -> None:
        await tx.fetch(sql, event_id)

    async def core(tx: Tx) -> None:
        await tx.execute(text(sql.replace("$1", ":e")), {"e": event_id})

    for run in (plain, core):
        async with kit_db.transaction(WHO) as tx:
            await tx.fetch("DELETE FROM inbox")
            await tx.fetch(sql, event_id)
        with pytest.raises(asyncpg.UniqueViolationError):
            async with kit_db.transaction(WHO) as tx:
                await run(tx)


async def test_a_savepoint_undoes_its_part_alone(kit_db: Database) -> None:
    async with kit_db.transaction(WHO) as tx:
        await tx.fetch("INSERT INTO inbox VALUES (gen_random_uuid(), 'before', now())")
        with pytest.raises(ValueError, match="inner"):
            async with tx.savepoint():
                await tx.fetch("INSERT INTO inbox VALUES (gen_random_uuid(), 'inside', now())")
                raise ValueError("inner")
    assert await _count(kit_db, "inbox") == 1


async def test_a_savepoint_that_is_undone_takes_back_what_it_gathered(kit_db: Database) -> None:
    done: list[str] = []
    async with kit_db.transaction(WHO) as tx:
        tx.after_commit(lambda: done.append("before"))
        with pytest.raises(ValueError, match="inner"):
            async with tx.savepoint():
                tx.write("INSERT INTO inbox VALUES (gen_random_uuid(), 'inside', now())")
                tx.after_commit(lambda: done.append("inside"))
                raise ValueError("inner")
        async with tx.savepoint():
            tx.after_commit(lambda: done.append("second"))
    assert done == ["before", "second"]
    assert await _count(kit_db, "inbox") == 0


async def test_a_cancelled_transaction_leaves_nothing_and_the_pool_whole(kit_db: Database) -> None:
    async def hold() -> None:
        async with kit_db.transaction(WHO) as tx:
            await tx.fetch("INSERT INTO inbox VALUES (gen_random_uuid(), 'cut', now())")
            await tx.fetch("SELECT pg_sleep(30)")

    for _ in range(15):  # more than the pool holds
        task = asyncio.create_task(hold())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await _count(kit_db, "inbox") == 0


async def test_what_waits_for_the_commit_runs_after_it_and_never_after_a_rollback(kit_db: Database) -> None:
    called: list[str] = []
    async with kit_db.transaction(WHO) as tx:
        tx.after_commit(lambda: called.append("committed"))
        tx.wake("bell")
        assert called == []
    with pytest.raises(NotFound):
        async with kit_db.transaction(WHO) as tx:
            tx.after_commit(lambda: called.append("rolled back"))
            raise NotFound("thing")
    assert called == ["committed"]
    assert await kit_db.wake.wait("bell", 1)


async def test_a_wake_reaches_another_replica(kit_db: Database) -> None:
    other = Database(kit_db.url, clock=SystemClock())
    other.wake.start()
    # Listening begins by ringing the bells, for what was missed before.
    await other.wake.wait("pages", 5)
    assert not await other.wake.wait("pages", 0.1)
    async with kit_db.transaction(WHO) as tx:
        tx.wake("pages")
    assert await other.wake.wait("pages", 5)
    await other.close()


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none", clock=SystemClock())
    with pytest.raises(Unavailable):
        async with database.transaction(WHO):
            pytest.fail("there is no transaction")
    assert not await database.reachable()
    await database.close()


async def test_only_an_event_can_be_told(kit_db: Database) -> None:
    async with kit_db.transaction(WHO) as tx:
        with pytest.raises(TypeError):
            tx.emit(events_pb2.CareTeamMember(), key="x")


_INBOX = "INSERT INTO inbox (event_id, reaction, done_at) VALUES (gen_random_uuid(), $1, now())"


async def test_gathered_rows_are_committed_with_events_or_not_at_all(kit_db: Database) -> None:
    async with kit_db.transaction(WHO) as tx:
        tx.write(_INBOX, "gathered kept")
        tx.emit(_event("gathered"), key="gathered kept")
    with pytest.raises(NotFound):
        async with kit_db.transaction(WHO) as tx:
            tx.write(_INBOX, "gathered lost")
            raise NotFound("referral")
    async with kit_db.transaction(WHO) as tx:
        kept = await tx.read("SELECT reaction FROM inbox WHERE reaction LIKE 'gathered%'")
        told = await tx.read("SELECT 1 FROM outbox WHERE key = 'gathered kept'")
    assert ([row["reaction"] for row in kept], len(told)) == (["gathered kept"], 1)


async def test_the_last_statement_takes_what_is_gathered_along_and_gives_its_own_row(kit_db: Database) -> None:
    async with kit_db.transaction(WHO) as tx:
        tx.emit(_event("last"), key="last")
        row = await tx.last(f"WITH made AS ({_INBOX} RETURNING reaction) SELECT reaction FROM made", "last")
        assert row is not None
        assert row["reaction"] == "last"
    async with kit_db.transaction(WHO) as tx:
        assert len(await tx.read("SELECT 1 FROM outbox WHERE key = 'last'")) == 1


async def test_the_last_statement_is_durable_at_once_unless_the_transaction_had_begun(kit_db: Database) -> None:
    for begun, kept in ((False, 1), (True, 0)):
        with pytest.raises(NotFound):
            async with kit_db.transaction(WHO) as tx:
                if begun:
                    await tx.fetch("SELECT 1")
                await tx.last(_INBOX, f"begun {begun}")
                raise NotFound("referral")
        async with kit_db.transaction(WHO) as tx:
            assert len(await tx.read("SELECT 1 FROM inbox WHERE reaction = $1", f"begun {begun}")) == kept


async def test_a_transaction_that_only_reads_is_never_begun(kit_db: Database) -> None:
    async with kit_db.transaction(WHO) as tx:
        first = await tx.read_one("SELECT pg_current_xact_id()::text AS id")
        second = await tx.read_one("SELECT pg_current_xact_id()::text AS id")
        assert first != second
        third = await tx.fetch_one("SELECT pg_current_xact_id()::text AS id")
        assert await tx.read_one("SELECT pg_current_xact_id()::text AS id") == third


async def test_a_full_pool_makes_callers_wait_and_says_so_after_a_while(
    kit_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(kit_db.url, clock=SystemClock(), pool_size=1)
    try:
        async with database.transaction(WHO) as tx:
            await tx.read("SELECT 1")
            monkeypatch.setattr(pool, "WAIT_S", 0.01)
            with pytest.raises(Overloaded):
                async with database.transaction(WHO):
                    raise AssertionError("there was no connection")
            monkeypatch.undo()
            waiting = asyncio.create_task(database.reachable(30))
            await asyncio.sleep(0)
            assert not waiting.done()
        assert await waiting
    finally:
        await database.close()


async def test_a_pool_beside_another_waits_for_nobody_in_it(kit_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "WAIT_S", 0.05)
    crowded = Database(kit_db.url, clock=SystemClock(), pool_size=1)
    beside = crowded.beside(1, "beside")
    async with crowded.transaction(WHO) as held:
        await held.fetch("SELECT 1")
        with pytest.raises(Overloaded):
            async with crowded.transaction(WHO):
                raise AssertionError("a second connection came from nowhere")
        async with beside.transaction(WHO) as tx:
            assert (await tx.read("SELECT current_setting('application_name')"))[0][0] == "beside"
            tx.wake("pages")
    assert await crowded.wake.wait("pages", 1)
    await crowded.close()


async def test_what_happened_before_is_recorded_as_of_then(kit_db: Database) -> None:
    person, then = ids.new_id(), datetime(2026, 1, 5, 9, tzinfo=UTC)
    async with kit_db.transaction(WHO) as tx:
        with tx.as_of(then, system("earlier")):
            tx.audit(person, action="a", seen_as="called for help for you")
            assert tx.now == then
        tx.audit(person, action="b", seen_as="wrote it down")
        assert tx.now > then
    async with kit_db.transaction(WHO) as tx:
        rows = await tx.read("SELECT principal_id, at FROM audit_entry WHERE person_id = $1 ORDER BY action", person)
    assert tuple(rows[0]) == ("system:earlier", then)
    assert rows[1]["principal_id"] == WHO.id
    assert rows[1]["at"] > then
