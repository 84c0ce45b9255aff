"""A TCP proxy in front of a server, to take the server away and give it back."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Forwards to the server of a URL. `refuse` cuts and refuses connections, `stall` lets nothing through any more,
    and `mute` no answers: what was asked is done, and nobody hears of it."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._taking = False
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answering = asyncio.Event()
        self._answering.set()

    @property
    def url(self) -> str:
        """The URL by way of the proxy."""
        login = self._url.netloc.rpartition("@")[0]
        return urlunsplit(self._url._replace(netloc=f"{login}@127.0.0.1:{self._port}"))

    async def start(self) -> None:
        """Listen, on the same port each time."""
        self._taking = True
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Cut every connection, and take no new one until `start`."""
        self._taking = False
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def stall(self) -> None:
        """Keep connections, and let nothing through until `resume`."""
        self._flowing.clear()

    def mute(self) -> None:
        """Let requests through and no answers, until `resume`."""
        self._answering.clear()

    def resume(self) -> None:
        """Let everything through again."""
        self._flowing.set()
        self._answering.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(self._url.hostname, self._url.port)
        if not self._taking:  # cut while it was being made
            for each in (writer, onward):
                each.transport.abort()
            return
        for source, sink, gate in ((reader, onward, self._flowing), (there, writer, self._answering)):
            self._writers.add(sink)
            pump = asyncio.create_task(self._pump(source, sink, gate))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        try:
            while data := await source.read(65536):
                await self._flowing.wait()
                await gate.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            return
        finally:
            self._writers.discard(sink)
            sink.close()
