"""What stands outside the cluster (sign-in, receivers of pages, collector) listens on loopback; this makes it reachable
at this machine's address in the containers' network, with TLS where a name asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from haven_dev import ports


class Forward:
    """One listener."""

    def __init__(self, host: str, to_port: int, tls: ssl.SSLContext | None = None) -> None:
        self._host, self._to_port, self._tls = host, to_port, tls
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen, on the port of what it leads to."""
        self._server = await asyncio.start_server(self._connected, self._host, self._to_port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(ports.LOOPBACK, self._to_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError, ssl.SSLError, OSError):
        writer.close()
