"""Who may call what: every RPC against every role, through the gateway and directly at the service."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import aiohttp
import grpc
import pytest
import pytest_asyncio
from grpc import aio
from haven.options.v1.options_pb2 import Role

from haven_dev.runner import Platform
from haven_kit import contract, ids
from haven_kit.contract import Method
from haven_kit.tls import Folder, name_of

ROLES = {name.removeprefix("ROLE_").lower(): number for name, number in Role.items() if number}
METHODS = contract.all_methods()
REFUSALS = {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}

every_method = pytest.mark.parametrize("method", METHODS, ids=[each.full_name.split(".v1.")[1] for each in METHODS])


def _allowed(method: Method) -> set[str]:
    return {name for name, number in ROLES.items() if number in method.access.roles}


def _path(method: Method) -> str:
    """The route with ids of nothing in its places, so that a call that is let in finds no record."""
    return re.sub(r"\{(\w+)\}", lambda _: ids.new_id(), method.http_path)


async def _through_gateway(
    platform: Platform, http: aiohttp.ClientSession, method: Method, role: str | None
) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {platform.token(role, person_id=ids.new_id())}"} if role else {}
    body = None if method.http_verb == "GET" else {}
    url = platform.gateway_url + _path(method)
    async with http.request(method.http_verb, url, headers=headers, json=body) as answer:
        # A stream that was opened goes on; what its first line says is enough.
        text = "" if answer.content_type == "text/event-stream" else await answer.text()
        return answer.status, text


class Callers:
    """Channels to each service, as each caller, opened once."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._channels: dict[tuple[str, str], aio.Channel] = {}

    async def code(self, method: Method, role: str | None, caller: str = "gateway") -> grpc.StatusCode:
        """The status that a call with an empty request ends with."""
        token = self._platform.token(role, person_id=ids.new_id()) if role else ""
        metadata = [("authorization", f"Bearer {token}")] if token else []
        channel = self._channel(method.service, caller)
        if not method.server_streaming:
            return await channel.unary_unary(method.full_name)(b"", metadata=metadata, timeout=20).code()
        call = channel.unary_stream(method.full_name)(b"", metadata=metadata, timeout=2)
        try:
            await call.read()
        except aio.AioRpcError as error:
            # A stream that was let in waits for something to tell.
            return grpc.StatusCode.OK if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else error.code()
        call.cancel()
        return grpc.StatusCode.OK

    def _channel(self, service: str, caller: str) -> aio.Channel:
        if (service, caller) not in self._channels:
            credentials = Folder(self._platform.pki.issue(caller)).channel_credentials()
            options = [("grpc.ssl_target_name_override", name_of(service))]
            made = aio.secure_channel(self._platform.grpc_address(service), credentials, options)
            self._channels[service, caller] = made
        return self._channels[service, caller]

    async def close(self) -> None:
        """Close them all."""
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def callers(platform: Platform) -> AsyncIterator[Callers]:
    """Callers of every service."""
    made = Callers(platform)
    yield made
    await made.close()


def test_each_method_has_someone_who_may_and_someone_who_may_not() -> None:
    for method in METHODS:
        assert _allowed(method) or method.access.services, method.full_name
        assert _allowed(method) != set(ROLES), f"{method.full_name} is open to every role"


@every_method
async def test_through_the_gateway(platform: Platform, http: aiohttp.ClientSession, method: Method) -> None:
    if not method.http_path:
        assert not method.access.roles, "what has no route is for services alone"
        return
    roles = (None, *ROLES)
    answers = await asyncio.gather(*(_through_gateway(platform, http, method, role) for role in roles))
    for role, (status, text) in zip(roles, answers, strict=True):
        if not method.access.roles:
            assert status == 404, "what is for services alone is not on the outside"
        elif role is None:
            assert status == 401, text
        elif role in _allowed(method):
            assert status < 500, text
            assert status not in {401, 403}, f"{role}: {text}"
        else:
            assert status == 403, f"{role}: {status} {text}"


@every_method
async def test_directly_at_the_service(callers: Callers, method: Method) -> None:
    roles = (None, *ROLES)
    codes = await asyncio.gather(*(callers.code(method, role) for role in roles))
    for role, code in zip(roles, codes, strict=True):
        assert code not in FAULTS, f"{role}: {code}"
        assert (code not in REFUSALS) == (role in _allowed(method)), f"{role}: {code}"


@every_method
async def test_services_that_call_for_themselves(callers: Callers, method: Method) -> None:
    codes = await asyncio.gather(*(callers.code(method, None, caller=service) for service in contract.SERVICES))
    for service, code in zip(contract.SERVICES, codes, strict=True):
        assert (code not in REFUSALS) == (service in method.access.services), f"{service}: {code}"
