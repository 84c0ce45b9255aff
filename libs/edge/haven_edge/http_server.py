"""uvicorn with bounded request heads, and a drain that lets nothing fall."""

from __future__ import annotations

import asyncio
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from haven_edge.problems import Problem, encode
from haven_edge.settings import EdgeSettings
from haven_kit import logs

KEEP_ALIVE_SECONDS = 75
"""Longer than load balancers keep idle connections (60 s by default), so that none is closed under a request."""

_log = logs.get(__name__)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, with limits on the size of a request's head and on the time it may take."""

    most: int
    seconds: float
    _fields = 0
    """Bytes of the head that are parsed."""
    _raw = 0
    """Bytes that came while the head was not whole."""
    _in_head = False
    _head_timer: asyncio.TimerHandle | None = None

    @classmethod
    def within(cls, settings: EdgeSettings) -> type[BoundedProtocol]:
        """The protocol with the limits of the settings."""
        return type(cls.__name__, (cls,), {"most": settings.header_bytes, "seconds": settings.header_seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A client connected; the first head is due."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self.seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came. A head that is not whole by now counts with all of them."""
        super().data_received(data)
        if self._in_head:
            self._raw += len(data)
            if self._raw > self.most and not self.transport.is_closing():
                self._refuse(Problem("headers_too_large"))

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.seconds, self._too_slow)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._fields += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._fields += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        size, self._fields, self._raw, self._in_head = self._fields, 0, 0, False
        self._stop_timer()
        if size > self.most:
            self._refuse(Problem("headers_too_large"))
            raise ValueError("head too large")  # stops the parser
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; `msg`, uvicorn's own words, is left out."""
        del msg
        if not self.transport.is_closing():
            self._refuse(Problem("malformed", "The request is not well-formed HTTP."))

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, problem: Problem) -> None:
        self._stop_timer()
        body = encode(problem, "")
        head = (
            f"HTTP/1.1 {problem.status} \r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class HttpServer(uvicorn.Server):
    """A uvicorn server that is started and drained by its owner, which also owns the signals."""

    def __init__(self, app: ASGIApp, settings: EdgeSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.listen_host,
                port=settings.listen_port,
                http=BoundedProtocol.within(settings),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=settings.trusted_proxies,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, int(settings.drain_seconds)),
                ssl_certfile=_path(settings.public_certificate),
                ssl_keyfile=_path(settings.public_key),
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        bound: int = self.servers[0].sockets[0].getsockname()[1]
        return bound

    async def begin(self) -> None:
        """Listen. Raises OSError where the address is taken."""
        self._serving = asyncio.create_task(self._serve(), name="http")
        while not self.started:
            if self._serving.done():
                raise OSError(f"cannot listen on {self.config.host}:{self.config.port}")
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        """Accept nothing new, finish what is under way, for at most the drain time."""
        self.should_exit = True
        if self._serving is not None:
            await self._serving


def _path(path: Path | None) -> str | None:
    return str(path) if path is not None else None
