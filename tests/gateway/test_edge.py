"""Limits, headers, CORS, health, the reference page, spans, settings and the process itself."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from haven_edge.limits import TokenBuckets
from haven_edge.surface import Surface, SurfaceError
from haven_gateway.settings import GatewaySettings
from haven_kit.testing import eventually
from haven_kit.tls import Folder

from .contracts import descriptor_set

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
THING = f"/v1/things/{ID}"


def test_a_bucket_gives_its_burst_then_its_rate():
    now = [0.0]
    buckets = TokenBuckets(rate=2, burst=3, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.5
    assert buckets.take("a") == 0
    assert buckets.take("a") == 0.5
    now[0] = 100
    assert [buckets.take("a") for _ in range(4)][-1] > 0


async def test_an_account_beyond_its_rate_waits_but_its_calls_for_help_do_not(open_site):
    async with open_site(person_rate=0.1, person_burst=2) as site:
        statuses = [(await site.call("GET", THING))[0] for _ in range(3)]
        assert statuses == [200, 200, 429]
        _, headers, body = await site.call("GET", THING)
        assert 1 <= int(headers["Retry-After"]) <= 10
        assert body["type"] == "/problems/too-many-requests"
        assert {(await site.call("POST", "/v1/signals", json={}))[0] for _ in range(20)} == {200}
        other = site.headers("biller")
        assert (await site.call("GET", THING, headers=other))[0] == 200


async def test_strangers_at_an_address_are_held_to_its_rate_and_whoever_is_signed_in_there_is_not(open_site):
    async with open_site(address_rate=0.1, address_burst=2) as site:
        assert [(await site.call("GET", THING, headers={}))[0] for _ in range(3)] == [401, 401, 429]
        assert (await site.call("GET", THING, headers={"Authorization": "Bearer guess"}))[0] == 429
        assert {(await site.call("GET", THING))[0] for _ in range(5)} == {200}


async def test_no_stranger_shuts_the_help_button(open_site):
    async with open_site(help_rate=0.01, help_burst=100) as site:
        for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": f"Bearer {_of_another_issuer()}"}):
            answers = [await site.call("POST", "/v1/signals", headers=headers, json={}) for _ in range(50)]
        assert [status for status, _, _ in answers] == [429] * 50
        assert "988" in str(answers[-1][2]["help"])
        assert {(await site.call("POST", "/v1/signals", json={}))[0] for _ in range(5)} == {200}
        # Whoever's sign-in has ended is told so, to sign in again.
        ended = {"Authorization": f"Bearer {site.issuer.token('participant', lifetime_s=-60)}"}
        assert (await site.call("POST", "/v1/signals", headers=ended, json={}))[0] == 401


def _of_another_issuer():
    key = ec.generate_private_key(ec.SECP256R1())
    claims = {"sub": "stranger", "exp": int(time.time()) + 600}
    return jwt.encode(claims, key, "ES256", headers={"kid": secrets.token_hex(8)})


async def test_an_account_is_held_to_its_rate_where_its_role_opens_nothing(open_site):
    async with open_site(person_rate=0.1, person_burst=2) as site:
        biller = site.headers("biller")
        assert [(await site.call("DELETE", THING, headers=biller))[0] for _ in range(3)] == [403, 403, 429]


async def test_an_address_beyond_its_rate_waits_beside_the_api_too_and_health_is_told_all_the_same(open_site):
    async with open_site(address_rate=0.1, address_burst=2) as site:
        assert [(await _get(site, "/problems/denied"))[0] for _ in range(3)] == [200, 200, 429]
        _, headers, body = await _get(site, "/problems/denied")
        assert "Retry-After" in headers
        assert "/problems/too-many-requests" in body
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert [(await _get(site, path))[0] for path in ("/livez", "/readyz") * 3] == [200] * 6


async def test_only_so_many_calls_of_one_account_run_at_once(open_site):
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(request, _):
        entered.set()
        await release.wait()

    async with open_site(person_in_flight=1, in_flight=1) as site:
        site.probe.answers["GetThing"] = slow
        first = asyncio.ensure_future(site.call("GET", THING))
        await asyncio.wait_for(entered.wait(), 5)
        assert (await site.call("GET", THING))[0] == 429
        assert (await site.call("GET", THING, headers=site.headers("biller")))[0] == 503
        assert (await site.call("POST", "/v1/signals", json={}))[0] == 200
        release.set()
        assert (await first)[0] == 200
        assert (await site.call("GET", THING))[0] == 200


async def test_bodies_are_bounded_by_route(open_site):
    limits = {"body_bytes": 2000, "body_bytes_of": {"/haven.probe.v1.ProbeService/EchoShapes": 5000}}

    async def chunks():
        for _ in range(30):
            yield b" " * 100

    async with open_site(**limits) as site:
        status, _, body = await site.call("POST", "/v1/things", json={"name": "x" * 2000})
        assert (status, body["type"]) == (413, "/problems/too-large")
        headers = site.headers(Content_Type="application/json")
        assert (await site.call("POST", "/v1/things", data=chunks(), headers=headers))[0] == 413
        assert (await site.call("POST", "/v1/shapes:echo", json={"aString": "x" * 2000}))[0] == 200
        assert (await site.call("POST", "/v1/shapes:echo", json={"aString": "x" * 5000}))[0] == 413


async def test_a_body_that_does_not_arrive_is_given_up(open_site):
    async def stalled():
        yield b"{"
        await asyncio.Event().wait()

    async with open_site(body_seconds=0.2) as site:
        headers = site.headers(Content_Type="application/json")
        status, _, body = await site.call("POST", "/v1/things", data=stalled(), headers=headers)
        assert (status, body["type"]) == (408, "/problems/slow-request")


async def test_addresses_and_heads_are_bounded(open_site):
    async with open_site(header_bytes=9000, address_bytes=2000) as site:
        assert (await site.call("GET", "/v1/things?pageToken=" + "x" * 3000))[0] == 414
        status, _, body = await site.call("GET", THING, headers=site.headers(X_Long="x" * 20_000))
        assert (status, body["type"]) == (431, "/problems/headers-too-large")
        many = {f"X-Header-{n}": "x" * 100 for n in range(200)}
        assert (await site.call("GET", THING, headers=site.headers() | many))[0] == 431
        assert (await site.call("GET", THING))[0] == 200


async def _raw(site, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", site.gateway.port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def test_what_is_not_http_is_a_problem_too(site):
    answer = await _raw(site, b"NONSENSE\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer


async def test_a_head_that_does_not_arrive_is_given_up(open_site):
    async with open_site(header_seconds=0.2) as site:
        assert await _raw(site, b"GET /v1/things HTTP/1.1\r\nHost: x\r\n") == b""
        assert await _raw(site, b"") == b""


async def test_a_connection_stays_open_between_requests(open_site):
    async with open_site(header_seconds=0.3) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.gateway.port)
        for pause in (0.6, 0):
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b'{"live":true}'), 5)).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(pause)
        writer.close()


@pytest.mark.parametrize("path", [THING, "/v1/nothing", "/elsewhere", "/docs", "/openapi.json", "/livez"])
async def test_every_answer_carries_security_headers(site, path):
    _, headers, _ = await _get(site, path)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == ("no-cache" if path == "/openapi.json" else "no-store")
    assert "Strict-Transport-Security" not in headers
    assert "Server" not in headers


async def _get(site, path, **headers):
    async with site.http.get(site.url + path, headers=site.headers() | headers) as answer:
        return answer.status, answer.headers, await answer.text()


async def test_hsts_is_sent_where_clients_come_by_tls(open_site):
    async with open_site(public_tls=True) as site:
        assert "max-age" in (await _get(site, "/livez"))[1]["Strict-Transport-Security"]


async def test_cors_answers_the_named_origin_and_no_other(site):
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, idempotency-key",
    }
    for origin, allowed in (("https://app.example.org", True), ("https://evil.example.org", False)):
        async with site.http.options(site.url + "/v1/things", headers={"Origin": origin, **asked}) as answer:
            assert (answer.status == 200) == allowed
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        _, headers, _ = await _get(site, THING, Origin=origin)
        assert headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        assert "etag" in headers["Access-Control-Expose-Headers"]


async def test_problems_can_be_read_across_origins(site):
    async with site.http.get(site.url + THING, headers={"Origin": "https://app.example.org"}) as answer:
        assert answer.status == 401
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.org"


async def test_readiness_is_true_and_one_service_down_does_not_take_the_rest_away(open_site, pki):
    async with open_site() as site:
        assert (await _get(site, "/readyz"))[0] == 200
        await site.probe.stop()
        await eventually(lambda: not site.gateway._backends.serving["probe"])
        assert (await _get(site, "/readyz"))[0] == 200
        await site.crisis.stop()
        await eventually(lambda: not site.gateway._backends.serving["crisis"])
        status, _, text = await _get(site, "/readyz")
        assert status == 503
        assert '"services":false' in text
        assert (await _get(site, "/livez"))[0] == 200
        await site.crisis.start(Folder(pki.issue("crisis")))
        await eventually(lambda: site.gateway._backends.serving["crisis"])
        assert (await _get(site, "/readyz"))[0] == 200


async def test_metrics_are_apart_and_count_routes_not_paths(site):
    await site.call("GET", THING)
    assert (await _get(site, "/metrics"))[0] == 404
    async with site.http.get(f"http://127.0.0.1:{site.gateway._metrics.port}/metrics") as answer:
        text = await answer.text()
    assert 'haven_http_server_seconds_count{route="GET /v1/things/{thingId}",status="200"}' in text
    assert ID not in text


async def test_spans_name_the_route_and_carry_no_values(site, spans):
    spans.clear()
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await site.call("GET", "/v1/things?pageToken=canary-query", headers=site.headers(traceparent=parent))
    await site.call("GET", "/v1/things/canary-path", headers=site.headers(traceparent=parent))
    ours = [span for span in spans.get_finished_spans() if format(span.context.trace_id, "x") in parent]
    servers = [span for span in ours if span.kind.name == "SERVER"]
    assert [span.name for span in servers] == ["GET /v1/things", "GET /v1/things/{thingId}"]
    assert all(span.parent.span_id == int("b7ad6b7169203331", 16) for span in servers)
    assert servers[0].attributes["http.response.status_code"] == 200
    assert len([span for span in ours if span.kind.name == "CLIENT"]) == 2
    assert "canary" not in str([span.to_json() for span in spans.get_finished_spans()])


async def test_the_reference_page_fetches_nothing_from_elsewhere(site):
    status, headers, page = await _get(site, "/docs")
    assert status == 200
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "http" not in re.sub(r"<!doctype.*?>|http-equiv", "", page)
    assert "<script>" not in page
    for asset in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert asset.startswith("/docs/")
        assert (await _get(site, asset))[0] == 200
    _, _, script = await _get(site, "/docs/swagger-ui-bundle.js")
    assert len(script) > 1_000_000


async def test_the_served_document_is_of_the_served_surface(site):
    async with site.http.get(site.url + "/openapi.json") as answer:
        document = await answer.json()
    assert "/v1/things/{thingId}:rename" in document["paths"]
    assert "/v1/internal/things:count" not in document["paths"]


def _standard(**given):
    return {
        "environment": "test", "tls_dir": "/x", "issuer_url": "http://127.0.0.1:1", "allow_development_issuer": True,
        "serves": ["crisis"], "targets": {"crisis": "127.0.0.1:1"}, **given,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"targets": {}}, "HAVEN_TARGET_CRISIS"),
        ({"trusted_proxies": ["10.1.0.0/8"]}, "trusted_proxies"),
        ({"trusted_proxies": ["*"]}, "trusted_proxies"),
        ({"cors_origins": ["*"]}, "cors_origins"),
        ({"cors_origins": ["https://a.example.org/"]}, "cors_origins"),
        ({"public_certificate": "/x.pem"}, "public_certificate"),
        ({"environment": "production"}, "allow_development_issuer"),
        ({"help_burst": 1}, "help_burst"),
        ({"listen_port": 70000}, "listen_port"),
    ],
)
def test_bad_settings_are_refused_by_name(given, named):
    with pytest.raises(ValueError, match=named):
        GatewaySettings(**_standard(**given))


def test_production_needs_no_keys_and_no_database():
    GatewaySettings(**_standard(environment="production", allow_development_issuer=False))


def test_a_service_without_public_methods_cannot_be_served():
    with pytest.raises(SurfaceError, match="nobody"):
        Surface.of(descriptor_set(), ["nobody"])


def test_the_program_refuses_to_start_on_bad_settings():
    env = {"PATH": os.environ["PATH"], "HAVEN_LISTEN_PORT": "x"}
    ended = subprocess.run(
        [sys.executable, "-m", "haven_gateway"], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 78
    assert "HAVEN_LISTEN_PORT" in ended.stderr
    assert "HAVEN_TLS_DIR: required" in ended.stderr


async def test_the_program_serves_and_drains_on_sigterm(pki, issuer, tmp_path):
    env = {
        "PATH": os.environ["PATH"], "HAVEN_ENVIRONMENT": "test", "HAVEN_TLS_DIR": str(pki.issue("gateway")),
        "HAVEN_ISSUER_URL": issuer.url, "HAVEN_ALLOW_DEVELOPMENT_ISSUER": "true", "HAVEN_LISTEN_PORT": "0",
        "HAVEN_SERVES": '["crisis"]', "HAVEN_TARGET_CRISIS": "127.0.0.1:1", "HAVEN_DRAIN_SECONDS": "2",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "haven_gateway", env=env, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            async for line in process.stdout:
                if b"gateway.started" in line:
                    break
            process.send_signal(signal.SIGTERM)
            rest = await process.stdout.read()
            assert await process.wait() == 0
        assert b"gateway.stopped" in rest
    finally:
        if process.returncode is None:
            process.kill()
