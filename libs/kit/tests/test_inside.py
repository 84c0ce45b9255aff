"""Calls of a process to its own RPCs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc import aio

from haven_kit.inside import OwnChannel
from haven_kit.tls import peer_service

UNARY, STREAM = "/kit.test.Own/Get", "/kit.test.Own/Watch"
_set_inside: ContextVar[str] = ContextVar("_set_inside", default="")


def channel(unary: Any = None, stream: Any = None) -> OwnChannel:
    read, write = StringValue.FromString, StringValue.SerializeToString
    return OwnChannel(
        "crisis",
        {
            UNARY: grpc.unary_unary_rpc_method_handler(unary, read, write),
            STREAM: grpc.unary_stream_rpc_method_handler(stream, read, write),
        },
    )


def call(own: OwnChannel, kind: str, path: str) -> Any:
    return getattr(own, kind)(path, StringValue.SerializeToString, StringValue.FromString)


async def test_a_call_gets_a_copy_its_metadata_its_deadline_and_its_own_name() -> None:
    seen: dict[str, Any] = {}

    async def get(request: StringValue, context: Any) -> StringValue:
        seen.update(
            peer=peer_service(context), metadata=context.invocation_metadata(), remaining=context.time_remaining()
        )
        request.value += "!"
        _set_inside.set("here")
        return request

    asked = StringValue(value="a")
    answer = await call(channel(get), "unary_unary", UNARY)(asked, timeout=5, metadata=(("k", "v"),))
    assert (answer.value, asked.value) == ("a!", "a")
    assert (seen["peer"], seen["metadata"]) == ("crisis", (("k", "v"),))
    assert 4 < seen["remaining"] <= 5
    assert _set_inside.get() == ""


async def test_an_error_arrives_as_it_would_by_grpc() -> None:
    async def get(_: StringValue, context: Any) -> StringValue:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing", trailing_metadata=(("details-bin", b"d"),))
        raise AssertionError

    with pytest.raises(aio.AioRpcError) as raised:
        await call(channel(get), "unary_unary", UNARY)(StringValue())
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")
    assert raised.value.trailing_metadata().get("details-bin") == b"d"


async def test_whoever_leaves_ends_the_call() -> None:
    entered, ended = asyncio.Event(), asyncio.Event()

    async def get(_: StringValue, __: Any) -> StringValue:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    running = asyncio.create_task(call(channel(get), "unary_unary", UNARY)(StringValue()))
    await entered.wait()
    running.cancel()
    await asyncio.wait_for(ended.wait(), 5)
    assert (await asyncio.gather(running, return_exceptions=True))[0].__class__ is asyncio.CancelledError


async def test_a_stream_is_never_far_ahead_of_its_reader_and_ends_with_it() -> None:
    made, closed = [], asyncio.Event()

    async def watch(_: StringValue, __: Any) -> AsyncIterator[StringValue]:
        try:
            for number in range(100):
                made.append(number)
                yield StringValue(value=str(number))
        finally:
            closed.set()

    stream = call(channel(stream=watch), "unary_stream", STREAM)(StringValue(), timeout=None)
    read = [(await anext(stream)).value for _ in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert read == ["0", "1", "2"]
    assert len(made) <= 5
    stream.cancel()
    await asyncio.wait_for(closed.wait(), 5)


async def test_a_stream_ends_and_fails_as_its_maker_does() -> None:
    async def watch(request: StringValue, context: Any) -> AsyncIterator[StringValue]:
        yield request
        if request.value == "fail":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    open_stream = call(channel(stream=watch), "unary_stream", STREAM)
    assert [each.value async for each in open_stream(StringValue(value="fine"))] == ["fine"]
    with pytest.raises(aio.AioRpcError, match="gone"):
        assert [each async for each in open_stream(StringValue(value="fail"))]
