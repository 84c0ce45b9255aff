"""An HTTP server on loopback that answers as a provider does, or fails as one does."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass

from aiohttp import web

from haven_dev import ports

MAX_BODY_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Trouble:
    """How a provider fails. Without any of these it answers as it should."""

    status: int = 0
    """It answers this, and nothing else: 429, 500, 503."""
    wait_s: float = 0
    """It answers late."""
    drops: bool = False
    """It closes the connection instead of answering, and has done nothing."""
    drops_after: bool = False
    """It does what it was asked, and closes the connection instead of saying so."""
    hangs: bool = False
    """It never answers."""


class Provider(ABC):
    """Serves `routes`; set `trouble` to have it fail, `stop` it to have it out of reach."""

    def __init__(self, *, port: int = 0) -> None:
        self.port = port
        self.trouble = Trouble()
        self.asked = 0
        """Requests so far, answered or not."""
        self._runner: web.AppRunner | None = None
        self._over = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{ports.LOOPBACK}:{self.port}"

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """What it answers."""

    @abstractmethod
    def shown(self) -> object:
        """What it got, for whoever looks at it with a browser; as JSON has it."""

    async def start(self) -> None:
        """Serve, on the same port after a stop."""
        self._over = asyncio.Event()
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._with_trouble])
        app.add_routes([web.get("/", self._look), *self.routes()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        self.port = ports.free_port(self.port)
        await web.TCPSite(self._runner, ports.LOOPBACK, self.port).start()

    async def stop(self) -> None:
        """Stop serving; what was received stays."""
        self._over.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def refusal(self, status: int) -> web.Response:
        """How it says that it is out of order, or asked too much."""
        return web.Response(status=status, headers={"Retry-After": "30"} if status == 429 else {})

    async def _look(self, _: web.Request) -> web.Response:
        return web.json_response(self.shown())

    @web.middleware
    async def _with_trouble(self, request: web.Request, handler: object) -> web.StreamResponse:
        self.asked += 1
        trouble = self.trouble
        if trouble.wait_s or trouble.hangs:
            await self._wait(None if trouble.hangs else trouble.wait_s)
        if trouble.status:
            return self.refusal(trouble.status)
        if trouble.drops:
            return _drop(request)
        assert callable(handler)
        answer: web.StreamResponse = await handler(request)
        return _drop(request) if trouble.drops_after else answer

    async def _wait(self, seconds: float | None) -> None:
        """As long as said, or until it is stopped."""
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            return


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
