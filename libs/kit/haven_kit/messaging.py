"""NATS JetStream: the connection, and one stream for each service's events.

JetStream is the road, PostgreSQL is the record: a stream may be lost and refilled from the outbox.
"""

from __future__ import annotations

import asyncio
from typing import Any

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError

from haven_kit import logs, tasks, tls
from haven_kit.settings import Settings

ACK_TIMEOUT_S = 2.0
CLOSE_TIMEOUT_S = 3.0
RETRY_S = 0.25
NATS_HOST = "nats.haven.internal"
"""The name in the NATS servers' certificates."""
MAX_AGE_S = 7 * 24 * 3600
DUPLICATE_WINDOW_S = 120
NAME_IN_USE = 10058
"""JetStream's error code for a stream that is there already, otherwise."""
_log = logs.get(__name__)


def stream_of(service: str) -> str:
    """The stream that holds a service's events: `HAVEN_CRISIS`."""
    return f"HAVEN_{service.upper()}"


class Messaging:
    """The connection of one process. It never stops trying, and nothing waits for it that need not."""

    def __init__(self, settings: Settings, service: str) -> None:
        self._settings = settings
        self._service = service
        self.copies = settings.nats_copies
        """Of each message, as the settings ask; None leaves streams as they are."""
        self._client = Client()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def start(self) -> None:
        """Begin to connect, in the background: NATS may be down."""
        self._task = asyncio.create_task(self._connect(), name="nats")

    @property
    def connected(self) -> bool:
        """Whether NATS answers now."""
        return self._ready.is_set() and self._client.is_connected

    async def ready(self) -> tuple[Client, JetStreamContext]:
        """Wait until the first connection stands and this service's stream exists."""
        await self._ready.wait()
        return self._client, self._client.jetstream(timeout=ACK_TIMEOUT_S)

    async def close(self) -> None:
        """Send what is buffered and close."""
        if self._task is not None:
            await tasks.end(self._task)
        if self._client.is_connected:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._client.drain()
            except (TimeoutError, nats_errors.Error):
                _log.warning("nats.drain_cut_off")
        if not self._client.is_closed:
            try:
                await self._client.close()
            except Exception as error:  # noqa: BLE001 - the client trips over a connection that NATS has cut
                _log.warning("nats.close_failed", error=type(error).__name__)

    async def _connect(self) -> None:
        await self._client.connect(**_options(self._settings, self._service))
        while True:
            try:
                context = self._client.jetstream(timeout=ACK_TIMEOUT_S)
                await ensure_stream(context, self._service, self.copies)
                break
            except (TimeoutError, nats_errors.Error) as error:
                _log.warning("nats.stream_not_ready", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
        self._ready.set()
        _log.info("nats.ready")


def _options(settings: Settings, name: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "servers": settings.nats_url.split(","),
        "name": name,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": RETRY_S,
        "connect_timeout": 2,
        "ping_interval": 5,
        "max_outstanding_pings": 2,
        "error_cb": _failed,
        "disconnected_cb": _lost,
        "reconnected_cb": _back,
        "inbox_prefix": f"_INBOX.{name}".encode(),
    }
    if settings.nats_user:
        options["user"] = settings.nats_user
        options["password"] = settings.nats_password.get_secret_value() if settings.nats_password else ""
    if settings.nats_tls:
        options["tls"] = tls.Folder(settings.tls_dir).client_context()
        options["tls_hostname"] = NATS_HOST
    return options


async def ensure_stream(stream: JetStreamContext, service: str, copies: int | None = None) -> None:
    """Create the service's stream, or bring it up to date."""
    config = StreamConfig(
        name=stream_of(service),
        subjects=[f"haven.{service}.>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_age=MAX_AGE_S,
        duplicate_window=DUPLICATE_WINDOW_S,
    )
    await make(stream, config, copies)


async def make(stream: JetStreamContext, config: StreamConfig, copies: int | None) -> None:
    """Create a stream, or bring it up to date. Without `copies` it keeps the number that an operator gave it."""
    try:
        found = await stream.stream_info(config.name or "")
    except NotFoundError:
        config.num_replicas = copies or 1
        try:
            await stream.add_stream(config)
        except BadRequestError as error:
            if error.err_code != NAME_IN_USE:  # another replica made it meanwhile
                raise
    else:
        config.num_replicas = copies or found.config.num_replicas
        await stream.update_stream(config)


async def _failed(error: Exception) -> None:
    _log.warning("nats.error", error=type(error).__name__)


async def _lost() -> None:
    _log.warning("nats.lost")


async def _back() -> None:
    _log.info("nats.back")
