"""Calls of a process to its own RPCs, without a network: what an HTTP edge inside a service goes by.

The request passes the same pipeline as one that came by gRPC, and the answer, errors and deadlines are the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, NoReturn, Self

import grpc
from grpc import aio

from haven_kit import tls

Handlers = Mapping[str, Any]
"""What answers each RPC, by its full name: `/haven.crisis.v1.CrisisService/RaiseSignal`."""


class OwnChannel:
    """The part of a gRPC channel that stubs use, straight to the handlers of this process."""

    def __init__(self, service: str, handlers: Handlers) -> None:
        self._service = service
        self._handlers = handlers

    def unary_unary(self, path: str, request_serializer: Any, response_deserializer: Any) -> Any:
        """A call that gives one answer."""
        handler = self._handlers[path]

        async def call(request: Any, *, timeout: float | None = None, metadata: Sequence[tuple[str, str]] = ()) -> Any:
            context = _Context(self._service, timeout, metadata)
            received = handler.request_deserializer(request_serializer(request))
            # A task of its own, as the server gives each call: what it sets for itself ends with it.
            answer = await asyncio.create_task(handler.unary_unary(received, context))
            return response_deserializer(handler.response_serializer(answer))

        return call

    def unary_stream(self, path: str, request_serializer: Any, response_deserializer: Any) -> Any:
        """A call that gives a stream of answers."""
        handler = self._handlers[path]

        def call(request: Any, *, timeout: float | None = None, metadata: Sequence[tuple[str, str]] = ()) -> _Stream:
            context = _Context(self._service, timeout, metadata)
            answers = handler.unary_stream(handler.request_deserializer(request_serializer(request)), context)
            return _Stream(answers, lambda answer: response_deserializer(handler.response_serializer(answer)))

        return call


class _Stream:
    """The answers of a stream. It is never more than one ahead of its reader."""

    def __init__(self, answers: AsyncIterator[Any], copy: Any) -> None:
        self._next: asyncio.Queue[tuple[Any, Exception | None]] = asyncio.Queue(1)
        self._copy = copy
        self._running = asyncio.create_task(self._run(answers))

    async def _run(self, answers: AsyncIterator[Any]) -> None:
        end: Exception = StopAsyncIteration()
        try:
            async for answer in answers:
                await self._next.put((self._copy(answer), None))
        except Exception as error:  # noqa: BLE001 - told to the reader
            end = error
        finally:
            await answers.aclose()  # type: ignore[attr-defined]  # an async generator: the server makes sure
        await self._next.put((None, end))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        answer, error = await self._next.get()
        if error is not None:
            raise error
        return answer

    def cancel(self) -> None:
        """Nobody reads any more."""
        self._running.cancel()


class _Context:
    """The part of a gRPC servicer context that the pipeline reads. The peer is this service itself."""

    def __init__(self, service: str, timeout: float | None, metadata: Sequence[tuple[str, str]]) -> None:
        self._service = service
        self._ends = None if timeout is None else time.monotonic() + timeout
        self._metadata = metadata

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """As the handshake would prove it."""
        return {"x509_subject_alternative_name": (tls.name_of(self._service).encode(),)}

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """What came with the call."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """Seconds until the deadline."""
        return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the call with an error, as its caller would have received it."""
        raise aio.AioRpcError(code, aio.Metadata(), aio.Metadata(*trailing_metadata), details)
