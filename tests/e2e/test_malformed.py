"""Requests by hand that nobody should send: to the gateway, to its socket, and directly to the services."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import random
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import grpc
import pytest
import pytest_asyncio
from attack import PATIENCE_S, Answer, Request, Target
from corpus import BODIES, HEADERS, KEYS, LINES, NUMBERS, OTHERS, PATHS, QUERIES, SEGMENTS, TEXTS, TOKENS, VERBS
from google.protobuf import json_format
from grpc import aio
from haven.options.v1.options_pb2 import Role
from phi import method_of

from haven_kit import contract, paging
from haven_kit.contract import Method
from haven_kit.tls import Folder, name_of

EVERY = int(os.environ.get("HAVEN_TEST_MUTATIONS_STEP", "6"))
"""Of all mutations of the day's commands, each how manieth is sent."""
QUIET_S = 1.0
"""An answer that began and does not go on for so long is complete."""
METHODS = contract.all_methods()
PUBLIC = [each for each in METHODS if each.http_path and each.access.roles]
LISTS = [each for each in PUBLIC if "page_token" in each.request.DESCRIPTOR.fields_by_name]


def _roles(method: Method) -> list[str]:
    return [Role.Name(each).removeprefix("ROLE_").lower() for each in method.access.roles]


def _path(method: Method, target: Target) -> str:
    """The method's route with ids of records that exist."""
    return re.sub(r"\{(\w+)\}", lambda found: quote(_id(target, found[1]), safe=""), method.http_path)


def _id(target: Target, name: str) -> str:
    first, *rest = name.split("_")
    known = target.ids[first + "".join(each.title() for each in rest)]
    return known[0] if known else str(uuid.UUID(int=1))


def _request(target: Target, method: Method, path: str = "", body: Any = None, **more: str) -> Request:
    """A request to a method as someone of the day who may call it. Keyword names stand for headers."""
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    token = target.tokens_of_the_day(_roles(method))[0]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if method.http_verb == "GET":
        del headers["Content-Type"]
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return Request(method.name, method.http_verb, path or _path(method, target), headers | named, sent)


def _well(answers: list[Answer]) -> None:
    wrong = [f"{fault}: {each}" for each in answers if (fault := each.fault())]
    assert not wrong, "\n".join(wrong[:40])


