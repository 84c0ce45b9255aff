"""Prometheus metrics of a process, and the HTTP endpoint that shows them beside its health.

Label values are names of methods, events, states and other words of the code, never ids: their number is bounded.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest

_LATENCY: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

RPC_SECONDS: Final = Histogram(
    "haven_rpc_server_seconds", "Time to answer a call.", ("method", "code"), buckets=_LATENCY
)
CALL_SECONDS: Final = Histogram(
    "haven_rpc_client_seconds", "Time for another service to answer.", ("method", "code"), buckets=_LATENCY
)
CALL_RETRIES: Final = Counter("haven_rpc_client_retries_total", "Calls sent again.", ("method",))

OUTBOX_AGE: Final = Gauge(
    "haven_outbox_oldest_seconds", "Age of the oldest event that is not published yet; 0 for none."
)
OUTBOX_PENDING: Final = Gauge("haven_outbox_pending", "Events that are not published yet.")
RELAY_PUBLISHED: Final = Counter("haven_relay_published_total", "Events published.")
RELAY_LAG: Final = Histogram(
    "haven_relay_lag_seconds", "Time from an event's telling to its publication.", buckets=_LATENCY
)
RELAY_FAILURES: Final = Counter("haven_relay_failures_total", "Attempts to publish that failed.")

REACTIONS: Final = Counter("haven_reactions_total", "Events handled.", ("event", "outcome"))
DEAD_LETTERS: Final = Counter("haven_dead_letters_total", "Events given up after their last attempt.", ("event",))
DEAD_LETTERS_OPEN: Final = Gauge("haven_dead_letters_open", "Events given up and not driven again yet.")

WORKER_STEPS: Final = Counter("haven_worker_steps_total", "Steps of background loops.", ("worker", "outcome"))
WORKER_LAST: Final = Gauge("haven_worker_last_step_timestamp_seconds", "When the loop last took a step.", ("worker",))

DRAINING: Final = "accepting"
"""The check that is false once the process ends."""

Readiness = Callable[[], Mapping[str, bool]]
"""What the process depends on, by name, and whether it answers now. Ready is all of them."""


@dataclass(slots=True)
class Endpoint:
    """The running HTTP endpoint."""

    host: str
    port: int
    _runner: web.AppRunner

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


async def start_http(
    port: int, readiness: Readiness, *, ready_by: Collection[str] = (), host: str = "127.0.0.1"
) -> Endpoint:
    """Serve `/metrics`, `/livez` and `/readyz`. Port 0 takes a free one.

    Liveness says only that the process turns; readiness says 503 while a dependency does not answer, naming each.
    `ready_by` names those that count where not all do; what drains is never ready.
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def ready(_: web.Request) -> web.Response:
        parts = dict(readiness())
        ok = all(fine for name, fine in parts.items() if not ready_by or name in (*ready_by, DRAINING))
        return web.json_response({"ready": ok, "parts": parts}, status=200 if ok else 503)

    app = web.Application(client_max_size=1024)
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", live), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    bound = runner.addresses[0]
    return Endpoint(host=str(bound[0]), port=int(bound[1]), _runner=runner)
