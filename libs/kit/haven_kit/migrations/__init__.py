"""Migrations: Alembic, forward only, run by `python -m haven_<service> migrate` before the new version starts.

Each service keeps its steps in `haven_<service>/migrations/versions/`; the environment they run in is here, once.
"""

from __future__ import annotations

import importlib.resources
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from haven_kit.database import Database
from haven_kit.identity import system
from haven_kit.postgres import DIALECT, Address

LOCK = "migrate"
CONNECT_TIMEOUT_S = 60.0
"""A database may still be starting while the first release is installed."""


def config(package: str, connection: Connection | None = None) -> Config:
    """Alembic's configuration for a service's package."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.set_main_option("version_locations", str(importlib.resources.files(package).joinpath("migrations/versions")))
    made.set_main_option("path_separator", "newline")
    made.attributes["connection"] = connection
    return made


@cache
def steps(package: str) -> tuple[str, frozenset[str]]:
    """The newest step that the code knows, and all of them."""
    script = ScriptDirectory.from_config(config(package))
    return script.get_current_head() or "", frozenset(step.revision for step in script.walk_revisions())


async def migrate(url: str, package: str) -> None:
    """Bring a database up to the newest step. Two at once wait for each other. Raises AddressError and TlsFailed."""
    address = Address(url)
    engine = create_async_engine(
        DIALECT, poolclass=NullPool, async_creator=lambda: address.connect(timeout=CONNECT_TIMEOUT_S)
    )
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock(hashtextextended('{LOCK}', 0))")
            await connection.run_sync(lambda sync: command.upgrade(config(package, sync), "head"))
    finally:
        await engine.dispose()


async def is_current(database: Database, package: str) -> bool:
    """Whether the database has reached the step that this code needs. A newer database is fine: steps expand first."""
    head, known = steps(package)
    async with database.transaction(system(f"{package}/readiness")) as tx:
        if not (await tx.fetch("SELECT to_regclass('alembic_version') IS NOT NULL AS there"))[0]["there"]:
            return False
        rows = await tx.fetch("SELECT version_num FROM alembic_version")
    found = rows[0]["version_num"] if rows else ""
    return found == head or (found != "" and found not in known)
