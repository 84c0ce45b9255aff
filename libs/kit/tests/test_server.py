"""Health on a port of its own, as the probes of Kubernetes ask for it: without TLS, and nothing else there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from haven_dev import ports
from haven_kit.server import LIVE
from haven_kit.service import Service, Spec
from haven_kit.settings import Settings

SPEC = Spec(name="intake", settings=Settings, build=lambda _: Service(apis=[]))


async def test_probes_learn_of_health_without_tls_and_of_nothing_else(serve: Callable[..., Awaitable[Any]]) -> None:
    running = await serve(SPEC, health_port=0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.process.health_port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", LIVE):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await channel.unary_unary(
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                request_serializer=None,
                response_deserializer=None,
            )(b"")
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_without_the_setting_there_is_no_such_port(serve: Callable[..., Awaitable[Any]]) -> None:
    assert (await serve(SPEC)).process.health_port == 0


async def test_readiness_goes_by_the_checks_that_decide_it(serve: Callable[..., Awaitable[Any]]) -> None:
    """The others are shown, and take no replica away."""

    async def yes() -> bool:
        return True

    async def no() -> bool:
        return False

    made = Service(apis=[], checks={"one_road": yes, "another": no}, ready_by=("one_road",))
    port = ports.free_port()
    running = await serve(Spec(name="intake", settings=Settings, build=lambda _: made), http_port=port)
    assert running.process.server.ready
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/readyz") as answer,
    ):
        told = await answer.json()
        assert (answer.status, told["ready"]) == (200, True)
    assert told["parts"]["another"] is False
