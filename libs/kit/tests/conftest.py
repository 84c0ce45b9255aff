"""What the kit's own tests run on: databases with the kit's tables alone, and an issuer of tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from haven_dev import databases
from haven_kit import ids, schema
from haven_kit.clock import FakeClock, SystemClock
from haven_kit.database import Database
from haven_kit.identity import TokenVerifier, system
from haven_kit.issuer_keys import IssuerKeys
from haven_kit.testing.servers import Shared

from .issuer import Issuer

PRINCIPAL = system("test")


class _Statements:
    """Stands in for Alembic's operations: gathers the statements."""

    def __init__(self) -> None:
        self.gathered: list[str] = []

    def execute(self, statement: str) -> None:
        self.gathered.append(statement)


async def kit_database(shared: Shared, name: str) -> Database:
    """A new database with the kit's tables."""
    full_name = f"kit_{name}_{ids.new_id().replace('-', '')[-12:]}"
    url = await databases.create(shared.admin_url, full_name, "kit", "test")
    database = Database(url, clock=SystemClock(), application="kit-test")
    statements = _Statements()
    schema.create(statements)  # type: ignore[arg-type]
    async with database.transaction(PRINCIPAL) as tx:
        for statement in statements.gathered:
            await tx.fetch(statement)
    return database


KitDatabases = Callable[[str], Awaitable[Database]]


@pytest_asyncio.fixture
async def kit_databases(shared_servers: Shared) -> AsyncIterator[KitDatabases]:
    """Makes databases that live as long as the test."""
    made: list[Database] = []

    async def make(name: str) -> Database:
        made.append(await kit_database(shared_servers, name))
        made[-1].wake.start()
        return made[-1]

    yield make
    for database in made:
        await database.close()


@pytest_asyncio.fixture
async def kit_db(kit_databases: KitDatabases) -> Database:
    """A database of its own for each test."""
    return await kit_databases("own")


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    await issuer.start()
    yield issuer
    await issuer.stop()


@pytest.fixture
async def keys(issuer: Issuer, clock: FakeClock) -> AsyncIterator[IssuerKeys]:
    keys = IssuerKeys(issuer.url, clock=clock, allow_development_issuer=True)
    await keys.start()
    yield keys
    await keys.close()


@pytest.fixture
def verifier(keys: IssuerKeys, clock: FakeClock) -> TokenVerifier:
    return TokenVerifier(keys, "haven", clock=clock)
