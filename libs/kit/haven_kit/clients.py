"""Calls to other services: one long-lived channel each, a deadline on every call, identity and trace carried along."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Final, Self, TypeVar

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from grpc import aio
from opentelemetry.trace import SpanKind

from haven_kit import logs, telemetry, tls
from haven_kit.errors import (
    STATUS_DETAILS_KEY,
    DeadlineExceeded,
    HavenError,
    Internal,
    Invalid,
    Overloaded,
    Unavailable,
    Unimplemented,
    from_status,
)
from haven_kit.inside import OwnChannel
from haven_kit.metrics import CALL_RETRIES, CALL_SECONDS
from haven_kit.settings import Settings

S = TypeVar("S")
Metadata = Sequence[tuple[str, str]]

KEEPALIVE_SECONDS: Final = 20
"""How often an idle channel is probed. A server must allow pings without data at least this often."""

STREAM_SECONDS: Final = 3600
"""How long a stream lasts at most; whoever watches resumes with the last event's id."""

IDEMPOTENCY_KEY: Final = "idempotency-key"
"""Metadata that makes a repeated call do nothing the second time."""

current_token: ContextVar[str | None] = ContextVar("current_token", default=None)
"""The token of the person on whose behalf the running code acts. The server sets it; calls pass it on."""

current_deadline: ContextVar[float | None] = ContextVar("current_deadline", default=None)
"""When the call being answered must be done, in seconds of `time.monotonic()`. Calls made for it end no later."""

_ATTEMPTS: Final = 4
_BACKOFF_SECONDS: Final = (0.05, 0.15, 0.45)
_RETRY_TOKENS: Final = 10.0
_CERTIFICATE_CHECK_SECONDS: Final = 30
_READS: Final = ("Get", "List")
_LEFT: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
"""What a call ends with when its target goes. A call that is cancelled here raises CancelledError; one that the other
side cancelled was on its way while that was ending."""

log = logs.get(__name__)


class NotDeclared(Exception):
    """The service calls another one that it does not name in its `calls`, or that its settings do not place."""


class Clients:
    """The channels of one service. `calls` are the services it may call; any other is refused."""

    def __init__(self, settings: Settings, calls: Iterable[str], folder: tls.Folder) -> None:
        self._settings = settings
        self._calls = frozenset(calls)
        self._folder = folder
        self._targets: dict[str, _Target | _Own] = {}

    def reach_own(self, name: str, channel: OwnChannel) -> None:
        """Calls to this service itself go to its own handlers; it needs no declaration for that."""
        self._targets[name] = _Own(name, self._settings, channel)

    def stub(self, target: str, make: Callable[[aio.Channel], S]) -> S:
        """A stub of the target: `clients.stub("crisis", CrisisServiceStub)`. Calls raise errors of haven_kit.errors.

        They take `timeout` in seconds and `metadata`. Where the target cannot be reached they are sent again, if that
        does no harm: a Get, a List, an RPC with `option idempotency_level`, a request with a `request_id`, and a call
        with idempotency-key metadata. Raises NotDeclared.
        """
        return make(_Channel(self._target(target)))

    async def warm(self, timeout_seconds: float = 5) -> None:
        """Connect to every declared target, so that no first call waits for it. One that is down is left for later."""
        targets = [self._target(name) for name in sorted(self._calls)]
        await asyncio.gather(*(target.warm(timeout_seconds) for target in targets))

    def reachable(self) -> dict[str, bool]:
        """Whether each target used so far has a connection."""
        return {name: target.connected for name, target in self._targets.items()}

    async def close(self) -> None:
        """Close the channels once running calls have ended, or two seconds have passed."""
        await asyncio.gather(*(target.close() for target in self._targets.values()))
        self._targets.clear()

    def _target(self, name: str) -> "_Target | _Own":
        if name in self._targets:
            return self._targets[name]
        if name not in self._calls:
            raise NotDeclared(f"{self._settings.service} does not declare that it calls {name}")
        if name not in self._settings.targets:
            raise NotDeclared(f"HAVEN_TARGET_{name.upper().replace('-', '_')} is not set")
        self._targets[name] = _Target(name, self._settings, self._folder)
        return self._targets[name]


