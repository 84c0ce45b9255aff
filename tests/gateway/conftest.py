"""A real gateway process's parts, between a real issuer and real gRPC servers that answer as each test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf import message_factory
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from haven_dev.issuer import Issuer
from haven_dev.pki import Pki
from haven_edge.surface import Surface
from haven_gateway.process import Gateway
from haven_gateway.settings import GatewaySettings
from haven_kit import telemetry
from haven_kit.errors import STATUS_DETAILS_KEY, HavenError, to_status
from haven_kit.tls import Folder

from .contracts import descriptor_set, pool

Answer = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]


class Backend:
    """A gRPC server of one service of the test contract. `answers` are by method name."""

    def __init__(self, name: str, service: str) -> None:
        self.name = name
        self.answers: dict[str, Any] = {}
        self.calls: list[tuple[str, Any, dict[str, str]]] = []
        """Method, request and metadata of every call."""
        self.cancelled = asyncio.Event()
        self._service = pool().FindServiceByName(service)
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self.port = 0

    async def start(self, folder: Folder) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handlers = {method.name: self._handler(method) for method in self._service.methods}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(self._service.full_name, handlers),)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", folder.server_credentials())
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)

    def _handler(self, method: Any) -> grpc.RpcMethodHandler:
        request = message_factory.GetMessageClass(method.input_type)
        response = message_factory.GetMessageClass(method.output_type)

        async def unary(message: Any, context: grpc.aio.ServicerContext) -> Any:
            self._note(method, message, context)
            try:
                return await self._answered(method, message, context) or response()
            except HavenError as error:
                await _abort(context, error)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

        async def stream(message: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            self._note(method, message, context)
            try:
                async for event in self.answers[method.name](message, context):
                    yield event
            except HavenError as error:
                await _abort(context, error)
            except (asyncio.CancelledError, GeneratorExit):
                self.cancelled.set()
                raise

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, request.FromString, response.SerializeToString)
        return grpc.unary_unary_rpc_method_handler(unary, request.FromString, response.SerializeToString)

    async def _answered(self, method: Any, message: Any, context: grpc.aio.ServicerContext) -> Any:
        answer = self.answers.get(method.name)
        if isinstance(answer, HavenError):
            raise answer
        return await answer(message, context) if callable(answer) else answer

    def _note(self, method: Any, message: Any, context: grpc.aio.ServicerContext) -> None:
        self.calls.append((method.name, message, dict(context.invocation_metadata() or ())))


async def _abort(context: grpc.aio.ServicerContext, error: HavenError) -> None:
    details = to_status(error).SerializeToString()
    await context.abort(error.code, error.message, trailing_metadata=((STATUS_DETAILS_KEY, details),))


class Site:
    """A running gateway, its client, and what stands behind it."""

    def __init__(
        self, gateway: Gateway, http: aiohttp.ClientSession, issuer: Issuer, probe: Backend, crisis: Backend
    ) -> None:
        self.gateway, self.http, self.issuer, self.probe, self.crisis = gateway, http, issuer, probe, crisis

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"

    def headers(self, role: str = "participant", **more: str) -> dict[str, str]:
        """Headers of a signed-in person; keyword names stand for header names with dashes."""
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {self.issuer.token(role)}", **named}

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Status, headers and JSON of one request, signed in as a participant unless told otherwise."""
        options.setdefault("headers", self.headers())
        async with self.http.request(method, self.url + path, **options) as answer:
            body = await answer.read()
            return answer.status, answer.headers, await answer.json(content_type=None) if body else None


@pytest.fixture(scope="session")
async def issuer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Issuer]:
    made = Issuer(tmp_path_factory.mktemp("issuer"))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


Sites = Callable[..., Any]


@pytest.fixture(scope="session")
def spans() -> InMemorySpanExporter:
    """The spans that have ended."""
    return InMemorySpanExporter()


@pytest.fixture(scope="session")
def open_site(issuer: Issuer, pki: Pki, spans: InMemorySpanExporter) -> Sites:
    """Opens a gateway with settings of the test's own."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[Site]:
        probe = Backend("probe", "haven.probe.v1.ProbeService")
        crisis = Backend("crisis", "haven.crisis.v1.CrisisService")
        for backend in (probe, crisis):
            await backend.start(Folder(pki.issue(backend.name)))
        known = _settings(pki.issue("gateway"), issuer, probe, crisis, settings)
        telemetry.setup(known, exporter=spans, always=True)
        gateway = Gateway(known, Surface.of(descriptor_set()))
        await gateway.start()
        async with aiohttp.ClientSession() as http:
            try:
                yield Site(gateway, http, issuer, probe, crisis)
            finally:
                await gateway.stop()
                await asyncio.gather(probe.stop(), crisis.stop())

    return opened


def _settings(tls: Path, issuer: Issuer, probe: Backend, crisis: Backend, given: dict[str, Any]) -> GatewaySettings:
    standard = {
        "environment": "test",
        "tls_dir": tls,
        "issuer_url": issuer.url,
        "allow_development_issuer": True,
        "serves": ["probe", "crisis"],
        "targets": {name.name: f"127.0.0.1:{name.port}" for name in (probe, crisis)},
        "listen_port": 0,
        "drain_seconds": 5,
        "cors_origins": ["https://app.example.org"],
    }
    return GatewaySettings(**{**standard, **given})


@pytest.fixture(scope="module")
async def shared_site(open_site: Sites) -> AsyncIterator[Site]:
    async with open_site() as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Site:
    """A gateway with default limits; its backends answer with empty messages until told otherwise."""
    for backend in (shared_site.probe, shared_site.crisis):
        backend.answers.clear()
        backend.calls.clear()
        backend.cancelled.clear()
    return shared_site
