"""A service to call, hand-made: remembers what came, fails as told, and can be stopped and started."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc.error_details_pb2 import RequestInfo
from grpc import aio
from pydantic import SecretStr

from haven_dev.pki import Pki
from haven_kit import errors, tls
from haven_kit.settings import Settings

V = TypeVar("V")

SERVICE = "kit.test.Desk"


def _declare_put_note() -> None:
    """A contract that says of one RPC that it may be repeated."""
    file = descriptor_pb2.FileDescriptorProto(name="kit_clients_test.proto", package="kit.test", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    service = file.service.add(name="Desk")
    for name in ("PutNote", "CreateNote"):
        service.method.add(
            name=name, input_type=".google.protobuf.StringValue", output_type=".google.protobuf.StringValue"
        )
    service.method[0].options.idempotency_level = descriptor_pb2.MethodOptions.IDEMPOTENT
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


_declare_put_note()


class DeskStub:
    """What grpc_tools generates, by hand."""

    def __init__(self, channel: aio.Channel) -> None:
        def unary(name: str, request: Any = StringValue) -> aio.UnaryUnaryMultiCallable[Any, StringValue]:
            return channel.unary_unary(
                f"/{SERVICE}/{name}",
                request_serializer=request.SerializeToString,
                response_deserializer=StringValue.FromString,
            )

        self.GetNote = unary("GetNote")
        self.CreateNote = unary("CreateNote")
        self.ApplyNote = unary("ApplyNote", RequestInfo)
        self.PutNote = unary("PutNote")
        self.WatchNotes: aio.UnaryStreamMultiCallable[StringValue, StringValue] = channel.unary_stream(
            f"/{SERVICE}/WatchNotes",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )


class Desk:
    """The called service: remembers what came, and fails as told."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, Any]] = []
        self.remaining: list[float] = []
        self.fail: list[errors.HavenError | grpc.StatusCode] = []
        self.peers: list[str | None] = []
        self.left = 0

    async def note(self, _: Any, context: Any) -> StringValue:
        self.metadata.append(dict(context.invocation_metadata()))
        self.remaining.append(context.time_remaining())
        self.peers.append(tls.peer_service(context))
        await self._maybe_fail(context)
        return StringValue(value="done")

    async def watch(self, request: StringValue, context: Any) -> AsyncIterator[StringValue]:
        self.metadata.append(dict(context.invocation_metadata()))
        self.remaining.append(context.time_remaining())
        try:
            for number in range(int(request.value)):
                yield StringValue(value=str(number))
        finally:
            self.left += 1
        await self._maybe_fail(context)

    async def slow(self, _: Any, context: Any) -> StringValue:
        await asyncio.sleep(30)
        return StringValue()

    async def _maybe_fail(self, context: Any) -> None:
        if not self.fail:
            return
        failure = self.fail.pop(0)
        if not isinstance(failure, errors.HavenError):
            await context.abort(failure, "secret words of the peer")
            return
        details = errors.to_status(failure, "trace").SerializeToString()
        await context.abort(failure.code, failure.message, ((errors.STATUS_DETAILS_KEY, details),))

    def handlers(self) -> grpc.GenericRpcHandler:
        def unary(behaviour: Any, request: Any = StringValue) -> Any:
            return grpc.unary_unary_rpc_method_handler(
                behaviour, request_deserializer=request.FromString, response_serializer=StringValue.SerializeToString
            )

        watch: Any = grpc.unary_stream_rpc_method_handler(
            self.watch,
            request_deserializer=StringValue.FromString,
            response_serializer=StringValue.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "GetNote": unary(self.note),
                "CreateNote": unary(self.note),
                "ApplyNote": unary(self.note, RequestInfo),
                "PutNote": unary(self.note),
                "GetSlow": unary(self.slow),
                "WatchNotes": watch,
            },
        )


class Place:
    """A server of the desk on one port, to be stopped and started."""

    def __init__(self, desk: Desk, folder: tls.Folder) -> None:
        self._desk = desk
        self._folder = folder
        self.port = 0
        self._server: aio.Server | None = None

    async def start(self) -> None:
        self._server = aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((self._desk.handlers(),))
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", self._folder.server_credentials())
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)


def make_settings(pki: Pki, address: str, **more: Any) -> Settings:
    return Settings(
        service="sessions",
        environment="test",
        database_url=SecretStr("postgresql://"),
        nats_url="nats://127.0.0.1",
        tls_dir=pki.issue("sessions"),
        issuer_url="https://id.example.org",
        keyset_file=Path("/none"),
        targets={"crisis": address},
        **more,
    )


@contextmanager
def carrying(variable: ContextVar[V | None], value: V) -> Iterator[None]:
    """Answer a call with this in its context."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
