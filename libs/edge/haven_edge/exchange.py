"""One HTTP exchange on plain ASGI: reading a body within limits, noticing that the client left, answering."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from haven_edge.problems import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

_JSON = frozenset({b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"})


class ClientGone(Exception):
    """The client closed the connection; there is nobody to answer."""


class Exchange:
    """A request and the way to answer it."""

    __slots__ = ("_receive", "_send", "client", "extra", "headers", "query", "started")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.query: bytes = scope["query_string"]
        self.client: str = scope["client"][0] if scope.get("client") else ""
        self.started = False
        self.extra: list[Header] = []
        """Headers of every answer to this request."""
        self._receive = receive
        self._send = send

    def text(self, name: bytes) -> str:
        """A header as text; empty where it is not there."""
        return self.headers.get(name, b"").decode("latin-1")

    async def body(self, limit: int, seconds: float) -> bytes:
        """The whole body. Raises Problem 413, or 408 where it does not arrive in time."""
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            raise too_large(limit)
        try:
            async with asyncio.timeout(seconds):
                return await self._collect(limit)
        except TimeoutError:
            raise Problem(
                "slow_request", "The body did not arrive in time.", headers=[(b"connection", b"close")]
            ) from None

    async def _collect(self, limit: int) -> bytes:
        message = await self._receive()
        if not message.get("more_body") and message["type"] == "http.request":
            first: bytes = message.get("body", b"")
            if len(first) > limit:
                raise too_large(limit)
            return first
        collected = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            collected += message.get("body", b"")
            if len(collected) > limit:
                raise too_large(limit)
            if not message.get("more_body"):
                return bytes(collected)
            message = await self._receive()

    def check_type(self) -> None:
        """Raises Problem 415 for a body that is not plain JSON."""
        given = self.headers.get(b"content-type", b"").strip().lower()
        if given not in _JSON:
            raise Problem("unsupported_media_type", headers=[(b"accept", b"application/json")])
        if self.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Problem("unsupported_media_type", "Send the body without content encoding.")

    async def gone(self) -> None:
        """Return once the client has closed the connection. Only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            continue

    async def start(self, status: int, headers: Iterable[Header]) -> None:
        """Send status and headers."""
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self.extra]})

    async def write(self, body: bytes, *, more: bool = False) -> None:
        """Send a part of the body; waits while the client does not read."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        """Send a whole answer."""
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, [*headers, length] if status != 304 else headers)
        await self.write(body)


def too_large(limit: int) -> Problem:
    """The body is larger than the call takes."""
    return Problem("too_large", f"The body is larger than {limit} bytes.", headers=[(b"connection", b"close")])
