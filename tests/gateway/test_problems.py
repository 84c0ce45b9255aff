"""Every way a request can fail, as a problem that names the rule and repeats nothing that was sent."""

from __future__ import annotations

import asyncio

import pytest

from haven_edge.help import Help
from haven_edge.problems import KINDS
from haven_edge.surface import Surface
from haven_kit import errors

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
CANARY = "zebra-canary-7731"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.Invalid("a_field.inner_name[2].x", "string.max_len", "is too long"), 400, "invalid"),
        (errors.Unauthenticated("Sign in."), 401, "unauthenticated"),
        (errors.Denied("No."), 403, "denied"),
        (errors.NotFound("thing"), 404, "not-found"),
        (errors.Refused("thing.closed", "The thing is closed."), 409, "refused"),
        (errors.Conflict("thing.exists", "There is one."), 409, "conflict"),
        (errors.Conflict("idempotency_key_reused", "Used."), 422, "key-reused"),
        (errors.Stale(), 412, "stale"),
        (errors.Overloaded(2.5), 429, "too-many-requests"),
        (errors.Unavailable("The thing service", 7), 503, "unavailable"),
        (errors.DeadlineExceeded("Late."), 504, "timeout"),
        (errors.Internal(), 500, "internal"),
        (errors.Unimplemented("No."), 501, "unimplemented"),
    ],
)
async def test_what_a_service_says_becomes_a_problem(site, error, status, kind):
    site.probe.answers["CreateThing"] = error
    found, headers, body = await site.call("POST", "/v1/things", json={"name": CANARY})
    assert (found, body["status"], body["type"]) == (status, status, f"/problems/{kind}")
    assert headers["Content-Type"] == "application/problem+json"
    assert body["trace_id"] == headers["X-Request-Id"]
    assert CANARY not in str(body) + str(headers)
    assert "help" not in body


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.Internal(), "Something went wrong on our side. Try again."),
        (errors.DeadlineExceeded("Late."), "It was not answered in time. Look whether it was done, then try again."),
    ],
)
async def test_what_people_read_is_for_people_and_the_page_of_the_problem_for_developers(site, error, told):
    site.probe.answers["CreateThing"] = error
    _, _, body = await site.call("POST", "/v1/things", json={})
    assert body["detail"] == told
    async with site.http.get(site.url + body["type"]) as page:
        assert "Idempotency-Key" in await page.text()


async def test_violations_of_a_service_are_in_public_case(site):
    site.probe.answers["CreateThing"] = errors.Invalid("a_field.inner_name[2].size_2x", "string.max_len", "is too long")
    _, _, body = await site.call("POST", "/v1/things", json={})
    assert body["violations"] == [
        {"field": "aField.innerName[2].size2x", "rule": "string.max_len", "message": "is too long"}
    ]


async def test_a_map_key_is_not_repeated(site):
    site.probe.answers["CreateThing"] = errors.Invalid(f'words["{CANARY}"]', "string.max_len", "is too long")
    _, _, body = await site.call("POST", "/v1/things", json={})
    assert body["violations"][0]["field"] == "words[]"


async def test_retry_after_is_whole_seconds_rounded_up(site):
    site.probe.answers["CreateThing"] = errors.Overloaded(2.2)
    assert (await site.call("POST", "/v1/things", json={}))[1]["Retry-After"] == "3"
    site.probe.answers["CreateThing"] = errors.Unavailable("It", 0.1)
    assert (await site.call("POST", "/v1/things", json={}))[1]["Retry-After"] == "1"


async def test_a_refusal_names_its_rule(site):
    site.probe.answers["CreateThing"] = errors.Refused("thing.closed", "The thing is closed.")
    _, _, body = await site.call("POST", "/v1/things", json={})
    assert (body["rule"], body["detail"]) == ("thing.closed", "The thing is closed.")


async def test_a_crash_behind_tells_nothing(site):
    async def crash(request, _):
        raise RuntimeError(CANARY)

    site.probe.answers["CreateThing"] = crash
    status, _, body = await site.call("POST", "/v1/things", json={})
    assert status == 500
    assert CANARY not in str(body)
    assert set(body) == {"type", "title", "status", "detail", "trace_id"}


