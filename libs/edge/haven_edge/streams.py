"""Server-streaming methods as server-sent events (HTML Living Standard, section 9.2), resumable by Last-Event-ID.

Nothing is buffered: the next event is asked for when the client has taken the last one, so gRPC's flow control reaches
from the client to the service.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import orjson

from haven_edge.endpoints import Endpoint
from haven_edge.exchange import ClientGone, Exchange, Header
from haven_edge.problems import Problem, encode, from_error, violation
from haven_edge.settings import EdgeSettings
from haven_kit import logs, telemetry
from haven_kit.errors import HavenError

FIRST_EVENT_SECONDS = 0.25
"""How long a refusal by the service may take to still become a plain answer rather than an event."""

SEND_SECONDS = 30
"""A client that takes nothing for so long has left."""

_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
)
_MAX_EVENT_ID = 256
_log = logs.get(__name__)


class Streams:
    """The streams of this process. `drain` ends them all; their clients resume elsewhere."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._seconds = settings.stream_seconds
        self._heartbeat = settings.heartbeat_seconds
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """End every stream after the event it is sending, and refuse new ones."""
        self._draining.set()

    async def answer(
        self, endpoint: Endpoint, exchange: Exchange, message: Any, metadata: list[tuple[str, str]]
    ) -> int:
        """Serve one stream. Returns the HTTP status. Raises what the service refused before the first event."""
        if self._draining.is_set():
            raise Problem("unavailable", "This server is closing. Another one answers.")
        resume(exchange, message)
        events: AsyncIterator[Any] = endpoint.call(message, timeout=self._seconds + 5, metadata=metadata)
        pump = _Pump(events)
        try:
            if await pump.next(FIRST_EVENT_SECONDS):
                pump.peek()  # raises what the service refused
            await exchange.start(200, _HEADERS)
            await _write(exchange, b": connected\nretry: 2000\n\n")
            await self._relay(endpoint, exchange, pump)
        except ClientGone:
            _log.debug("stream.left", route=endpoint.method.full_name)
        finally:
            await pump.close()
        return 200

    async def _relay(self, endpoint: Endpoint, exchange: Exchange, pump: _Pump) -> None:
        ends_at = asyncio.get_running_loop().time() + self._seconds
        left = asyncio.ensure_future(exchange.gone())
        drained = asyncio.ensure_future(self._draining.wait())
        try:
            while asyncio.get_running_loop().time() < ends_at:
                if await pump.next(self._heartbeat, left, drained):
                    await _write(exchange, _event(endpoint, pump.take()))
                elif left.done():
                    raise ClientGone
                elif drained.done():
                    break
                else:
                    await _write(exchange, b": still here\n\n")
            # Spread, so that the clients of a closing server do not come back all at once.
            await _end(exchange, f"retry: {random.randint(500, 3000)}\n\n".encode())  # noqa: S311
        except StopAsyncIteration:
            await _end(exchange, b"")
        except (HavenError, Problem) as error:
            await _end(exchange, _problem_event(error, endpoint))
        finally:
            left.cancel()
            drained.cancel()


class _Pump:
    """Takes events from the service one at a time, without losing one when a wait for it ends early."""

    def __init__(self, events: AsyncIterator[Any]) -> None:
        self._events = events
        self._pending: asyncio.Future[Any] | None = None

    async def next(self, seconds: float, *others: asyncio.Future[Any]) -> bool:
        """Wait for an event, `seconds`, or another future; True when there is an event, an end or an error."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(anext(self._events))
        if not self._pending.done():
            await asyncio.wait({self._pending, *others}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return self._pending.done()

    def peek(self) -> None:
        """Raise the error that came instead of an event. An end is left to `take`."""
        error = self._pending.exception() if self._pending is not None else None
        if error is not None and not isinstance(error, StopAsyncIteration):
            raise error

    def take(self) -> Any:
        """The event that `next` found. Raises StopAsyncIteration at the end."""
        found, self._pending = self._pending, None
        if found is None:
            raise RuntimeError("take comes after next")
        return found.result()

    async def close(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.gather(self._pending, return_exceptions=True)
        await self._events.aclose()  # type: ignore[attr-defined]


def resume(exchange: Exchange, message: Any) -> None:
    """Put the Last-Event-ID of the request into the message. Without it, the query's lastEventId stands."""
    given = exchange.text(b"last-event-id")
    if not given:
        return
    if len(given) > _MAX_EVENT_ID or not given.isascii() or not given.isprintable():
        raise violation("Last-Event-ID", "last_event_id.format", "must be the id of an event of this stream")
    if message.DESCRIPTOR.fields_by_name.get("last_event_id") is not None:
        message.last_event_id = given


def _event(endpoint: Endpoint, message: Any) -> bytes:
    event_id = getattr(message, "event_id", "")
    head = f"id: {event_id}\n".encode() if event_id else b""
    return head + b"data: " + orjson.dumps(endpoint.write(message)) + b"\n\n"


def _problem_event(error: HavenError | Problem, endpoint: Endpoint) -> bytes:
    problem = error if isinstance(error, Problem) else from_error(error)
    return b"event: problem\ndata: " + encode(problem, telemetry.trace_id(), endpoint.help) + b"\n\n"


async def _write(exchange: Exchange, data: bytes) -> None:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await exchange.write(data, more=True)
    except TimeoutError:
        raise ClientGone from None


async def _end(exchange: Exchange, data: bytes) -> None:
    if data:
        await _write(exchange, data)
    await exchange.write(b"")
