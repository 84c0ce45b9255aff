"""The bare path: the same hops with nothing on them, for the platform to be compared with.

`python bare.py gateway|service|consumer|webhook|collector '{…}'`, each a process of its own on uvloop. FastAPI with
pydantic → grpc.aio without TLS → one statement through asyncpg that writes an entity and an outbox row. No identity,
access rules, validation of contracts, audit, encryption, logs or tracing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg
import grpc
import nats
import uvicorn
import uvloop
from aiohttp import web
from fastapi import FastAPI
from haven.crisis.v1 import signals_pb2
from haven.intake.v1 import care_pb2, care_service_pb2, consent_service_pb2
from pydantic import BaseModel

SUBJECT = "bare.consent.given"
TABLES = """
CREATE TABLE entity (id UUID PRIMARY KEY, person_id UUID NOT NULL, body BYTEA NOT NULL);
CREATE TABLE outbox (event_id UUID PRIMARY KEY, key UUID NOT NULL, subject TEXT NOT NULL, payload BYTEA NOT NULL);
CREATE TABLE consumed (id UUID PRIMARY KEY, payload BYTEA NOT NULL);
"""
_WRITE = """WITH entity AS (INSERT INTO entity (id, person_id, body) VALUES ($1, $2, $3))
INSERT INTO outbox (event_id, key, subject, payload) VALUES ($4, $2, $5, $6)"""
# The pool of the platform's services.
POOL = 10
_METHODS = {
    "CheckIn": (care_service_pb2.CreateCheckInRequest, care_pb2.CheckIn),
    "Consent": (consent_service_pb2.GiveConsentRequest, consent_service_pb2.Consent),
    "Signal": (signals_pb2.RaiseSignalRequest, signals_pb2.RaiseSignalResponse),
}


class CheckIn(BaseModel):
    """A check-in as the gateway takes it."""

    mood: int
    sleepQuality: int  # noqa: N815
    journal: str


class CheckInBody(BaseModel):
    """The body of the command."""

    checkIn: CheckIn  # noqa: N815 - as in JSON


class ConsentBody(BaseModel):
    """The body of the command."""

    kind: str
    documentVersion: str  # noqa: N815
    signature: str


class SignalBody(BaseModel):
    """The body of the command."""

    signalId: str  # noqa: N815
    personId: str  # noqa: N815
    source: str


async def gateway(port: int, service: int) -> None:
    calls: dict[str, Any] = {}

    @contextlib.asynccontextmanager
    async def connected(_: FastAPI) -> AsyncIterator[None]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{service}") as channel:
            for name, (request, response) in _METHODS.items():
                calls[name] = channel.unary_unary(
                    f"/bare.Service/{name}",
                    request_serializer=request.SerializeToString,
                    response_deserializer=response.FromString,
                )
            yield

    app = FastAPI(lifespan=connected, telemetry={"tracing": False, "metrics": False, "logs": False})

    @app.get("/readyz")
    async def _ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/v1/people/{person_id}/check-ins")
    async def _check_in(person_id: str, body: CheckInBody) -> dict[str, Any]:
        given = body.checkIn
        request = care_service_pb2.CreateCheckInRequest(
            person_id=person_id,
            check_in=care_pb2.CheckIn(mood=given.mood, sleep_quality=given.sleepQuality, journal=given.journal),
        )
        answer = await calls["CheckIn"](request, timeout=10)
        return {
            "checkInId": answer.check_in_id,
            "personId": answer.person_id,
            "mood": answer.mood,
            "journal": answer.journal,
            "recordedAt": answer.recorded_at.ToJsonString(),
        }

    @app.post("/v1/people/{person_id}/consents")
    async def _consent(person_id: str, body: ConsentBody) -> dict[str, Any]:
        request = consent_service_pb2.GiveConsentRequest(
            person_id=person_id, kind=body.kind, document_version=body.documentVersion, signature=body.signature
        )
        answer = await calls["Consent"](request, timeout=10)
        return {"consentId": answer.consent_id, "personId": answer.person_id, "signature": answer.signature}

    @app.post("/v1/signals")
    async def _signal(body: SignalBody) -> dict[str, Any]:
        request = signals_pb2.RaiseSignalRequest(signal_id=body.signalId, person_id=body.personId, source=body.source)
        answer = await calls["Signal"](request, timeout=10)
        return {"signalId": answer.signal_id, "alertId": answer.alert_id, "message": answer.message}

    server = uvicorn.Server(
        uvicorn.Config(
            app, port=port, loop="none", http="httptools", log_level="error", access_log=False, timeout_keep_alive=75
        )
    )
    await server.serve()


class Service:
    """The bare service's three methods."""

    def __init__(self, pool: asyncpg.Pool, stream: Any, http: aiohttp.ClientSession, page_url: str) -> None:
        self._pool = pool
        self._stream = stream
        self._http = http
        self._page_url = page_url
        self._running: set[asyncio.Task[None]] = set()

    async def check_in(self, request: Any, _: Any) -> Any:
        answer = request.check_in
        answer.check_in_id, answer.person_id = str(uuid.uuid4()), request.person_id
        answer.recorded_at.GetCurrentTime()
        await self._write(answer.check_in_id, request.person_id, answer.SerializeToString())
        return answer

    async def consent(self, request: Any, _: Any) -> Any:
        answer = consent_service_pb2.Consent(
            consent_id=str(uuid.uuid4()), person_id=request.person_id, kind=request.kind, signature=request.signature
        )
        await self._write(answer.consent_id, request.person_id, answer.SerializeToString())
        self._later(self._publish(answer.consent_id))
        return answer

    async def signal(self, request: Any, _: Any) -> Any:
        answer = signals_pb2.RaiseSignalResponse(
            signal_id=request.signal_id, alert_id=str(uuid.uuid4()), message="Help is coming."
        )
        await self._write(answer.alert_id, request.person_id, request.SerializeToString())
        self._later(self._page(answer.alert_id))
        return answer

    async def _write(self, entity_id: str, person_id: str, body: bytes) -> None:
        await self._pool.execute(_WRITE, entity_id, person_id, body, str(uuid.uuid4()), SUBJECT, body)

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _publish(self, consent_id: str) -> None:
        await self._stream.publish(SUBJECT, consent_id.encode())

    async def _page(self, alert_id: str) -> None:
        async with self._http.post(self._page_url, json={"alert_id": alert_id}) as answer:
            await answer.read()


