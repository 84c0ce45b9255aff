"""Crisis answers over HTTP by itself, with the gateway's rules."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from haven.crisis.v1.signals_pb2 import SignalSource

from haven_edge.limits import TokenBuckets
from haven_kit import ids

from .world import World

BUTTON = SignalSource.Name(SignalSource.SIGNAL_SOURCE_HELP_BUTTON)


class Client:
    """An HTTP client of crisis's own edge."""

    def __init__(self, world: World, http: aiohttp.ClientSession) -> None:
        self._world = world
        self._http = http
        edge = world.crisis.process.edge
        assert edge is not None
        self.url = f"http://127.0.0.1:{edge.port}"

    async def call(self, verb: str, path: str, caller: Any = None, **options: Any) -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bearer {caller.principal.token}"} if caller is not None else {}
        async with self._http.request(verb, self.url + path, headers=headers, **options) as answer:
            body = await answer.json(content_type=None) if answer.content_type.endswith("json") else await answer.text()
            return answer.status, answer.headers, body


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(world: World) -> AsyncIterator[Client]:
    await world.plan()
    async with aiohttp.ClientSession() as http:
        yield Client(world, http)


async def test_a_call_for_help_pages(world: World, client: Client, person_id: str) -> None:
    status, _, body = await client.call("POST", "/v1/signals", world.participant(person_id), json={"source": BUTTON})
    assert status == 200
    assert (await world.paged("first", body["alertId"]))[0]["alert_id"] == body["alertId"]


async def test_the_same_key_is_the_same_call(world: World, client: Client, person_id: str) -> None:
    caller = world.participant(person_id)
    headers = {"Authorization": f"Bearer {caller.principal.token}", "Idempotency-Key": ids.new_id()}
    answers = []
    async with aiohttp.ClientSession(headers=headers) as http:
        for _ in range(2):
            async with http.post(f"{client.url}/v1/signals", json={"source": BUTTON}) as answer:
                answers.append((await answer.json())["signalId"])
    assert answers[0] == answers[1]


async def test_who_is_not_signed_in_is_told_how_to_get_help(client: Client) -> None:
    status, headers, body = await client.call("POST", "/v1/signals", json={})
    assert (status, body["type"]) == (401, "/problems/unauthenticated")
    assert "988" in str(body["help"])
    assert headers["WWW-Authenticate"].startswith("Bearer")


async def test_no_stranger_shuts_what_others_at_their_address_need(
    world: World, client: Client, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge: Any = world.crisis.process.edge
    for name in ("_addresses", "_help"):
        monkeypatch.setattr(edge._api._limits, name, TokenBuckets(0.01, 30, time.monotonic))
    for verb, path in (("GET", "/problems/denied"), ("POST", "/v1/signals")):
        answers = [(await client.call(verb, path))[0] for _ in range(40)]
        assert answers[-1] == 429, path
    assert (await client.call("POST", "/v1/signals", world.participant(person_id), json={}))[0] == 200
    assert (await client.call("GET", "/v1/alerts", world.staff("first")))[0] == 200
    assert (await client.call("GET", "/console/"))[0] == 200
    assert (await client.call("GET", "/p/x"))[0] == 404
    assert (await client.call("POST", f"/inbound/v1/{ids.new_id()}"))[0] == 401
    # Twilio is not set up here.
    assert (await client.call("POST", "/callbacks/twilio/status"))[0] == 404


async def test_a_role_opens_only_its_own_methods(world: World, client: Client, person_id: str) -> None:
    status, _, body = await client.call("GET", "/v1/alerts", world.participant(person_id))
    assert (status, body["type"]) == (403, "/problems/denied")


async def test_an_error_of_the_service_is_the_same_problem(world: World, client: Client) -> None:
    staff = world.staff("first")
    status, _, body = await client.call("GET", f"/v1/alerts/{ids.new_id()}", staff)
    assert (status, body["type"]) == (404, "/problems/not-found")
    status, _, body = await client.call("GET", "/v1/alerts/nonsense", staff)
    assert (status, body["violations"][0]["field"]) == (400, "alertId")


async def test_alerts_are_streamed(world: World, client: Client, person_id: str) -> None:
    token = world.staff("first").principal.token
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{client.url}/v1/alerts:watch") as stream:
        assert stream.content_type == "text/event-stream"
        raised = await world.signal(person_id)
        seen = b""
        while raised.alert_id.encode() not in seen:
            seen += await stream.content.readany()


async def test_only_crisis_is_served(world: World, client: Client) -> None:
    assert (await client.call("GET", "/v1/payers", world.staff("biller", "biller")))[0] == 404
    assert (await client.call("GET", "/livez"))[0] == 200
    status, headers, body = await client.call("GET", "/readyz")
    assert (status, body["parts"]) == (200, {"accepting": True, "sign_in_keys": True})
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
