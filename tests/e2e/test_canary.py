"""No health information leaves: canaries in every marked field, and a look into everything that leaves the services."""

from __future__ import annotations

import base64
import hmac
import importlib.util
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import nats
import pytest
import pytest_asyncio

from haven_dev.day.day import Day, Who
from haven_dev.day.play import FAST, play_steps
from haven_dev.runner import PARTS, SERVICES, Platform
from haven_kit import contract, ids
from haven_kit.messaging import NATS_HOST, stream_of
from haven_kit.tls import Folder


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


phi = _load("phi")
KEEP = frozenset({"state", "region", "postal_code", "country", "member_id", "birth_date", "bundle_json", "x12_835"})
"""Fields whose content has a meaning of its own to a service, so that the day needs them as they are."""
WITH_PHI = [
    each for each in contract.all_methods() if each.http_path and each.access.roles and phi.fields_with_phi(each)
]


class Outside:
    """Everything that left the services towards callers."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.urls: list[str] = []
        self.headers: list[str] = []
        self.filled: set[str] = set()

    def answered(self, status: int, text: str, headers: Any) -> None:
        self.headers.append(str(dict(headers)))
        if status >= 400:
            self.problems.append(text)

    def change(self, verb: str, path: str, body: Any) -> Any:
        changed, filled = phi.with_canaries(verb, path, body, KEEP)
        self.filled |= filled
        return changed


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outside(platform: Platform, http: aiohttp.ClientSession) -> Outside:
    """The day, played with canaries; then every method with a request full of them, as someone who may call it."""
    gone = Outside()
    name = f"Kanarie{ids.new_id()[-6:]}"
    who = Who(name, f"{name}son", f"MR-{name}", "1987-05-06", "312-555-0199", f"{name}@example.org", f"qaa-{name[-6:]}")
    day = Day.begin(platform, http, lambda _: None, who)
    day.web.change_body, day.web.after_answer = gone.change, gone.answered
    day.web.before_call = gone.urls.append
    await play_steps(day, lambda _: None)
    for method in WITH_PHI:
        await _send(platform, http, method, gone)
    await _signals_of_a_system(day, http, gone)
    return gone


async def _signals_of_a_system(day: Day, http: aiohttp.ClientSession, gone: Outside) -> None:
    """Another system's signals, by signed webhook: one about somebody unknown, and one that is refused."""
    made = await day.administrator.post("/v1/integrated-systems", {"name": "Night sensor"})
    url = f"{day.web.platform.crisis_url}/inbound/v1/{made['system']['systemId']}"
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    at = str(int(day.clock.now().timestamp()))
    told = {"external_id": phi.canary(), "note": phi.canary()}
    for message_id, data, status in (("one", told, 202), ("two", {"note": phi.canary(), "person": phi.canary()}, 400)):
        body = json.dumps({"type": "signal.raised", "data": data}).encode()
        mac = base64.b64encode(hmac.digest(key, f"{message_id}.{at}.".encode() + body, "sha256")).decode()
        headers = {"webhook-id": message_id, "webhook-timestamp": at, "webhook-signature": f"v1,{mac}"}
        async with http.post(url, data=body, headers=headers) as answer:
            assert answer.status == status
            gone.answered(answer.status, await answer.text(), answer.headers)


async def _send(platform: Platform, http: aiohttp.ClientSession, method: contract.Method, gone: Outside) -> None:
    from google.protobuf import json_format
    from haven.options.v1.options_pb2 import Role

    role = Role.Name(method.access.roles[0]).removeprefix("ROLE_").lower()
    headers = {"Authorization": f"Bearer {platform.token(role, person_id=ids.new_id())}"}
    request = phi.full(method)
    gone.filled |= {field.full_name for _, field, _ in phi.phi_strings(request)}
    path = re.sub(r"\{(\w+)\}", lambda _: ids.new_id(), method.http_path)
    body = json_format.MessageToDict(request)
    async with http.request(method.http_verb, platform.gateway_url + path, headers=headers, json=body) as answer:
        gone.answered(answer.status, await answer.text(), answer.headers)