async def service(port: int, database: str, nats_url: str, page_url: str) -> None:
    pool = await asyncpg.create_pool(database, min_size=POOL, max_size=POOL)
    client = await nats.connect(nats_url)
    stream = client.jetstream()
    await stream.add_stream(name="BARE", subjects=["bare.>"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        answers = Service(pool, stream, http, page_url)
        methods = {"CheckIn": answers.check_in, "Consent": answers.consent, "Signal": answers.signal}
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(methods[name], request.FromString, response.SerializeToString)
            for name, (request, response) in _METHODS.items()
        }
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Service", handlers),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()


async def consumer(database: str, nats_url: str) -> None:
    pool = await asyncpg.create_pool(database, min_size=POOL, max_size=POOL)
    client = await nats.connect(nats_url)
    stream = client.jetstream()

    async def take(message: Any) -> None:
        await pool.execute("INSERT INTO consumed (id, payload) VALUES ($1, $2)", message.data.decode(), message.data)
        await message.ack()

    await stream.subscribe("bare.>", durable="bare", cb=take, manual_ack=True, stream="BARE")
    await asyncio.Event().wait()


async def webhook(port: int) -> None:
    """What both paths page: notes when each call came, and tells on GET."""
    taken: list[tuple[float, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        at = time.perf_counter()
        taken.append((at, await request.read()))
        return web.Response(status=204)

    async def tell(_: web.Request) -> web.Response:
        bodies = [(at, json.loads(body)) for at, body in taken]
        told = {body["alert_id"]: at for at, body in bodies if "alert_id" in body}
        taken.clear()
        return web.json_response(told)

    async def code(_: web.Request) -> web.Response:
        # What makes sure that the channel is the responder's own comes here too.
        bodies = [json.loads(body) for _, body in taken]
        return web.Response(text=next(str(body["code"]) for body in reversed(bodies) if "code" in body))

    app = web.Application()
    app.add_routes([web.post("/{path:.*}", take), web.get("/taken", tell), web.get("/code", code)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def collector(port: int) -> None:
    """Takes spans by OTLP and throws them away; a real collector runs elsewhere."""

    async def take(_: bytes, __: Any) -> bytes:
        return b""

    handler = grpc.unary_unary_rpc_method_handler(take)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "opentelemetry.proto.collector.trace.v1.TraceService", {"Export": handler}
            ),
        )
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    roles = {f.__name__: f for f in (gateway, service, consumer, webhook, collector)}
    uvloop.run(roles[sys.argv[1]](**json.loads(sys.argv[2])))