class _Called:
    """One called service: its retry budget, and what its errors mean."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.default_timeout = settings.default_deadline_seconds
        self._tokens = _RETRY_TOKENS

    def may_retry(self) -> bool:
        """Fewer than half of the recent calls failed (gRPC's retry throttling, gRFC A6)."""
        self._tokens = max(0.0, self._tokens - 1)
        return self._tokens > _RETRY_TOKENS / 2

    def succeeded(self) -> None:
        self._tokens = min(_RETRY_TOKENS, self._tokens + 0.1)

    def error_of(self, error: aio.AioRpcError) -> HavenError:
        """The error behind a failed call. One made by gRPC itself, not by the target, gets a sentence of ours."""
        details = (error.trailing_metadata() or aio.Metadata()).get(STATUS_DETAILS_KEY)
        code = error.code()
        if isinstance(details, bytes):
            return from_status(code, error.details() or "", details)
        if code in _LEFT:
            return Unavailable(f"The {self.name} service")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"The {self.name} service did not answer in time.")
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return Unimplemented(f"The {self.name} service does not know this method.")
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            if "larger than max" in (error.details() or ""):
                return Invalid("request", "max_bytes", "The request, or its answer, is too large.")
            return Overloaded(1.0, f"The {self.name} service has too much to do at the moment.")
        log.error("call.failed", target=self.name, code=code.name)
        return Internal()


class _Own(_Called):
    """This service itself."""

    connected = True

    def __init__(self, name: str, settings: Settings, channel: OwnChannel) -> None:
        super().__init__(name, settings)
        self.channel: Any = channel

    async def warm(self, _: float) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of."""


class _Target(_Called):
    """Another service: its channel, made anew when this service's certificate was rotated."""

    def __init__(self, name: str, settings: Settings, folder: tls.Folder) -> None:
        super().__init__(name, settings)
        self._address = settings.targets[name]
        self._max_bytes = settings.max_request_bytes
        self._folder = folder
        self._identity = folder.identity()
        self._channel = self._open()
        self._check_at = time.monotonic() + _CERTIFICATE_CHECK_SECONDS
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def channel(self) -> aio.Channel:
        if time.monotonic() >= self._check_at:
            self._check_at = time.monotonic() + _CERTIFICATE_CHECK_SECONDS
            self.follow_certificate()
        return self._channel

    @property
    def connected(self) -> bool:
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    def follow_certificate(self) -> None:
        identity = self._folder.identity()
        if identity is self._identity:
            return
        old, self._identity, self._channel = self._channel, identity, self._open()
        closing = asyncio.get_running_loop().create_task(old.close(grace=STREAM_SECONDS))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        log.info("channel.renewed", target=self.name)

    async def warm(self, timeout_seconds: float) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._channel.channel_ready()
        except TimeoutError:
            log.warning("channel.not_ready", target=self.name)

    async def close(self) -> None:
        for closing in tuple(self._closing):
            closing.cancel()
        await self._channel.close(grace=2)

    def _open(self) -> aio.Channel:
        config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
        return aio.secure_channel(
            self._address,
            self._folder.channel_credentials(),
            options=[
                ("grpc.service_config", json.dumps(config)),
                ("grpc.service_config_disable_resolution", 1),
                ("grpc.ssl_target_name_override", tls.name_of(self.name)),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 500),
                ("grpc.dns_min_time_between_resolutions_ms", 2000),
                ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
                ("grpc.keepalive_timeout_ms", 5_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.max_pings_without_data", 0),
                ("grpc.max_receive_message_length", self._max_bytes),
                ("grpc.max_send_message_length", self._max_bytes),
            ],
        )


class _Method:
    """What calls of one RPC have in common."""

    def __init__(self, target: _Target | _Own, path: str, kind: str, serialize: Any, deserialize: Any) -> None:
        self.target = target
        service, _, name = path.lstrip("/").partition("/")
        self._path, self._kind, self._serialize, self._deserialize = path, kind, serialize, deserialize
        self._channel: aio.Channel | None = None
        self._made: Any = None
        self.label = f"{service}/{name}"
        self._idempotent = name.startswith(_READS) or _declared_idempotent(service, name)
        self.attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}

    def callable(self) -> Any:
        channel = self.target.channel
        if channel is not self._channel:
            make = getattr(channel, self._kind)
            self._made = make(self._path, request_serializer=self._serialize, response_deserializer=self._deserialize)
            self._channel = channel
        return self._made

    def is_repeatable(self, request: Message, metadata: Metadata) -> bool:
        if self._idempotent or any(key == IDEMPOTENCY_KEY for key, _ in metadata):
            return True
        return bool(getattr(request, "request_id", ""))


