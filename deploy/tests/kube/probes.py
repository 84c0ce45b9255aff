"""Probes as the kubelet runs them: gRPC health without TLS, HTTP, TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


async def holds(address: str, probe: Mapping[str, Any], ports: Mapping[str, int]) -> bool:
    """Whether a probe succeeds once. Named ports are looked up in `ports`."""
    timeout = float(probe.get("timeoutSeconds", 1))
    try:
        if "grpc" in probe:
            return await _grpc(address, probe["grpc"], timeout)
        if "httpGet" in probe:
            port = probe["httpGet"]["port"]
            return await _http(f"http://{address}:{ports.get(port, port)}{probe['httpGet']['path']}", timeout)
        port = probe["tcpSocket"]["port"]
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(address, int(ports.get(port, port)))
            writer.close()
        return True
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False


async def _grpc(address: str, asked: Mapping[str, Any], timeout: float) -> bool:
    async with grpc.aio.insecure_channel(f"{address}:{asked['port']}") as channel:
        request = health_pb2.HealthCheckRequest(service=asked.get("service", ""))
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _http(url: str, timeout: float) -> bool:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
        session.get(url) as answer,
    ):
        return 200 <= answer.status < 400


async def until(
    address: str,
    probe: Mapping[str, Any],
    ports: Mapping[str, int],
    runs: Callable[[], Awaitable[bool]],
    tries: int | None = None,
) -> bool:
    """Probe until it holds, as often as it says or `tries`, and no longer than the container `runs`."""
    for _ in range(int(probe.get("failureThreshold", 3)) if tries is None else tries):
        if await holds(address, probe, ports):
            return True
        if not await runs():
            return False
        await asyncio.sleep(float(probe.get("periodSeconds", 10)))
    return False
