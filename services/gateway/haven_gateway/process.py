"""The running gateway: what is started, in order, and stopped in the reverse of it."""

from __future__ import annotations

import asyncio
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc

from haven_edge.edge import HttpEdge
from haven_edge.surface import Surface
from haven_gateway.settings import GatewaySettings
from haven_kit import logs, metrics, tasks
from haven_kit.clients import Clients
from haven_kit.errors import HavenError
from haven_kit.identity import TokenVerifier
from haven_kit.issuer_keys import IssuerKeys
from haven_kit.tls import Folder

CHECK_SECONDS = 2.0
_log = logs.get(__name__)


class Backends:
    """Which services answer, as their health service tells it."""

    def __init__(self, clients: Clients, services: list[str]) -> None:
        self._stubs: dict[str, Any] = {name: clients.stub(name, health_pb2_grpc.HealthStub) for name in services}
        self.serving = dict.fromkeys(services, False)
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask each, and keep asking."""
        await self._ask_all()
        self._watch = asyncio.create_task(self._keep_asking(), name="backends")

    async def close(self) -> None:
        """Stop asking."""
        if self._watch is not None:
            await tasks.end(self._watch)

    async def _keep_asking(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self._ask_all()

    async def _ask_all(self) -> None:
        before = dict(self.serving)
        await asyncio.gather(*(self._ask(name) for name in self._stubs))
        if before != self.serving:
            _log.info("backends.changed", serving=sorted(name for name, up in self.serving.items() if up))

    async def _ask(self, name: str) -> None:
        request = health_pb2.HealthCheckRequest()
        try:
            answer = await self._stubs[name].Check(request, timeout=CHECK_SECONDS / 2)
            self.serving[name] = answer.status == health_pb2.HealthCheckResponse.SERVING
        except HavenError:
            self.serving[name] = False


class Gateway:
    """One gateway process."""

    def __init__(self, settings: GatewaySettings, surface: Surface | None = None) -> None:
        self.settings = settings
        folder = Folder(settings.tls_dir)
        surface = surface or Surface.of_haven(settings.serves)
        self._clients = Clients(settings, settings.serves, folder)
        self._keys = IssuerKeys(
            settings.issuer_url,
            settings.jwks_url,
            allow_development_issuer=settings.allow_development_issuer,
            ssl_context=folder.public_context(),
            cache_file=settings.jwks_cache,
        )
        self._backends = Backends(self._clients, settings.serves)
        verifier = TokenVerifier(self._keys, settings.audience, clock=settings.clock())
        self._edge = HttpEdge(surface, self._clients, verifier, settings, readiness=self._readiness)
        self._metrics: metrics.Endpoint | None = None

    @property
    def port(self) -> int:
        """Where clients reach it, once started."""
        return self._edge.port

    def readiness(self) -> dict[str, bool]:
        """What readiness depends on, and whether it holds."""
        return self._edge.readiness()

    def _readiness(self) -> dict[str, bool]:
        """Ready is, beside taking requests: able to verify a token, and at least one service answers.

        One service that is down must not take the others, and above all crisis, away from people.
        """
        return {
            "sign_in_keys": self._keys.ready,
            "services": any(self._backends.serving.values()),
        }

    async def start(self) -> None:
        """Start everything. What cannot be reached yet is waited for in the background."""
        await self._keys.start()
        await self._clients.warm(1)
        await self._backends.start()
        await self._edge.start()
        self._metrics = await metrics.start_http(self.settings.http_port, self.readiness, host=self.settings.http_host)
        _log.info("gateway.started", port=self.port, http_port=self._metrics.port)

    async def stop(self) -> None:
        """Drain: readiness off, streams ended, requests finished; then let go."""
        await self._edge.drain()
        await self._backends.close()
        await self._clients.close()
        await self._keys.close()
        if self._metrics is not None:
            await self._metrics.close()
        _log.info("gateway.stopped")
