"""The audit chain: final entries, sealed in order, and every tampering shows."""

import asyncpg
import pytest
from haven.audit.v1 import events_pb2

from haven_kit import ids
from haven_kit.audit import Sealer, verify
from haven_kit.database import Database
from haven_kit.identity import system
from haven_kit.testing import eventually

WHO = system("test")


async def _sealed(database: Database, count: int) -> list[str]:
    people = [ids.new_id() for _ in range(count)]
    async with database.transaction(WHO) as tx:
        for person in people:
            tx.audit(person, action="/m", seen_as="read your plan", role="prescriber")
    sealer = Sealer("intake", database)

    async def all_sealed() -> bool:
        await sealer.seal_batch()
        return (await verify(database, "intake")).unsealed == 0

    await eventually(all_sealed)
    return people


async def _change(database: Database, sql: str) -> None:
    """Change the table as someone with the database owner's rights could: with the guard switched off."""
    async with database.transaction(WHO) as tx:
        await tx.fetch("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_is_final")
        await tx.fetch(sql)
        await tx.fetch("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_is_final")


async def test_entries_are_sealed_told_and_verified(kit_db: Database) -> None:
    people = await _sealed(kit_db, 3)
    verdict = await verify(kit_db, "intake")
    assert (verdict.entries, verdict.unsealed, verdict.broken_at) == (3, 0, None)
    async with kit_db.transaction(WHO) as tx:
        rows = await tx.fetch("SELECT payload FROM outbox WHERE subject = 'haven.intake.audit.sealed.v1' ORDER BY seq")
    told = [events_pb2.AccessesSealed.FromString(row["payload"]) for row in rows]
    assert [each.person_id for event in told for each in event.accesses] == people
    assert told[-1].head == verdict.head
    assert {each.role for event in told for each in event.accesses} == {"prescriber"}


@pytest.mark.parametrize(
    ("tampering", "found_at"),
    [
        ("UPDATE audit_entry SET principal_id = 'someone else' WHERE seq = 2", 2),
        ("UPDATE audit_entry SET person_id = 'another' WHERE seq = 3", 3),
        ("DELETE FROM audit_entry WHERE seq = 2", 2),
        ("UPDATE audit_entry SET seq = CASE seq WHEN 1 THEN 102 ELSE 101 END WHERE seq IN (1, 2)", 1),
        ("UPDATE audit_entry SET hash = decode('00', 'hex') WHERE seq = 1", 1),
    ],
)
async def test_tampering_shows(kit_db: Database, tampering: str, found_at: int) -> None:
    await _sealed(kit_db, 4)
    await _change(kit_db, tampering)
    assert (await verify(kit_db, "intake")).broken_at == found_at


async def test_cutting_off_the_end_shows_against_the_head_that_was_told(kit_db: Database) -> None:
    await _sealed(kit_db, 3)
    before = (await verify(kit_db, "intake")).head
    await _change(kit_db, "DELETE FROM audit_entry WHERE seq = 3")
    assert (await verify(kit_db, "intake")).head != before


@pytest.mark.parametrize("sql", ["UPDATE audit_entry SET action = 'other'", "DELETE FROM audit_entry"])
async def test_the_database_refuses_to_change_an_entry(kit_db: Database, sql: str) -> None:
    await _sealed(kit_db, 1)
    with pytest.raises(asyncpg.RaiseError, match="final"):
        async with kit_db.transaction(WHO) as tx:
            await tx.fetch(sql)
