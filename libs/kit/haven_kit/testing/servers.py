"""The servers that tests run on: one PostgreSQL for the whole session, a NATS of its own for each module that asks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import psutil

from haven_dev import databases, project
from haven_dev.embedded import Nats, Postgres
from haven_dev.pki import Pki
from haven_dev.process import end_leftover
from haven_kit import migrations
from haven_kit.cipher import create_keyset

ROLE_PASSWORD = "test"  # noqa: S105  (of databases that live as long as a test)


@dataclass(frozen=True, slots=True)
class Shared:
    """What every process of a test session uses together; handed to xdist's workers."""

    admin_url: str
    """PostgreSQL's superuser."""
    folder: str
    containers: bool

    @property
    def keyset(self) -> Path:
        """Keys to seal health information with."""
        return Path(self.folder) / "keyset.json"

    @property
    def authority(self) -> Pki:
        """Signs the certificates of services."""
        return Pki(Path(self.folder) / "pki")

    def as_dict(self) -> dict[str, object]:
        """As plain values."""
        return asdict(self)

    async def database(self, service: str, name: str) -> str:
        """The address of a database `name`, made new from a migrated template of the service, for its own login."""
        template = f"template_{service}"
        await self._make_template(service, template)
        await databases.drop(self.admin_url, name)
        return await databases.create(self.admin_url, name, service, ROLE_PASSWORD, template=template)

    async def _make_template(self, service: str, template: str) -> None:
        connection = await asyncpg.connect(self.admin_url)
        try:
            await connection.execute("SELECT pg_advisory_lock(hashtext($1))", template)
            if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", template):
                return
            unfinished = f"{template}_unfinished"
            await databases.drop(self.admin_url, unfinished)
            url = await databases.create(self.admin_url, unfinished, service, ROLE_PASSWORD)
            await migrations.migrate(url, f"haven_{service}")
            await connection.execute(f'ALTER DATABASE "{unfinished}" RENAME TO "{template}"')
        finally:
            await connection.close()


class Road(Protocol):
    """A NATS server, embedded or in a container."""

    @property
    def url(self) -> str:
        """Where to connect."""
        ...

    async def start(self) -> None:
        """Start, or start again on the same port."""
        ...

    async def stop(self) -> None:
        """Stop; what was acknowledged stays."""
        ...

    def password(self, user: str) -> str:
        """The password of a part, or of `admin`."""
        ...


def nats(shared: Shared, name: str) -> Road:
    """A NATS server that has not started yet, with nothing in it."""
    state = Path(shared.folder) / f"nats-{name}"
    shutil.rmtree(state, ignore_errors=True)
    if shared.containers:
        from haven_kit.testing.containers import ContainerNats

        return ContainerNats(state, shared.authority)
    return Nats(state, shared.authority)


async def start_session(containers: bool) -> tuple[Shared, Callable[[], Coroutine[Any, Any, None]]]:
    """Start PostgreSQL and make what is shared. Returns it and what ends it."""
    sessions = project.home() / "tests"
    _sweep(sessions)
    folder = sessions / str(os.getpid())
    folder.mkdir(parents=True)
    Pki(folder / "pki").issue_all()
    if containers:
        from haven_kit.testing.containers import ContainerPostgres

        container = ContainerPostgres()
        shared = Shared(await container.start(), str(folder), containers=True)
        stop = container.stop
    else:
        postgres = Postgres(folder, durable=False)
        await postgres.start()
        shared = Shared(postgres.url(), str(folder), containers=False)

        async def stop() -> None:
            await postgres.stop()
            postgres.remove()

    create_keyset(shared.keyset)

    async def end() -> None:
        await stop()
        shutil.rmtree(folder, ignore_errors=True)

    return shared, end


def _sweep(sessions: Path) -> None:
    """Remove what sessions left that did not end as they should."""
    for folder in sessions.iterdir() if sessions.exists() else ():
        if folder.name.isdigit() and not psutil.pid_exists(int(folder.name)):
            for pid_file in folder.rglob("*.pid"):
                with suppress(KeyError, TypeError):  # PostgreSQL's own pid file is not one of ours
                    end_leftover(pid_file)
            Postgres(folder).remove()
            shutil.rmtree(folder, ignore_errors=True)