async def test_a_crash_here_tells_nothing(site):
    from .contracts import message

    site.probe.answers["GetThing"] = message("Thing")()
    site.probe.answers["GetThing"].made_at.seconds = 10**13  # no RFC 3339 time can say it
    status, _, body = await site.call("GET", f"/v1/things/{ID}")
    assert (status, body["type"]) == (500, "/problems/internal")


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "kind"),
    [
        ("GET", "/v1/nothing", {}, 404, "not-found"),
        ("GET", "/elsewhere", {}, 404, "not-found"),
        ("GET", "/v1/things/%ff", {}, 404, "not-found"),
        ("GET", f"/v1/things/{ID}:fly", {}, 404, "not-found"),
        ("PUT", "/v1/things", {}, 405, "method-not-allowed"),
        ("GET", "/v1/internal/things:count", {}, 404, "not-found"),
        ("GET", f"/v1/things/{ID}", {"accept": "text/html"}, 406, "not-acceptable"),
        ("GET", f"/v1/things/{ID}", {"accept": "application/json;q=0"}, 406, "not-acceptable"),
        ("GET", "/v1/things:watch", {"accept": "application/json"}, 406, "not-acceptable"),
        ("POST", "/v1/things", {"data": b"{}", "content_type": "text/plain"}, 415, "unsupported-media-type"),
        ("POST", "/v1/things", {"data": b"{", "content_type": "application/json"}, 400, "malformed"),
        ("POST", "/v1/things", {"data": b'{"name": "\xff"}', "content_type": "application/json"}, 400, "malformed"),
        ("POST", "/v1/things", {"data": b"[]", "content_type": "application/json"}, 400, "invalid"),
        ("POST", "/v1/things", {"data": b"NaN", "content_type": "application/json"}, 400, "malformed"),
        ("POST", "/v1/things?a=1", {"data": b"{}", "content_type": "application/json"}, 400, "invalid"),
        ("GET", f"/v1/things/{ID}", {"data": b"{}", "content_type": "application/json"}, 400, "malformed"),
    ],
)
async def test_what_http_itself_refuses(site, method, path, options, status, kind):
    names = {"accept": "Accept", "content_type": "Content-Type"}
    headers = site.headers() | {names[k]: v for k, v in options.items() if k in names}
    found, answered, body = await site.call(method, path, data=options.get("data"), headers=headers)
    assert (found, body["type"]) == (status, f"/problems/{kind}")
    assert answered["Content-Type"].startswith("application/problem+json")
    assert site.probe.calls == []


async def test_405_tells_what_is_allowed(site):
    assert (await site.call("PUT", "/v1/things"))[1]["Allow"] == "GET, HEAD, POST"


async def test_json_with_a_character_set_is_json(site):
    headers = site.headers(Content_Type="application/json; charset=UTF-8")
    assert (await site.call("POST", "/v1/things", data=b"{}", headers=headers))[0] == 200


async def test_a_body_nested_too_deep_is_refused(site):
    deep = b'{"free":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}"
    headers = site.headers(Content_Type="application/json")
    status, _, body = await site.call("POST", "/v1/shapes:echo", data=deep, headers=headers)
    assert (status, body["type"]) == (400, "/problems/malformed")
    wide = b'{"leaves":[' + b",".join([b"{}"] * 200) + b"]}"
    assert (await site.call("POST", "/v1/shapes:echo", data=wide, headers=headers))[0] == 200


async def test_an_unknown_field_is_named_and_its_value_is_not(site):
    status, _, body = await site.call("POST", "/v1/things", json={"nickname": CANARY, f"{CANARY} {CANARY}": 1})
    assert status == 400
    assert [v["field"] for v in body["violations"]] == ["nickname", ""]
    assert CANARY not in str(body)


async def test_signing_in(site):
    async def status_of(authorization):
        headers = {"Authorization": authorization} if authorization else {}
        return await site.call("GET", f"/v1/things/{ID}", headers=headers)

    expired = site.issuer.token("participant", lifetime_s=-3600)
    stranger = site.issuer.sign({"sub": "x", "roles": ["participant"], "aud": "other"})
    for bad in ("", "Basic abc", "Bearer ", "Bearer abc", f"Bearer {expired}", f"Bearer {stranger}"):
        status, headers, body = await status_of(bad)
        assert (status, body["type"]) == (401, "/problems/unauthenticated"), bad
        assert headers["WWW-Authenticate"].startswith("Bearer")
        assert body["rule"].startswith("token_")
    assert (await status_of(f"Bearer {site.issuer.token('participant')}"))[0] == 200


