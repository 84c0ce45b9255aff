"""A service's composition root: settings → parts → wiring → serve. `main(SPEC)` is all that its `__main__.py` runs."""

from __future__ import annotations

import argparse
import asyncio
import importlib.resources
import json
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import uvloop

from haven_kit import contract, garbage, logs, metrics, migrations, paging, tasks, telemetry
from haven_kit.audit import Sealer
from haven_kit.cipher import Cipher
from haven_kit.clients import Clients
from haven_kit.clock import Clock
from haven_kit.consumer import Consumer
from haven_kit.database import Database
from haven_kit.identity import TokenVerifier
from haven_kit.inside import OwnChannel
from haven_kit.issuer_keys import IssuerKeys
from haven_kit.messaging import Messaging
from haven_kit.pipeline import Pipeline
from haven_kit.postgres import Address, TlsFailed
from haven_kit.reactions import Reaction, Reactor
from haven_kit.relay import Relay
from haven_kit.server import Api, Check, Server
from haven_kit.settings import Settings
from haven_kit.sweep import sweep_idempotency
from haven_kit.tls import Folder
from haven_kit.workers import Worker, WorkerLoop

S = TypeVar("S", bound=Settings)
T = TypeVar("T")
_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Parts(Generic[S]):
    """What a service is built from."""

    settings: S
    clock: Clock
    database: Database
    cipher: Cipher
    clients: Clients
    messaging: Messaging

    def client(self, service: str, stub: Callable[[Any], T]) -> T:
        """A stub of another service, which `Spec.calls` must name."""
        return self.clients.stub(service, stub)


@dataclass(frozen=True, slots=True)
class Inside:
    """What an edge inside the process needs of it."""

    clients: Clients
    """Stubs of this service itself go to its own RPCs, through everything that calls from outside pass."""
    verifier: TokenVerifier
    can_verify: Callable[[], bool]
    """Whether there are keys to verify tokens with."""


class Edge(Protocol):
    """What takes calls from outside beside gRPC. It ends before the gRPC server does."""

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        ...

    async def start(self) -> None:
        """Listen."""
        ...

    async def drain(self) -> None:
        """Take nothing new, finish what is under way, stop listening."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """What a service is made of."""

    apis: Sequence[Api]
    reactions: Sequence[Reaction[Any]] = ()
    workers: Sequence[Worker] = ()
    checks: dict[str, Check] = field(default_factory=dict)
    """More that readiness depends on, beside the database and its migrations."""
    ready_by: tuple[str, ...] = ()
    """The checks that decide readiness, where it is not all of them. The others are shown and do not count."""
    on_start: Sequence[Callable[[], Any]] = ()
    """Coroutine functions to run before the first call is taken."""
    on_stop: Sequence[Callable[[], Any]] = ()
    """Coroutine functions to run after the last: closing clients of providers, say."""
    edge: Callable[[Inside], Edge] | None = None
    """Makes the HTTP edge of a service that has one of its own."""


@dataclass(frozen=True, slots=True)
class Spec(Generic[S]):
    """What `python -m haven_<name>` runs."""

    name: str
    settings: type[S]
    build: Callable[[Parts[S]], Service]
    calls: tuple[str, ...] = ()
    """The services it calls. The caller allow-list of each is generated from these."""

    @property
    def package(self) -> str:
        """The service's Python package."""
        return f"haven_{self.name}"


def callers_of(service: str) -> frozenset[str]:
    """Who may call a service, by the generated allow-list."""
    text = importlib.resources.files("haven").joinpath("callers.json").read_text()
    return frozenset(json.loads(text)[service])


