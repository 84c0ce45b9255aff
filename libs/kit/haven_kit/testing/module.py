"""What the services of one test module run on: databases, a NATS, an issuer; and starting services on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

from haven_dev.issuer import Issuer
from haven_kit import contract
from haven_kit.clock import Clock, SystemClock
from haven_kit.database import Database
from haven_kit.service import Process, Spec
from haven_kit.settings import Settings
from haven_kit.testing.running import READY_S, Running
from haven_kit.testing.servers import Road, Shared, nats
from haven_kit.testing.wait import eventually

S = TypeVar("S", bound=Settings)
_LONGEST_NAME = 40


class Module:
    """The surroundings of one module's tests. Nothing of it is seen by another module."""

    def __init__(self, shared: Shared, name: str) -> None:
        self._shared = shared
        self._name = re.sub(r"[^a-z0-9]+", "_", name.lower())[-_LONGEST_NAME:]
        self._urls: dict[str, str] = {}
        self._nats: Road | None = None
        self._databases: list[Database] = []
        self._running: list[Running] = []
        self.issuer = Issuer(Path(shared.folder) / self._name)

    async def start(self) -> None:
        """Start what costs little."""
        await self.issuer.start()

    async def stop(self) -> None:
        """Stop everything, the youngest first."""
        for running in reversed(self._running):
            await running.stop()
        for database in self._databases:
            await database.close()
        if self._nats is not None:
            await self._nats.stop()
        await self.issuer.stop()

    async def database_url(self, service: str) -> str:
        """The address of this module's database of a service, made and migrated on first use."""
        if service not in self._urls:
            self._urls[service] = await self._shared.database(service, f"{service}_{self._name}")
        return self._urls[service]

    async def database(self, service: str, *, clock: Clock | None = None) -> Database:
        """This module's database of a service, open."""
        database = Database(await self.database_url(service), clock=clock or SystemClock(), application="test")
        self._databases.append(database)
        return database

    async def nats(self) -> Road:
        """This module's NATS, started on first use."""
        if self._nats is None:
            self._nats = nats(self._shared, self._name)
            await self._nats.start()
        return self._nats

    async def settings(self, kind: type[S], name: str, **given: Any) -> S:
        """Settings of a service as its environment would give them, with those `given` instead where they are."""
        road = await self.nats()
        values: dict[str, Any] = {
            "service": name,
            "environment": "test",
            "nats_url": road.url,
            "nats_user": name,
            "nats_password": road.password(name),
            "nats_tls": True,
            "tls_dir": self._shared.authority.issue(name),
            "issuer_url": self.issuer.url,
            "allow_development_issuer": True,
            "keyset_file": self._shared.keyset,
            "drain_seconds": 1,
        }
        if "listen_port" in kind.model_fields:
            values["listen_port"] = 0
        if name in contract.SERVICES and "database_url" not in given:
            values["database_url"] = await self.database_url(name)
        return kind(**(values | given))

    async def serve(
        self, spec: Spec[S], *, clock: Clock | None = None, targets: dict[str, str] | None = None, **settings: Any
    ) -> Running:
        """Run a service until the module ends, or `stop`. `settings` override; its database outlives a restart.

        Services that it calls are those this module serves already, or those in `targets`; others cannot be reached.
        """
        nowhere = dict.fromkeys(spec.calls, "dns:///127.0.0.1:1")
        here = {each.name: each.address for each in self._running if not each.stopped}
        made = await self.settings(spec.settings, spec.name, targets=nowhere | here | (targets or {}), **settings)
        process = Process(spec, made, clock=clock)
        await process.start()
        running = Running(process, self.issuer, self._shared.authority.issue)
        self._running.append(running)
        await eventually(lambda: process.server.ready, timeout=READY_S)
        return running