def _commands(target: Target) -> list[tuple[Method, str, Any]]:
    """One command of each kind that was given in the day, as it was given: with all that makes it valid."""
    found: dict[str, tuple[Method, str, Any]] = {}
    for verb, path, body in target.commands:
        if method := method_of(verb, path):
            # What was asked of the first room is asked of the one that is open now.
            now = re.sub(r"^/v1/rooms/[^:/]+", f"/v1/rooms/{target.day.made['session']}", path)
            found[method.full_name] = (method, now, body)
    return list(found.values())


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every place in a JSON value, with what stands there."""
    yield path, value
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, key))


def _with(value: Any, path: tuple[Any, ...], item: Any) -> Any:
    if not path:
        return item
    changed = copy.deepcopy(value)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = item
    return changed


def _mutations(target: Target) -> Iterator[Request]:
    for method, path, body in _commands(target):
        for place, stands in _leaves(body):
            values = TEXTS if isinstance(stands, str) else NUMBERS if isinstance(stands, int | float) else OTHERS
            for value in values:
                yield _request(target, method, path, _with(body, place, value))


@pytest.mark.timeout(900)
async def test_each_place_of_each_command_of_the_day_with_what_does_not_belong_there(target: Target) -> None:
    answers = await target.send_all([each for n, each in enumerate(_mutations(target)) if n % EVERY == 0])
    assert len(answers) > 500
    _well(answers)
    assert sum(each.status == 200 for each in answers) > 20, "some are taken, so the way is open to the rest"


async def test_nul_is_refused_wherever_a_text_stands(target: Target) -> None:
    sent = [
        _request(target, method, path, _with(body, place, "a\x00b"))
        for method, path, body in _commands(target)
        if method.name != "CallForHelp"
        for place, stands in _leaves(body)
        if isinstance(stands, str)
    ]
    answers = await target.send_all(sent)
    assert len(answers) > 60
    _well(answers)
    assert {each.status for each in answers} == {400}, [str(each) for each in answers if each.status != 400][:5]


async def test_bodies(target: Target) -> None:
    sent = [_request(target, method, path, body) for method, path, _ in _commands(target) for body in BODIES]
    answers = await target.send_all(sent)
    assert len(answers) > 500
    _well(answers)


async def test_headers(target: Target) -> None:
    some = [method for n, method in enumerate(PUBLIC) if n % 6 == 0 or method.server_streaming]
    sent = [
        _request(target, method, body=None if method.http_verb == "GET" else {}) for method in some for _ in HEADERS
    ]
    changed = [
        Request(each.name, each.method, each.path, {**each.headers, **HEADERS[n % len(HEADERS)]}, each.body)
        for n, each in enumerate(sent)
    ]
    _well(await target.send_all(changed))


async def test_signs_of_who_one_is(target: Target) -> None:
    some = PUBLIC[::12]
    sent = [Request(m.name, m.http_verb, _path(m, target), {"Authorization": each}) for m in some for each in TOKENS]
    answers = await target.send_all(sent)
    _well(answers)
    assert {each.status for each in answers} == {401}


async def test_queries_and_addresses(target: Target) -> None:
    sent = [_request(target, method, f"{_path(method, target)}?{query}") for method in LISTS for query in QUERIES]
    for method in PUBLIC[::4]:
        parts = method.http_path.split("{", 1)
        if len(parts) == 2:
            sent += [_request(target, method, parts[0] + segment + parts[1].partition("}")[2]) for segment in SEGMENTS]
    first = _request(target, LISTS[0])
    sent += [Request("path", "GET", path, first.headers) for path in PATHS]
    sent += [Request(m.name, verb, _path(m, target), first.headers) for m in PUBLIC[::5] for verb in VERBS]
    _well(await target.send_all(sent))


async def test_page_tokens_that_were_made_up(target: Target) -> None:
    sent = []
    for method in LISTS:
        request = method.request()
        for name in re.findall(r"\{(\w+)\}", method.http_path):
            setattr(request, name, _id(target, name))
        for key in KEYS:
            token = paging.Page(request, 1, None).next_token(key)
            sent.append(_request(target, method, f"{_path(method, target)}?pageToken={token}"))
    answers = await target.send_all(sent)
    assert len(answers) >= len(KEYS) * 10
    _well(answers)
    assert 200 not in {each.status for each in answers}


async def test_a_body_that_stops_coming_is_not_waited_for(target: Target) -> None:
    method = next(each for each in PUBLIC if each.name == "ImportReferral")
    head = _head(target, method, "Transfer-Encoding: chunked", "Content-Type: application/json")
    started = asyncio.get_running_loop().time()
    answered = await asyncio.gather(*(_talk(target, head + b'10\r\n{"bund') for _ in range(20)))
    assert all(each.startswith(b"HTTP/1.1 408") for each in answered), answered[0][:200]
    assert asyncio.get_running_loop().time() - started < PATIENCE_S


async def test_heads_that_stop_coming_are_not_waited_for(target: Target) -> None:
    answered = await asyncio.gather(*(_talk(target, b"GET /v1/referrals HTTP/1.1\r\nHo") for _ in range(20)))
    assert set(answered) == {b""}


async def test_requests_that_come_all_at_once_are_answered_one_by_one(target: Target) -> None:
    method = next(each for each in PUBLIC if each.name == "GetCatalogue")
    answered = await _talk(target, _head(target, method) * 20 + _head(target, method, "Connection: close"))
    assert answered.count(b"HTTP/1.1 200") == 21


async def test_what_is_hardly_http(target: Target) -> None:
    dice = random.Random(1)
    noise = [dice.randbytes(dice.randint(1, 2000)) for _ in range(200)]
    cut = [_head(target, PUBLIC[0])[: dice.randint(1, 200)] + dice.randbytes(20) for _ in range(100)]
    for sent, answered in await _talk_all(target, [*LINES, *noise, *cut]):
        for status in re.findall(rb"HTTP/1\.1 (\d{3})", answered):
            assert 100 <= int(status) < 500, (sent[:200], answered[:300])


async def _talk_all(target: Target, sent: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(sent, await asyncio.gather(*(_talk(target, each) for each in sent)), strict=True))


def _head(target: Target, method: Method, *more: str) -> bytes:
    token = target.tokens_of_the_day(_roles(method))[0]
    lines = (f"{method.http_verb} {_path(method, target)} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", *more)
    return "\r\n".join([*lines, "", ""]).encode()


async def _talk(target: Target, sent: bytes) -> bytes:
    """Send bytes to the gateway's socket and read what it answers, until it closes the socket or has said it all."""
    host, _, port = target.platform.gateway_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answered = b""
    try:
        writer.write(sent)
        while part := await asyncio.wait_for(reader.read(65536), QUIET_S if answered else PATIENCE_S):
            answered += part
    except TimeoutError:
        assert answered, f"no answer and no end: {sent[:200]!r}"
    except ConnectionError:
        return answered  # refused before everything was said
    finally:
        writer.close()
    return answered


