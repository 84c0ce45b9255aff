"""Real receivers on loopback for what the platform sends: pages by webhook and by SMTP. They record what they got."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from haven_dev import ports

MAX_BODY_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Webhook:
    """One call that was received."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    """When, in seconds of `time.time()`."""
    status: int
    """What was answered."""


class WebhookReceiver:
    """Takes POST at any path. `status` is what it answers; set it to 503 to be a provider that fails."""

    def __init__(self, *, port: int = 0) -> None:
        self.received: list[Webhook] = []
        self.status = 204
        self.port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where to send."""
        return f"http://{ports.LOOPBACK}:{self.port}/page"

    async def start(self) -> None:
        """Serve, on the same port after a stop."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes([web.post("/{path:.*}", self._take)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        self.port = ports.free_port(self.port)
        await web.TCPSite(self._runner, ports.LOOPBACK, self.port).start()

    async def stop(self) -> None:
        """Stop serving; what was received stays."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.received.append(Webhook(request.path, dict(request.headers), body, time.time(), self.status))
        return web.Response(status=self.status)


@dataclass(frozen=True, slots=True)
class Mail:
    """One message that was received."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    raw: bytes
    at: float
    """When, in seconds of `time.time()`."""


class SmtpReceiver:
    """An SMTP server. `reply` other than None is answered to each message instead of taking it, such as `451 later`."""

    def __init__(self, *, port: int = 0) -> None:
        self.received: list[Mail] = []
        self.reply: str | None = None
        self.port = port
        self._server: asyncio.Server | None = None
        self._sessions: list[SMTP] = []

    async def start(self) -> None:
        """Serve, on the same port after a stop."""
        self.port = ports.free_port(self.port)
        loop = asyncio.get_running_loop()

        def session() -> SMTP:
            self._sessions.append(SMTP(self, loop=loop, hostname="localhost"))
            return self._sessions[-1]

        self._server = await loop.create_server(session, ports.LOOPBACK, self.port)

    async def stop(self) -> None:
        """Stop serving; what was received stays."""
        if self._server is not None:
            self._server.close()
            for session in self._sessions:
                if session.transport is not None:
                    session.transport.close()
            self._sessions.clear()
            self._server = None

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802  (aiosmtpd calls it so)
        """Take one message."""
        if self.reply is not None:
            return self.reply
        raw = envelope.original_content or b""
        message = message_from_bytes(raw, _class=EmailMessage, policy=default)
        self.received.append(Mail(envelope.mail_from or "", tuple(envelope.rcpt_tos), message, raw, time.time()))
        return "250 taken"
