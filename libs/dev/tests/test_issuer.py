"""Signing in at the development issuer, as a browser does."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import pytest
import pytest_asyncio

from haven_dev import sign_in
from haven_dev.issuer import AUDIENCE, Issuer

BACK = "http://127.0.0.1:8081/console/"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def issuer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Issuer]:
    made = Issuer(tmp_path_factory.mktemp("issuer"))
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def asking(verifier: str, **more: str) -> dict[str, str]:
    return {
        "client_id": "console", "redirect_uri": BACK, "response_type": "code", "scope": "openid", "state": "s1",
        "nonce": "n1", "code_challenge": sign_in.challenge(verifier), "code_challenge_method": "S256", **more,
    }  # fmt: skip


async def signed_in(issuer: Issuer, http: aiohttp.ClientSession, verifier: str) -> dict[str, list[str]]:
    """What the application finds in the address that the user comes back to."""
    async with http.get(f"{issuer.url}/authorize", params=asking(verifier)) as shown:
        text = await shown.text()
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', text)
    form = [*hidden, ("role", "on_call_responder"), ("sub", "first")]
    async with http.post(f"{issuer.url}/authorize", data=form, allow_redirects=False) as decided:
        assert decided.status == 303
        target = decided.headers["Location"]
    assert target.startswith(BACK)
    return parse_qs(urlsplit(target).query)


async def redeem(issuer: Issuer, http: aiohttp.ClientSession, code: str, **form: str) -> tuple[int, dict[str, str]]:
    given = {"grant_type": "authorization_code", "client_id": "console", "redirect_uri": BACK, "code": code, **form}
    async with http.post(f"{issuer.url}/token", data=given, headers={"Origin": "http://127.0.0.1:8081"}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        return answer.status, await answer.json()


async def test_a_browser_signs_in_with_pkce(issuer: Issuer, http: aiohttp.ClientSession) -> None:
    verifier = secrets.token_urlsafe(48)
    back = await signed_in(issuer, http, verifier)
    assert (back["state"], back["iss"]) == (["s1"], [issuer.url])
    status, tokens = await redeem(issuer, http, back["code"][0], code_verifier=verifier)
    assert status == 200
    async with http.get(f"{issuer.url}/jwks") as answer:
        key = jwt.PyJWKSet.from_dict(await answer.json()).keys[0]
    access = jwt.decode(tokens["access_token"], key, ["ES256"], audience=AUDIENCE, issuer=issuer.url)
    assert (access["sub"], access["roles"]) == ("first", ["on_call_responder"])
    identity = jwt.decode(tokens["id_token"], key, ["ES256"], audience="console", issuer=issuer.url)
    assert (identity["sub"], identity["nonce"]) == ("first", "n1")
    again = await redeem(issuer, http, back["code"][0], code_verifier=verifier)
    assert (again[0], again[1]["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "wrong", [{"code_verifier": "guessed"}, {"client_id": "another"}, {"redirect_uri": "http://127.0.0.1:1/"}]
)
async def test_a_code_is_good_for_its_owner_alone(
    issuer: Issuer, http: aiohttp.ClientSession, wrong: dict[str, str]
) -> None:
    verifier = secrets.token_urlsafe(48)
    back = await signed_in(issuer, http, verifier)
    status, body = await redeem(issuer, http, back["code"][0], **({"code_verifier": verifier} | wrong))
    assert (status, body["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect_uri": "https://evil.example/"},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
        {"response_type": "token"},
        {"client_id": ""},
    ],
)
async def test_a_bad_request_is_not_redirected(
    issuer: Issuer, http: aiohttp.ClientSession, wrong: dict[str, str]
) -> None:
    async with http.get(f"{issuer.url}/authorize", params=asking("v", **wrong), allow_redirects=False) as answer:
        assert answer.status == 400


async def test_discovery_names_what_a_browser_needs(issuer: Issuer, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{issuer.url}/.well-known/openid-configuration") as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        found = await answer.json()
    assert found["authorization_endpoint"] == f"{issuer.url}/authorize"
    assert found["code_challenge_methods_supported"] == ["S256"]
    async with http.options(f"{issuer.url}/token", headers={"Origin": "http://127.0.0.1:8081"}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_a_page_holds_nothing_it_was_not_given() -> None:
    asked = sign_in.Request.of(asking("v", state='"><script>'))
    assert "<script>" not in sign_in.page(asked, ["biller"])