async def test_a_role_that_the_contract_does_not_open_is_refused_before_the_service(site):
    status, _, body = await site.call("GET", f"/v1/things/{ID}", headers=site.headers("facilitator"))
    assert (status, body["type"]) == (403, "/problems/denied")
    assert site.probe.calls == []
    assert (await site.call("GET", f"/v1/things/{ID}", headers=site.headers("biller")))[0] == 200


@pytest.mark.parametrize("break_it", ["no token", "wrong role", "down", "internal", "late"])
async def test_whoever_calls_for_help_in_vain_is_told_how_to_get_it(site, break_it):
    headers = site.headers("facilitator" if break_it == "wrong role" else "participant")
    if break_it == "no token":
        headers = {}
    site.crisis.answers["RaiseSignal"] = {
        "down": errors.Unavailable("The crisis service"),
        "internal": errors.Internal(),
        "late": errors.DeadlineExceeded("Late."),
    }.get(break_it)
    status, _, body = await site.call("POST", "/v1/signals", json={}, headers=headers)
    assert status >= 400
    assert "988" in body["help"]["text"]
    assert "911" in body["help"]["text"]
    assert [contact["call"] for contact in body["help"]["contacts"]] == ["988", "911"]


@pytest.mark.parametrize(
    ("path", "data", "headers"),
    [
        ("/v1/signals", b'{"note": "please", "newerField": 1}', {"Content-Type": "application/json"}),
        ("/v1/signals", b'{"note": "please"}', {"Content-Type": "text/plain"}),
        ("/v1/signals?utm=1", b'{"note": "please"}', {"Accept": "text/html"}),
        ("/v1/signals", b'{"note": "please"}', {"Idempotency-Key": "not visible"}),
    ],
)
async def test_nobody_is_refused_help_for_the_form_of_the_request(site, path, data, headers):
    status, _, _ = await site.call("POST", path, data=data, headers=site.headers() | headers)
    assert status == 200
    assert site.crisis.calls[0][1].note == "please"
    assert len(site.crisis.calls[0][2]["idempotency-key"]) == 36


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"{", ""),
        (b"\xff\x00", ""),
        (b"[]", ""),
        (b"[" * 5000, ""),
        (b'{"note": 1}', ""),
        (b'{"note": {"a": [[]]}, "x": "y"}', ""),
        (b'{"note": "ple\\u0000ase"}', "please"),
    ],
)
async def test_what_cannot_be_read_in_a_call_for_help_is_left_out(site, data, note):
    status, _, _ = await site.call("POST", "/v1/signals", data=data)
    assert status == 200
    assert site.crisis.calls[0][1].note == note


async def test_help_is_told_too_when_the_crisis_service_is_gone(open_site):
    async with open_site(default_deadline_seconds=2) as site:
        await site.crisis.stop()
        status, _, body = await site.call("POST", "/v1/signals", json={})
        assert status in (503, 504)
        assert "988" in body["help"]["text"]


async def test_a_late_answer_is_504(open_site):
    async with open_site(default_deadline_seconds=0.3) as site:

        async def never(request, _):
            await asyncio.Event().wait()

        site.probe.answers["GetThing"] = never
        status, _, body = await site.call("GET", f"/v1/things/{ID}")
        assert (status, body["type"]) == (504, "/problems/timeout")


async def test_every_kind_of_problem_has_a_page(site):
    for kind in KINDS:
        async with site.http.get(f"{site.url}/problems/{kind.replace('_', '-')}") as answer:
            assert answer.status == 200
            assert KINDS[kind].advice in await answer.text()
    async with site.http.get(f"{site.url}/problems/other") as answer:
        assert answer.status == 404


def test_the_calls_for_help_are_in_the_contracts():
    facts = Help.load()
    public = {method.full_name for method in Surface.of_haven().methods}
    assert facts.calls_for_help <= public
    assert all(any(name.startswith(prefix) for name in public) for prefix in facts.shown_on)
    assert all(name.startswith(facts.shown_on) for name in facts.calls_for_help)
