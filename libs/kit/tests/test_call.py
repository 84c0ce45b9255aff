"""One call with several looks: everybody whose record is shown gets an entry, each once."""

from __future__ import annotations

import pytest

from haven_kit import contract
from haven_kit.call import Call
from haven_kit.database import Database
from haven_kit.identity import Principal, system

ONE, OTHER = "0197c0de-0000-7000-8000-000000000001", "0197c0de-0000-7000-8000-000000000002"


def _call(database: Database) -> Call:
    method = next(
        each for each in contract.methods_of("haven.crisis.v1.AlertService") if each.full_name.endswith("WatchAlerts")
    )
    return Call(method, Principal("dr-who"), database)


async def _audited(database: Database) -> list[str]:
    async with database.transaction(system("test")) as tx:
        return [row["person_id"] for row in await tx.fetch("SELECT person_id FROM audit_entry ORDER BY person_id")]


async def test_a_person_shown_later_in_a_stream_is_in_the_access_history(kit_db: Database) -> None:
    call = _call(kit_db)
    for shown in ((), (ONE,), (ONE,), (OTHER,)):
        async with call.transaction():
            call.about(*shown)
    assert await _audited(kit_db) == [ONE, OTHER]


async def test_an_entry_that_was_not_committed_is_written_with_the_next_look(kit_db: Database) -> None:
    call = _call(kit_db)

    async def look(*, fails: bool) -> None:
        async with call.transaction() as tx:
            call.about(ONE)
            call.write_audit(tx)
            if fails:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await look(fails=True)
    await look(fails=False)
    assert await _audited(kit_db) == [ONE]
