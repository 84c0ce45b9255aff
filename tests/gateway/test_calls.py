"""Requests to RPCs and back: paths, queries, bodies, preconditions, repetition, paging."""

from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from haven_kit import errors

from .contracts import message

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
Thing = message("Thing")


async def test_a_path_parameter_reaches_the_rpc_and_the_answer_is_public_json(site):
    site.probe.answers["GetThing"] = Thing(thing_id=ID, name="kite", color=1, etag="v3", weight=2**60)
    status, headers, body = await site.call("GET", f"/v1/things/{ID}")
    assert status == 200
    assert body == {"thingId": ID, "name": "kite", "color": "COLOR_BLUE", "etag": "v3", "weight": str(2**60)}
    assert headers["ETag"] == '"v3"'
    assert site.probe.calls[0][1].thing_id == ID


async def test_a_query_takes_scalars_lists_times_and_nested_fields_in_either_case(site):
    await site.call(
        "GET",
        "/v1/things?pageSize=7&page_token=a%20b&colors=COLOR_BLUE&colors=2&since=2026-03-01T17:00:00Z"
        "&filter.startsWith=x&filter.sizes=1&filter.sizes=2&archived=false",
    )
    request = site.probe.calls[0][1]
    assert (request.page_size, request.page_token, list(request.colors)) == (7, "a b", [1, 2])
    assert request.since.ToJsonString() == "2026-03-01T17:00:00Z"
    assert (request.filter.starts_with, list(request.filter.sizes)) == ("x", [1, 2])
    assert request.HasField("archived")
    assert not request.archived


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("nope=1", "nope", "unknown_parameter"),
        ("%20=1", "query", "unknown_parameter"),
        ("pageSize=x", "pageSize", "type.integer"),
        ("pageSize=1&pageSize=2", "pageSize", "duplicate_parameter"),
        ("colors=COLOR_GREEN", "colors", "type.enum"),
        ("archived=maybe", "archived", "type.boolean"),
        ("since=yesterday", "since", "type.timestamp"),
        ("filter.nope=1", "query", "unknown_parameter"),
        ("pageToken=%ff", "query", "malformed"),
        ("pageToken", "query", "malformed"),
    ],
)
async def test_a_bad_query_is_refused_by_name_and_rule(site, query, field, rule):
    status, _, body = await site.call("GET", f"/v1/things?{query}")
    assert (status, body["type"]) == (400, "/problems/invalid")
    assert [(v["field"], v["rule"]) for v in body["violations"]] == [(field, rule)]
    assert site.probe.calls == []


async def test_a_post_takes_its_body_and_a_custom_verb_its_path(site):
    await site.call("POST", "/v1/things", json={"name": "kite", "color": "COLOR_RED"})
    await site.call("POST", f"/v1/things/{ID}:rename", json={"name": "boat"})
    assert [(name, request.name) for name, request, _ in site.probe.calls] == [
        ("CreateThing", "kite"),
        ("RenameThing", "boat"),
    ]
    assert site.probe.calls[1][1].thing_id == ID


async def test_a_body_of_one_field_leaves_the_others_to_path_and_query(site):
    await site.call("PATCH", f"/v1/things/{ID}?etag=v1", json={"name": "boat"})
    request = site.probe.calls[0][1]
    assert (request.thing_id, request.thing.name, request.etag) == (ID, "boat", "v1")


async def test_an_empty_body_is_an_empty_message(site):
    status, _, _ = await site.call("POST", f"/v1/things/{ID}:rename")
    assert status == 200
    assert site.probe.calls[0][1].thing_id == ID


async def test_the_same_id_in_path_and_body_is_fine_and_another_is_refused(site):
    status, _, _ = await site.call("POST", f"/v1/things/{ID}:rename", json={"thingId": ID})
    assert status == 200
    status, _, body = await site.call("POST", f"/v1/things/{ID}:rename", json={"thingId": "other"})
    assert (status, body["violations"][0]["rule"]) == (400, "path_mismatch")


async def test_an_encoded_path_parameter_is_decoded_once(site):
    address = URL(site.url + "/v1/things/a%2520b%3Ac%2F:rename", encoded=True)
    async with site.http.post(address, headers=site.headers()) as answer:
        assert answer.status == 200
    assert site.probe.calls[0][1].thing_id == "a%20b:c/"


async def test_an_idempotency_key_is_passed_on_bare_or_quoted_and_never_on_reads(site):
    for key in ("k-1", '"k-1"'):
        await site.call("POST", "/v1/things", json={}, headers=site.headers(Idempotency_Key=key))
    await site.call("GET", f"/v1/things/{ID}", headers=site.headers(Idempotency_Key="k-1"))
    assert [metadata.get("idempotency-key") for _, _, metadata in site.probe.calls] == ["k-1", "k-1", None]


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "ü"])
async def test_a_malformed_idempotency_key_is_refused(site, key):
    status, _, body = await site.call("POST", "/v1/things", json={}, headers=site.headers(Idempotency_Key=key))
    assert (status, body["violations"][0]["rule"]) == (400, "idempotency_key.format")
    assert site.probe.calls == []


async def test_if_match_becomes_the_requests_etag(site):
    await site.call("DELETE", f"/v1/things/{ID}", headers=site.headers(If_Match='"v7"'))
    await site.call("DELETE", f"/v1/things/{ID}", headers=site.headers(If_Match="*"))
    assert [request.etag for _, request, _ in site.probe.calls] == ["v7", "*"]