class Process(Generic[S]):
    """A running service: everything started in order, and stopped in the reverse of it."""

    def __init__(self, spec: Spec[S], settings: S, *, clock: Clock | None = None) -> None:
        contract.check(spec.name)
        self.spec = spec
        self.settings = settings
        clock = clock or settings.clock()
        folder = Folder(settings.tls_dir)
        self.database = Database(
            settings.database_url.get_secret_value(),
            clock=clock,
            pool_size=settings.database_pool_size,
            application=spec.name,
        )
        cipher = Cipher.load(settings.keyset_file, settings.keyset_kek_file)
        paging.sign_with(cipher.blind("page tokens", spec.name))
        self.clients = Clients(settings, spec.calls, folder)
        self.messaging = Messaging(settings, spec.name)
        self.parts = Parts(settings, clock, self.database, cipher, self.clients, self.messaging)
        self.service = spec.build(self.parts)
        self._credentials = folder.server_credentials()
        self._keys = IssuerKeys(
            settings.issuer_url,
            settings.jwks_url,
            clock=clock,
            allow_development_issuer=settings.allow_development_issuer,
            ssl_context=folder.public_context(),
            cache_file=settings.jwks_cache,
        )
        self.reactor = Reactor(spec.name, self.database, self.service.reactions)
        self._consumer = Consumer(spec.name, self.messaging, self.reactor)
        self._workers = [WorkerLoop(worker, self.database) for worker in self._all_workers()]
        verifier = TokenVerifier(self._keys, settings.audience, clock=clock)
        self.server = Server(
            self.service.apis,
            Pipeline(
                database=self.database,
                verifier=verifier,
                cipher=cipher,
                callers=callers_of(spec.name) | ({spec.name} if self.service.edge is not None else set()),
                default_deadline=settings.default_deadline_seconds,
            ),
            checks={"database": self.database.reachable, "migrations": self._migrated, **self.service.checks},
            ready_by=self.service.ready_by,
            max_request_bytes=settings.max_request_bytes,
        )
        self._http: metrics.Endpoint | None = None
        self.edge: Edge | None = None
        if self.service.edge is not None:
            self.clients.reach_own(spec.name, OwnChannel(spec.name, self.server.handlers))
            self.edge = self.service.edge(Inside(self.clients, verifier, lambda: self._keys.ready))
        self.port = 0
        """Where gRPC listens, once started."""
        self.health_port = 0
        """Where health is told without TLS, once started; 0 where no such port was asked for."""

    def _all_workers(self) -> list[Worker]:
        name, database = self.spec.name, self.database
        return [
            *Relay(name, database, self.messaging).workers(),
            Sealer(name, database).worker(),
            *self.reactor.workers(),
            sweep_idempotency(name, database),
            *self.service.workers,
        ]

    async def start(self) -> None:
        """Start everything; what may be slow to reach (NATS, other services) is waited for in the background."""
        self.database.wake.start()
        self.messaging.start()
        await self._keys.start()
        for hook in self.service.on_start:
            await hook()
        self._consumer.start()
        for loop in self._workers:
            loop.start()
        self.port = await self.server.start(self.settings.grpc_host, self.settings.grpc_port, self._credentials)
        if self.settings.health_port is not None:
            self.health_port = await self.server.start_health(self.settings.http_host, self.settings.health_port)
        if self.edge is not None:
            await self.edge.start()
        self._http = await metrics.start_http(
            self.settings.http_port,
            lambda: self.server.state,
            ready_by=self.service.ready_by,
            host=self.settings.http_host,
        )
        self._warming = asyncio.create_task(self.clients.warm(), name="warm")
        _log.info("service.started", grpc_port=self.port, http_port=self._http.port)

    async def stop(self) -> None:
        """Drain: take nothing new, finish what is under way, send what is told, let go."""
        grace = self.settings.drain_seconds
        self.server.leave()
        if self.edge is not None:
            await self.edge.drain()
        await self.server.drain(grace)
        await self._consumer.stop(grace)
        await asyncio.gather(*(loop.stop(grace / 4) for loop in self._workers))
        await tasks.end(self._warming)
        for hook in self.service.on_stop:
            await hook()
        await self.messaging.close()
        await self.clients.close()
        await self._keys.close()
        await self.database.close()
        if self._http is not None:
            await self._http.close()
        _log.info("service.stopped")

    async def _migrated(self) -> bool:
        return await migrations.is_current(self.database, self.spec.package)


async def _serve(spec: Spec[S], settings: S) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    process = Process(spec, settings)
    tracing = telemetry.setup(settings)
    await process.start()
    garbage.settle()
    await stopping.wait()
    await process.stop()
    await asyncio.to_thread(tracing.close)


def main(spec: Spec[S], argv: Sequence[str] | None = None) -> None:
    """Run the service: `serve` (the default) or `migrate`."""
    parser = argparse.ArgumentParser(prog=f"python -m {spec.package}")
    parser.add_argument("command", nargs="?", choices=("serve", "migrate"), default="serve")
    chosen = parser.parse_args(argv)
    settings = spec.settings.load(service=spec.name)
    logs.setup(spec.name, settings.log_level, strict=settings.environment != "production")
    url = settings.database_url.get_secret_value()
    if settings.environment == "production" and not Address(url).verified:
        _log.warning("database.certificate_unchecked")
    try:
        if chosen.command == "migrate":
            uvloop.run(migrations.migrate(url, spec.package))
        else:
            uvloop.run(_serve(spec, settings))
    except contract.ContractError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(78)
    except TlsFailed as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
