"""The gRPC server of a process: its APIs, health with readiness apart from liveness, reflection, and drain."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from haven_kit import contract, logs, tasks
from haven_kit.clients import KEEPALIVE_SECONDS
from haven_kit.contract import ContractError, Method
from haven_kit.pipeline import Pipeline, readable

LIVE = "live"
"""The health name that says whether the process turns. The empty name and each API's say whether it is ready."""
MAX_CONNECTION_AGE_MS = 300_000
CHECK_EVERY_S = 1.0
CHECK_TIMEOUT_S = 2.0
MAX_CONCURRENT = 2_000
_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Api:
    """A gRPC service and the object whose methods answer it, one for each RPC, in snake case."""

    service: str
    """Full name: `haven.intake.v1.ReferralService`."""
    implementation: object


Check = Callable[[], Awaitable[bool]]
"""Whether something the service cannot do without answers now."""


class Server:
    """One process's gRPC server."""

    def __init__(
        self,
        apis: Sequence[Api],
        pipeline: Pipeline,
        *,
        checks: Mapping[str, Check],
        ready_by: Sequence[str] = (),
        max_request_bytes: int,
    ) -> None:
        self._pipeline = pipeline
        self._checks = checks
        self._ready_by = tuple(ready_by or checks)
        self._names = tuple(api.service for api in apis)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", max_request_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_connection_age_ms", MAX_CONNECTION_AGE_MS),
                ("grpc.max_connection_age_grace_ms", 30_000),
                ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_SECONDS * 500),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
            maximum_concurrent_rpcs=MAX_CONCURRENT,
        )
        self.handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        """What answers each RPC, by its full name."""
        for api in apis:
            found = _handlers(api, pipeline)
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(api.service, found),))
            self.handlers.update({f"/{api.service}/{name}": handler for name, handler in found.items()})
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        self._probed: grpc.aio.Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self.state: dict[str, bool] = dict.fromkeys(checks, False)
        """What each check said last, by its name."""

    async def start(self, host: str, port: int, credentials: grpc.ServerCredentials) -> int:
        """Listen, and say how things stand from now on. Returns the port. Raises OSError when it is taken."""
        try:
            bound = self._server.add_secure_port(f"{host}:{port}", credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {host}:{port}") from error
        await self._server.start()
        await self._health.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        await self._check()
        self._watch = asyncio.create_task(self._keep_checking(), name="readiness")
        return bound

    async def start_health(self, host: str, port: int) -> int:
        """Serve health alone on a port of its own, without TLS: probes of Kubernetes know none. Returns the port."""
        self._probed = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._probed)
        bound = self._probed.add_insecure_port(f"{host}:{port}")
        await self._probed.start()
        return bound

    def leave(self) -> None:
        """Say not ready from now on, while everything is still answered."""
        self.state = {**self.state, "accepting": False}

    async def drain(self, grace: float) -> None:
        """Say not ready, end streams, let calls under way finish for at most `grace` seconds, then stop listening."""
        if self._watch is not None:
            await tasks.end(self._watch)
        self.leave()
        await self._health.enter_graceful_shutdown()
        self._pipeline.draining.set()
        await self._server.stop(grace)
        if self._probed is not None:
            await self._probed.stop(0)

    @property
    def ready(self) -> bool:
        """Whether every check that decides readiness said yes last."""
        return all(self.state[name] for name in self._ready_by)

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            await self._check()

    async def _check(self) -> None:
        was = self.ready
        for name, check in self._checks.items():
            try:
                async with asyncio.timeout(CHECK_TIMEOUT_S):
                    self.state[name] = await check()
            except Exception as error:  # noqa: BLE001 - whatever a check raises, it means not ready
                _log.warning("readiness.check_failed", check=name, error=type(error).__name__)
                self.state[name] = False
        ready = self.ready
        if ready != was:
            _log.info("readiness.changed", ready=ready, failing=[n for n, ok in self.state.items() if not ok])
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._names):
            await self._health.set(name, status)


def _handlers(api: Api, pipeline: Pipeline) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    found: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for method in contract.methods_of(api.service):
        answer = answer_of(api, method)
        decode, encode = readable(method.request), method.response.SerializeToString
        if method.server_streaming:
            found[method.name] = grpc.unary_stream_rpc_method_handler(pipeline.stream(method, answer), decode, encode)
        else:
            found[method.name] = grpc.unary_unary_rpc_method_handler(pipeline.unary(method, answer), decode, encode)
    return found


def answer_of(api: Api, method: Method) -> Callable[..., Any]:
    """The method that answers an RPC. Raises ContractError where it is missing or its types are not the contract's."""
    name = contract.snake(method.name)
    answer = getattr(api.implementation, name, None)
    if answer is None:
        raise ContractError(f"{method.full_name}: {type(api.implementation).__name__} has no method {name}")
    hints = get_type_hints(answer)
    takes = [hint for key, hint in hints.items() if key != "return"]
    gives = hints.get("return")
    if method.server_streaming:
        gives = next(iter(get_args(gives)), None)
        if not inspect.isasyncgenfunction(answer):
            raise ContractError(f"{method.full_name}: {name} must be an async generator")
    if takes[-1:] != [method.request] or gives is not method.response:
        raise ContractError(
            f"{method.full_name}: {name} must take {method.request.__name__} and give {method.response.__name__}"
        )
    return answer  # type: ignore[no-any-return]
