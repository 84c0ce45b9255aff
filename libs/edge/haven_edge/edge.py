"""An HTTP edge: the application on its server, started, and drained so that nothing falls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.routing import BaseRoute

from haven_edge.app import Readiness, create_app
from haven_edge.endpoints import Channels
from haven_edge.http_server import HttpServer
from haven_edge.settings import EdgeSettings
from haven_edge.surface import Surface
from haven_kit.identity import TokenVerifier


class HttpEdge:
    """Serves the public methods of a surface, and `more` routes beside them, as `create_app` says."""

    def __init__(
        self,
        surface: Surface,
        channels: Channels,
        verifier: TokenVerifier,
        settings: EdgeSettings,
        *,
        readiness: Readiness,
        more: Sequence[BaseRoute] = (),
        unlimited: tuple[str, ...] = (),
    ) -> None:
        self._settings = settings
        self._readiness = readiness
        self._draining = False
        app, self._api = create_app(
            surface, channels, verifier, settings, readiness=self.readiness, more=more, unlimited=unlimited
        )
        self._http = HttpServer(app, settings)

    @property
    def port(self) -> int:
        """Where clients reach it, once started."""
        return self._http.port

    def readiness(self) -> dict[str, bool]:
        """Whether it takes requests, and all that this depends on."""
        return {"accepting": not self._draining, **self._readiness()}

    async def start(self) -> None:
        """Listen. Raises OSError where the address is taken."""
        await self._http.begin()

    async def drain(self) -> None:
        """Readiness off, streams ended, requests finished."""
        self._draining = True
        await asyncio.sleep(self._settings.drain_notice_seconds)
        self._api.streams.drain()
        await self._http.end()
