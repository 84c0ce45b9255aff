"""How much of a bare FastAPI → grpc.aio echo's throughput the gateway reaches, with all that it does on top.

`python tests/bench/gateway_bench.py [rounds]`. Three processes: an echo service, a bare FastAPI in front of it, the
gateway in front of it; the client here. Rounds alternate between the two, and the ratios are of medians of one run: on
a shared machine only ratios mean something. The bare path parses JSON with pydantic and has no identity, limits,
problems, spans or TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import uvloop
from pydantic import BaseModel

from haven_dev import ports
from haven_dev.issuer import Issuer
from haven_dev.pki import Pki

sys.path.insert(0, str(Path(__file__).parents[1]))

from gateway.contracts import descriptor_set, message

SECONDS = 2.0
ECHO = "/haven.probe.v1.ProbeService/RenameThing"
ROUTE = "/v1/things/01890a5d-ac96-774b-bcce-b302099a8057:rename"


class Body(BaseModel):
    """What the bare echo takes."""

    name: str


def _serve_echo(port: int, tls_port: int, folder: str) -> None:
    from haven_kit.tls import Folder

    request, thing = message("RenameThingRequest"), message("Thing")

    async def rename(asked: Any, _: Any) -> Any:
        return thing(thing_id=asked.thing_id, name=asked.name, etag="v1")

    async def serve() -> None:
        handler = grpc.unary_unary_rpc_method_handler(rename, request.FromString, thing.SerializeToString)
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("haven.probe.v1.ProbeService", {"RenameThing": handler}),)
        )
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.add_secure_port(f"127.0.0.1:{tls_port}", Folder(Path(folder)).server_credentials())
        await server.start()
        await server.wait_for_termination()

    uvloop.run(serve())


def _serve_bare(port: int, echo_port: int) -> None:
    import uvicorn
    from fastapi import FastAPI

    request, thing = message("RenameThingRequest"), message("Thing")

    state: dict[str, Any] = {}

    @contextlib.asynccontextmanager
    async def connected(_: FastAPI) -> AsyncIterator[None]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{echo_port}") as channel:
            state["call"] = channel.unary_unary(
                ECHO, request_serializer=request.SerializeToString, response_deserializer=thing.FromString
            )
            yield

    app = FastAPI(lifespan=connected, telemetry={"tracing": False, "metrics": False, "logs": False})

    @app.post("/v1/things/{thing_id}:rename")
    async def _rename(thing_id: str, body: Body) -> dict[str, str]:
        answer = await state["call"](request(thing_id=thing_id, name=body.name), timeout=10)
        return {"thingId": answer.thing_id, "name": answer.name, "etag": answer.etag}

    uvicorn.run(app, port=port, log_level="error", access_log=False)


def _serve_gateway(port: int, tls_port: int, folder: str, issuer_url: str) -> None:
    from haven_gateway.process import Gateway
    from haven_gateway.settings import GatewaySettings
    from haven_gateway.surface import Surface
    from haven_kit import logs, telemetry

    async def serve() -> None:
        settings = GatewaySettings(
            environment="test", tls_dir=folder, issuer_url=issuer_url, allow_development_issuer=True, listen_port=port,
            serves=["probe"], targets={"probe": f"127.0.0.1:{tls_port}"}, person_rate=1e9, person_burst=1e9,
            address_rate=1e9, address_burst=1e9,
        )  # fmt: skip
        logs.setup("gateway", "error")
        telemetry.setup(settings)
        await Gateway(settings, Surface.of(descriptor_set(), ["probe"])).start()
        await asyncio.Event().wait()

    uvloop.run(serve())


async def _load(http: aiohttp.ClientSession, url: str, headers: dict[str, str], at_once: int) -> tuple[float, float]:
    """Requests a second and the median in milliseconds."""
    ends = time.perf_counter() + SECONDS
    took: list[float] = []

    async def one() -> None:
        while (began := time.perf_counter()) < ends:
            async with http.post(url, json={"name": "kite"}, headers=headers) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status}: {await answer.text()}")
                await answer.read()
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(one() for _ in range(at_once)))
    return len(took) / SECONDS, statistics.median(took) * 1000


async def _measure(urls: dict[str, str], headers: dict[str, str], rounds: int) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for url in urls.values():
            await _ready(http, url, headers)
        for at_once in (1, 32):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in urls}
            for _ in range(rounds):
                for name, url in urls.items():
                    found[name].append(await _load(http, url, headers, at_once))
            rate = {name: statistics.median(r for r, _ in each) for name, each in found.items()}
            middle = {name: statistics.median(p for _, p in each) for name, each in found.items()}
            sys.stdout.write(
                f"{at_once:>3} at once: gateway {rate['gateway']:.0f}/s, bare {rate['bare']:.0f}/s, "
                f"throughput ratio {rate['gateway'] / rate['bare']:.2f}, "
                f"p50 ratio {middle['gateway'] / middle['bare']:.2f}\n"
            )


async def _ready(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.post(url, json={"name": "x"}, headers=headers) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


async def _main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        pki, issuer = Pki(Path(scratch) / "pki"), Issuer(Path(scratch) / "issuer")
        await issuer.start()
        echo, tls, bare, gateway = (ports.free_port(0) for _ in range(4))
        spawn = multiprocessing.get_context("spawn").Process
        servers = [
            spawn(target=_serve_echo, args=(echo, tls, str(pki.issue("probe"))), daemon=True),
            spawn(target=_serve_bare, args=(bare, echo), daemon=True),
            spawn(target=_serve_gateway, args=(gateway, tls, str(pki.issue("gateway")), issuer.url), daemon=True),
        ]
        for server in servers:
            server.start()
        try:
            urls = {"bare": f"http://127.0.0.1:{bare}{ROUTE}", "gateway": f"http://127.0.0.1:{gateway}{ROUTE}"}
            await _measure(urls, {"Authorization": f"Bearer {issuer.token('participant')}"}, rounds)
        finally:
            for server in servers:
                server.terminate()
            await issuer.stop()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