class _UnaryUnary:
    """Sends one request and waits for its answer."""

    def __init__(self, method: _Method) -> None:
        self._method = method
        self._succeeded = CALL_SECONDS.labels(method.label, "OK")

    async def __call__(self, request: Message, *, timeout: float | None = None, metadata: Metadata = ()) -> Any:
        method = self._method
        ends = _ends(timeout, method.target.default_timeout)
        if ends <= time.monotonic():
            raise DeadlineExceeded(f"There was no time left to call the {method.target.name} service.")
        attempts = _ATTEMPTS if method.is_repeatable(request, metadata) else 1
        with telemetry.Scope(method.label, SpanKind.CLIENT, None, method.attributes) as scope:
            carried = _carried(metadata)
            for attempt in range(1, attempts + 1):
                started = time.monotonic()
                try:
                    answer = await method.callable()(request, timeout=max(ends - started, 0.0), metadata=carried)
                except aio.AioRpcError as error:
                    CALL_SECONDS.labels(method.label, error.code().name).observe(time.monotonic() - started)
                    if attempt == attempts or not await self._wait(error, attempt, ends):
                        raise method.target.error_of(error) from error
                    scope.set(haven__attempt=attempt + 1)
                else:
                    self._succeeded.observe(time.monotonic() - started)
                    method.target.succeeded()
                    return answer
        raise AssertionError("the last attempt returns or raises")

    async def _wait(self, error: aio.AioRpcError, attempt: int, ends: float) -> bool:
        """Wait before the next attempt. False where it should not be made."""
        if error.code() not in _LEFT or not self._method.target.may_retry():
            return False
        pause = _BACKOFF_SECONDS[attempt - 1] * random.uniform(0.5, 1)  # noqa: S311 jitter, not a secret
        if time.monotonic() + pause >= ends:
            return False
        CALL_RETRIES.labels(self._method.label).inc()
        await asyncio.sleep(pause)
        return True


class _UnaryStream:
    """Sends one request and yields the answers. A broken stream is not resumed here: only its reader knows where."""

    def __init__(self, method: _Method) -> None:
        self._method = method

    async def __call__(
        self, request: Message, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> AsyncIterator[Any]:
        left = max(_ends(timeout, STREAM_SECONDS) - time.monotonic(), 0.0)
        call = self._method.callable()(request, timeout=left, metadata=_carried(metadata))
        try:
            async for answer in call:
                yield answer
        except aio.AioRpcError as error:
            raise self._method.target.error_of(error) from error
        finally:
            call.cancel()


def _declared_idempotent(service: str, name: str) -> bool:
    try:
        method = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return False
    return bool(method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN)


def _ends(timeout: float | None, default: float) -> float:
    """When a call must have ended: its own limit, and never later than the call that it is made for."""
    ends = time.monotonic() + (default if timeout is None else timeout)
    incoming = current_deadline.get()
    return ends if incoming is None else min(ends, incoming)


def _carried(metadata: Metadata) -> list[tuple[str, str]]:
    carried = list(metadata)
    token = current_token.get()
    if token is not None and not any(key == "authorization" for key, _ in metadata):
        carried.append(("authorization", f"Bearer {token}"))
    trace: dict[str, str] = {}
    telemetry.inject(trace)
    carried.extend(trace.items())
    return carried


class _Channel(aio.Channel):
    """What a generated stub is built on: each of its methods goes by the target's current channel."""

    def __init__(self, target: _Target | _Own) -> None:
        self._target = target

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, _: Any = None, **__: Any
    ) -> Any:
        return _UnaryUnary(_Method(self._target, method, "unary_unary", request_serializer, response_deserializer))

    def unary_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, _: Any = None, **__: Any
    ) -> Any:
        return _UnaryStream(_Method(self._target, method, "unary_stream", request_serializer, response_deserializer))

    def stream_unary(self, method: str, *_: Any, **__: Any) -> Any:
        raise NotDeclared(f"{method}: requests are never streamed")

    def stream_stream(self, method: str, *_: Any, **__: Any) -> Any:
        raise NotDeclared(f"{method}: requests are never streamed")

    async def close(self, grace: float | None = None) -> None:
        await self._target.channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._target.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._target.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._target.channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