@pytest.mark.parametrize(
    ("method", "path", "value", "status"),
    [
        ("DELETE", f"/v1/things/{ID}", 'W/"v7"', 412),
        ("DELETE", f"/v1/things/{ID}", "v7", 400),
        ("DELETE", f"/v1/things/{ID}?etag=v6", '"v7"', 400),
        ("GET", f"/v1/things/{ID}", '"v7"', 400),
    ],
)
async def test_an_if_match_that_cannot_hold_is_refused(site, method, path, value, status):
    assert (await site.call(method, path, headers=site.headers(If_Match=value)))[0] == status
    assert site.probe.calls == []


async def test_a_stale_etag_is_412(site):
    site.probe.answers["DeleteThing"] = errors.Stale()
    status, _, body = await site.call("DELETE", f"/v1/things/{ID}", headers=site.headers(If_Match='"v1"'))
    assert (status, body["type"]) == (412, "/problems/stale")


@pytest.mark.parametrize(
    ("value", "status"), [('"v3"', 304), ('W/"v3"', 304), ('"v1", "v3"', 304), ("*", 304), ('"v2"', 200)]
)
async def test_if_none_match_saves_the_body(site, value, status):
    site.probe.answers["GetThing"] = Thing(etag="v3")
    found, headers, body = await site.call("GET", f"/v1/things/{ID}", headers=site.headers(If_None_Match=value))
    assert found == status
    assert headers["ETag"] == '"v3"'
    assert (body is None) == (status == 304)


async def test_a_list_links_to_its_next_page_and_the_last_does_not(site):
    page = message("ListThingsResponse")
    site.probe.answers["ListThings"] = page(next_page_token="t/2=", things=[Thing(name="a")])
    _, headers, body = await site.call("GET", "/v1/things?pageSize=1&pageToken=t1")
    assert headers["Link"] == '</v1/things?pageSize=1&pageToken=t%2F2%3D>; rel="next"'
    assert body["nextPageToken"] == "t/2="
    site.probe.answers["ListThings"] = page()
    _, headers, body = await site.call("GET", "/v1/things")
    assert "Link" not in headers
    assert body == {"things": [], "nextPageToken": ""}


async def test_head_answers_like_get_without_a_body(site):
    site.probe.answers["GetThing"] = Thing(etag="v3")
    status, headers, body = await site.call("HEAD", f"/v1/things/{ID}")
    assert (status, headers["ETag"], body) == (200, '"v3"', None)


async def test_the_services_token_and_trace_reach_the_service(site):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    _, headers, _ = await site.call("GET", f"/v1/things/{ID}", headers=site.headers(traceparent=parent))
    metadata = site.probe.calls[0][2]
    assert metadata["authorization"].startswith("Bearer ey")
    assert metadata["traceparent"].split("-")[1] == headers["traceparent"].split("-")[1] == headers["X-Request-Id"]
    assert headers["X-Request-Id"] == "0af7651916cd43dd8448eb211c80319c"


async def test_every_shape_survives_the_round_trip(site):
    shapes = {
        "aDouble": 1.5, "anInt64": "9007199254740993", "someBytes": "AAEC/w==", "aColor": "COLOR_RED",
        "inner": {"aString": "é"}, "words": {"a": "b"}, "byBool": {"true": {"name": "x", "size2x": 2}},
        "choiceLeaf": {"name": "y", "size2x": 0}, "at": "2026-03-01T17:00:00.000000001Z", "lasting": "-1.500s",
        "mask": "aB,c", "free": {"k": [1.0, None, {"z": "q"}]}, "anyJson": None, "list": [True], "wrappedInt64": "5",
    }  # fmt: skip

    async def echo(request, _):
        return request

    site.probe.answers["EchoShapes"] = echo
    status, _, body = await site.call("POST", "/v1/shapes:echo", json=shapes)
    assert status == 200
    assert {key: body[key] for key in shapes if key != "inner"} == {k: v for k, v in shapes.items() if k != "inner"}
    assert body["inner"]["aString"] == "é"


async def test_a_call_is_cancelled_when_its_client_leaves(site):
    entered = asyncio.Event()

    async def slow(request, _):
        entered.set()
        await asyncio.Event().wait()

    site.probe.answers["GetThing"] = slow
    request = asyncio.ensure_future(site.call("GET", f"/v1/things/{ID}"))
    await asyncio.wait_for(entered.wait(), 5)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await asyncio.wait_for(site.probe.cancelled.wait(), 5)


async def test_a_call_for_help_goes_on_when_its_client_leaves(site):
    entered, release, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(request, _):
        entered.set()
        await release.wait()
        done.set()

    site.crisis.answers["RaiseSignal"] = slow
    request = asyncio.ensure_future(site.call("POST", "/v1/signals", json={"note": "please"}))
    await asyncio.wait_for(entered.wait(), 5)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    assert not site.crisis.cancelled.is_set()
    release.set()
    await asyncio.wait_for(done.wait(), 5)
    assert not site.crisis.cancelled.is_set()


async def test_a_call_for_help_can_always_be_repeated_towards_its_service(site):
    await site.call("POST", "/v1/signals", json={})
    await site.call("POST", "/v1/signals", json={}, headers=site.headers(Idempotency_Key="mine"))
    await site.call("POST", "/v1/things", json={})
    keys = [metadata.get("idempotency-key", "") for _, _, metadata in (*site.crisis.calls, *site.probe.calls)]
    assert len(keys[0]) == 36
    assert keys[1:] == ["mine", ""]