def _nothing_in(what: str, where: str) -> None:
    found = re.search(f".{{0,80}}{phi.WORD}.{{0,40}}", what, re.IGNORECASE)
    assert found is None, f"{where}: {found[0]}"


def test_every_text_that_is_health_information_held_a_canary(outside: Outside) -> None:
    wanted = set().union(*(phi.fields_with_phi(each) for each in WITH_PHI))
    assert outside.filled >= wanted
    assert len(wanted) > 60


def test_no_error_and_no_address_tells_it(outside: Outside) -> None:
    assert len(outside.problems) > 20
    for text in (*outside.problems, *outside.headers):
        _nothing_in(text, "answer")
    for url in outside.urls:
        _nothing_in(url, "address")


@pytest.mark.parametrize("part", [*PARTS, "postgres", "nats"])
def test_no_log_line_holds_it(platform: Platform, outside: Outside, part: str) -> None:
    text = platform.log(part).read_text()
    assert text
    assert outside.filled
    _nothing_in(text, f"log of {part}")


async def test_no_metric_holds_it(platform: Platform, outside: Outside, http: aiohttp.ClientSession) -> None:
    for part in PARTS:
        async with http.get(f"{platform.http_url(part)}/metrics") as answer:
            text = await answer.text()
        assert "haven_" in text
        _nothing_in(text, f"metrics of {part}")
    assert outside.filled


def test_no_span_holds_it(platform: Platform, outside: Outside) -> None:
    everything = platform.otlp.everything()
    assert len(everything) > 100_000
    assert outside.filled
    _nothing_in(everything.decode("utf-8", "replace"), "spans")


def test_no_page_holds_it(platform: Platform, outside: Outside) -> None:
    assert outside.filled
    assert platform.webhook.received
    for page in platform.webhook.received:
        _nothing_in(page.body.decode() + str(dict(page.headers)) + page.path, "webhook page")
    for mail in platform.smtp.received:
        _nothing_in(str(mail), "mail page")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def road(platform: Platform) -> AsyncIterator[nats.aio.client.Client]:
    """A connection that may read every stream."""
    connection = await nats.connect(
        platform.nats.url,
        user="admin",
        password=platform.nats.password("admin"),
        tls=Folder(platform.pki.issue("gateway")).client_context(),
        tls_hostname=NATS_HOST,
    )
    yield connection
    await connection.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_no_event_holds_it(outside: Outside, road: nats.aio.client.Client, service: str) -> None:
    stream = road.jetstream()
    state = (await stream.stream_info(stream_of(service))).state
    assert state.messages > 0
    assert outside.filled
    for seq in range(state.first_seq, state.last_seq + 1):
        message = await stream.get_msg(stream_of(service), seq)
        told = (message.data or b"").decode("utf-8", "replace") + str(message.headers)
        _nothing_in(told, f"event {message.subject}")


@pytest.mark.parametrize("service", SERVICES)
async def test_at_rest_it_is_sealed(platform: Platform, outside: Outside, service: str) -> None:
    assert outside.filled
    connection = await asyncpg.connect(platform.database_url(service))
    try:
        tables = [
            row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        assert len(tables) > 8
        hexed = phi.WORD.encode().hex(), phi.WORD.capitalize().encode().hex()
        for table in tables:
            found = await connection.fetchval(
                f"""SELECT t::text FROM "{table}" t
                WHERE t::text ILIKE $1 OR t::text LIKE $2 OR t::text LIKE $3 LIMIT 1""",
                f"%{phi.WORD}%",
                *(f"%{each}%" for each in hexed),
            )
            assert found is None, f"{service}.{table}: {found[:300]}"
    finally:
        await connection.close()


def test_the_look_can_find_something() -> None:
    with pytest.raises(AssertionError, match="somewhere"):
        _nothing_in(f"a {phi.canary()} sings", "somewhere")
    assert FAST