FAULTS = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}


class Direct:
    """Calls services with the gateway's certificate, past the gateway."""

    def __init__(self, target: Target) -> None:
        self._target = target
        credentials = Folder(target.platform.pki.issue("gateway")).channel_credentials()
        self._channels = {
            service: aio.secure_channel(
                target.platform.grpc_address(service),
                credentials,
                [("grpc.ssl_target_name_override", name_of(service)), ("grpc.max_send_message_length", -1)],
            )
            for service in contract.SERVICES
        }

    async def code(self, method: Method, sent: bytes, *more: tuple[str, str]) -> grpc.StatusCode:
        """The status that a call with these bytes ends with; OK for a stream that began or waits."""
        token = self._target.tokens_of_the_day(_roles(method) or ["administrator"])[0]
        metadata = [("authorization", f"Bearer {token}"), *more]
        channel = self._channels[method.service]
        if not method.server_streaming:
            return await channel.unary_unary(method.full_name)(sent, metadata=metadata, timeout=PATIENCE_S).code()
        call = channel.unary_stream(method.full_name)(sent, metadata=metadata, timeout=PATIENCE_S)
        read = asyncio.ensure_future(call.read())
        done, _ = await asyncio.wait({read}, timeout=0.5)
        if not done:
            call.cancel()
            await asyncio.gather(read, return_exceptions=True)
            return grpc.StatusCode.OK
        return grpc.StatusCode.OK if read.exception() is None and read.result() is not aio.EOF else await call.code()

    async def close(self) -> None:
        """Close the channels."""
        await asyncio.gather(*(each.close() for each in self._channels.values()))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def direct(target: Target) -> AsyncIterator[Direct]:
    """Ways to the services."""
    made = Direct(target)
    yield made
    await made.close()


async def test_bytes_that_are_no_message_of_the_call(target: Target, direct: Direct) -> None:
    dice = random.Random(2)
    real = [
        json_format.ParseDict(body or {}, method.request(), ignore_unknown_fields=True).SerializeToString()
        for method, _, body in _commands(target)
    ]
    for method in METHODS:
        sent = [dice.randbytes(dice.randint(1, 60)) for _ in range(4)]
        sent += [dice.choice(real), dice.choice(real)[:-1], b"\x0a\x02\xc3\x28", b"\x0a\x03a\x00b", b"\x0a\x7f" * 200]
        codes = await asyncio.gather(*(direct.code(method, each) for each in sent))
        for each, code in zip(sent, codes, strict=True):
            assert code not in FAULTS, f"{method.full_name} {each!r}: {code}"


async def test_messages_that_are_too_large_and_strange_metadata(direct: Direct) -> None:
    for service in contract.SERVICES:
        method = next(each for each in METHODS if each.service == service and each.access.roles)
        large = await direct.code(method, b"\x0a" + b"\xff\xff\xff\x0f" + b"x" * 33_000_000)
        assert large is grpc.StatusCode.RESOURCE_EXHAUSTED
        for more in (("idempotency-key", "k" * 2000), ("idempotency-key", "a b"), ("traceparent", "x" * 500)):
            assert await direct.code(method, b"", more) not in FAULTS
    unknown = Method(**{name: getattr(METHODS[0], name) for name in METHODS[0].__slots__} | {"full_name": "/x/y"})
    assert await direct.code(unknown, b"") is grpc.StatusCode.UNIMPLEMENTED


def test_no_log_tells_of_a_mistake(target: Target) -> None:
    found = target.faults()
    assert not found, "\n".join(found[:20])


async def test_by_default_one_account_is_slowed_down_but_never_its_calls_for_help(target: Target) -> None:
    high = dict(target.limits)
    target.limits.clear()
    await target.platform.stop("gateway")
    await target.platform.start("gateway")
    try:
        help_method = next(each for each in PUBLIC if each.name == "CallForHelp")
        path = f"/v1/rooms/{target.day.made['session']}:callForHelp"
        rosa = Request("help", "POST", path, _request(target, help_method).headers)
        # Refused by the gateway itself, as fast as it can: nothing of it reaches a service.
        wrong = Request("wrong", "POST", "/v1/rooms/x:raiseHand", rosa.headers, b"{")
        many = await target.send_all([wrong] * 1_500)
        refused = [each for each in many if each.status == 429]
        assert refused
        assert all(int(each.headers["retry-after"]) >= 1 for each in refused)
        assert {each.status for each in many} == {400, 429}
        helped = await target.send_all([rosa] * 100)
        assert {each.status for each in helped} == {200}
    finally:
        target.limits.update(high)
        await target.platform.stop("gateway")
        await target.platform.start("gateway")
