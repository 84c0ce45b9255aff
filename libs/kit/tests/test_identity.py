"""Tokens: only those that the issuer signed for us, now, and what they say about the caller."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import FrozenInstanceError
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from haven.options.v1.options_pb2 import Role

from haven_kit import identity, issuer_keys
from haven_kit.clock import FakeClock
from haven_kit.errors import Unauthenticated, Unavailable
from haven_kit.identity import Principal, TokenVerifier
from haven_kit.issuer_keys import IssuerKeys, IssuerRefused, usable_keys
from haven_kit.testing import eventually

_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """An OpenID provider over real HTTP, whose keys, documents and health the test sets."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"rsa": _RSA}
        self.extra: list[dict[str, Any]] = []
        self.fetches = 0
        self.down = False
        self.moved = False
        self.hanging: asyncio.Event | None = None
        self.raw: bytes | None = None
        self.named: str | None = None
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.add_routes([web.get("/.well-known/openid-configuration", self._discovery), web.get("/keys", self._jwks)])
        app.add_routes([web.get("/elsewhere", self._elsewhere)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _discovery(self, _: web.Request) -> web.Response:
        if self.hanging is not None:
            await self.hanging.wait()
        if self.down:
            raise web.HTTPServiceUnavailable
        return web.json_response({"issuer": self.named or self.url, "jwks_uri": f"{self.url}/keys"})

    async def _elsewhere(self, _: web.Request) -> web.Response:
        return web.Response(body=self.document())

    async def _jwks(self, _: web.Request) -> web.Response:
        if self.moved:
            raise web.HTTPFound("/elsewhere")
        self.fetches += 1
        if self.down:
            raise web.HTTPServiceUnavailable
        return web.Response(body=self.raw if self.raw is not None else self.document())

    def document(self) -> bytes:
        return json.dumps({"keys": [jwk_of(kid, key) for kid, key in self.keys.items()] + self.extra}).encode()

    def token(
        self, clock: FakeClock, kid: str = "rsa", algorithm: str = "RS256", key: Any = None, **claims: Any
    ) -> str:
        now = int(clock.now().timestamp())
        content = {"iss": self.url, "aud": "haven", "sub": "user-1", "iat": now, "exp": now + 600, **claims}
        content = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(content, key or self.keys[kid], algorithm=algorithm, headers={"kid": kid})


def jwk_of(kid: str, key: Any) -> dict[str, Any]:
    kinds: list[tuple[type, Any]] = [
        (rsa.RSAPrivateKey, jwt.algorithms.RSAAlgorithm),
        (ec.EllipticCurvePrivateKey, jwt.algorithms.ECAlgorithm),
        (ed25519.Ed25519PrivateKey, jwt.algorithms.OKPAlgorithm),
    ]
    algorithm = next(algorithm for kind, algorithm in kinds if isinstance(key, kind))
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    await issuer.start()
    yield issuer
    await issuer.stop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def keys(issuer: Issuer, clock: FakeClock) -> AsyncIterator[IssuerKeys]:
    keys = IssuerKeys(issuer.url, clock=clock, allow_development_issuer=True)
    await keys.start()
    yield keys
    await keys.close()


@pytest.fixture
def verifier(keys: IssuerKeys, clock: FakeClock) -> TokenVerifier:
    return TokenVerifier(keys, "haven", clock=clock)


async def refused(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(token)
    return caught.value.reason


async def test_a_token_tells_who_calls(verifier: TokenVerifier, issuer: Issuer, clock: FakeClock) -> None:
    token = issuer.token(clock, roles=["facilitator", "on_call_responder", "astronaut", 7], person_id="p-1")
    principal = await verifier.verify(token)
    assert principal == Principal(
        "user-1", frozenset({Role.ROLE_FACILITATOR, Role.ROLE_ON_CALL_RESPONDER}), person_id="p-1"
    )
    assert principal.token == token
    assert principal.is_staff
    assert not principal.is_service
    assert principal.has(Role.ROLE_BILLER, Role.ROLE_FACILITATOR)
    assert not principal.has(Role.ROLE_BILLER)


async def test_a_token_without_roles_opens_nothing(verifier: TokenVerifier, issuer: Issuer, clock: FakeClock) -> None:
    given: tuple[Any, ...] = (None, "administrator", {"administrator": True}, [])
    for roles in given:
        principal = await verifier.verify(issuer.token(clock, roles=roles))
        assert (principal.roles, principal.is_staff, principal.person_id) == (frozenset(), False, None)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("ES256", ec.generate_private_key(ec.SECP256R1())), ("EdDSA", ed25519.Ed25519PrivateKey.generate())],
)
async def test_the_other_signatures_hold_too(algorithm: str, key: Any, issuer: Issuer, clock: FakeClock) -> None:
    issuer.keys[algorithm] = key
    keys = IssuerKeys(issuer.url, f"{issuer.url}/keys", clock=clock, allow_development_issuer=True)
    await keys.start()
    verifier = TokenVerifier(keys, "haven", clock=clock)
    assert (await verifier.verify(issuer.token(clock, algorithm, algorithm))).id == "user-1"
    await keys.close()


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://elsewhere.example"}, "token_issuer"),
        ({"aud": "another"}, "token_audience"),
        ({"aud": None}, "token_invalid"),
        ({"sub": None}, "token_invalid"),
        ({"sub": ""}, "token_subject"),
        ({"sub": "service:crisis"}, "token_subject"),
        ({"sub": "system:pager"}, "token_subject"),
        ({"exp": None}, "token_invalid"),
        ({"iat": None}, "token_invalid"),
        ({"exp": "soon"}, "token_invalid"),
    ],
)
async def test_a_token_that_is_not_for_us_is_refused(
    verifier: TokenVerifier, issuer: Issuer, clock: FakeClock, claims: dict[str, Any], reason: str
) -> None:
    assert await refused(verifier, issuer.token(clock, **claims)) == reason


@pytest.mark.parametrize(
    ("claim", "offset", "holds"),
    [
        ("exp", -29, True),
        ("exp", -30, False),
        ("iat", 30, True),
        ("iat", 32, False),
        ("nbf", 30, True),
        ("nbf", 32, False),
    ],
)
async def test_times_count_with_thirty_seconds_of_leeway(
    verifier: TokenVerifier, issuer: Issuer, clock: FakeClock, claim: str, offset: int, holds: bool
) -> None:
    times: dict[str, Any] = {claim: int(clock.now().timestamp()) + offset}
    token = issuer.token(clock, **times)
    if holds:
        assert (await verifier.verify(token)).id == "user-1"
    else:
        assert await refused(verifier, token) == ("token_expired" if claim == "exp" else "token_not_yet_valid")


async def test_a_remembered_token_ends_when_it_says(verifier: TokenVerifier, issuer: Issuer, clock: FakeClock) -> None:
    token = issuer.token(clock)
    assert await verifier.verify(token) is await verifier.verify(token)
    clock.advance(timedelta(seconds=631))
    assert await refused(verifier, token) == "token_expired"


async def test_an_unsigned_token_is_refused(verifier: TokenVerifier, issuer: Issuer, clock: FakeClock) -> None:
    signed = issuer.token(clock)
    for header in ({"alg": "none", "kid": "rsa"}, {"alg": "NONE", "kid": "rsa"}):
        forged = b64(json.dumps(header).encode()) + "." + signed.split(".")[1] + "."
        assert await refused(verifier, forged) == "token_invalid"


async def test_the_public_key_is_no_shared_secret(verifier: TokenVerifier, issuer: Issuer, clock: FakeClock) -> None:
    public = _RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signing = b64(b'{"alg":"HS256","kid":"rsa"}') + "." + issuer.token(clock).split(".")[1]
    forged = signing + "." + b64(hmac.digest(public, signing.encode(), hashlib.sha256))
    assert await refused(verifier, forged) == "token_invalid"


async def test_a_changed_token_is_refused(verifier: TokenVerifier, issuer: Issuer, clock: FakeClock) -> None:
    header, _, signature = issuer.token(clock).split(".")
    body = issuer.token(clock, roles=["administrator"]).split(".")[1]
    assert await refused(verifier, f"{header}.{body}.{signature}") == "token_invalid"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "ü.ü.ü", "." * 5, "x" * 20_000])
async def test_what_is_no_token_is_refused(verifier: TokenVerifier, token: str) -> None:
    assert await refused(verifier, token) in ("token_format", "token_size")


async def test_a_new_key_is_taken_when_a_token_comes_with_it(
    verifier: TokenVerifier, issuer: Issuer, clock: FakeClock
) -> None:
    issuer.keys["next"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    clock.advance(timedelta(seconds=11))
    assert (await verifier.verify(issuer.token(clock, "next"))).id == "user-1"


async def test_unknown_keys_do_not_make_us_press_the_issuer(
    verifier: TokenVerifier, issuer: Issuer, clock: FakeClock
) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    clock.advance(timedelta(seconds=11))
    for number in range(50):
        clock.advance(timedelta(milliseconds=100))
        token = issuer.token(clock, f"unknown-{number}", key=stranger)
        assert await refused(verifier, token) == "token_key"
    assert issuer.fetches == 2  # the start's, and one


async def test_a_withdrawn_key_takes_its_tokens_with_it(
    verifier: TokenVerifier, keys: IssuerKeys, issuer: Issuer, clock: FakeClock
) -> None:
    old = issuer.token(clock, exp=int(clock.now().timestamp()) + 9000)
    await verifier.verify(old)
    issuer.keys = {"next": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
    clock.advance(timedelta(seconds=11))
    await verifier.verify(issuer.token(clock, "next"))
    assert await refused(verifier, old) == "token_key"


async def test_while_the_issuer_is_down_its_keys_go_on(
    verifier: TokenVerifier, issuer: Issuer, clock: FakeClock
) -> None:
    issuer.down = True
    clock.advance(timedelta(days=3))
    assert (await verifier.verify(issuer.token(clock))).id == "user-1"


async def test_an_issuer_that_was_never_reached_is_not_the_callers_fault(issuer: Issuer, clock: FakeClock) -> None:
    issuer.down = True
    keys = IssuerKeys(issuer.url, clock=clock, allow_development_issuer=True)
    await keys.start()
    verifier = TokenVerifier(keys, "haven", clock=clock)
    assert not keys.ready
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token(clock))
    issuer.down = False
    clock.advance(timedelta(seconds=11))
    assert (await verifier.verify(issuer.token(clock))).id == "user-1"
    await keys.close()


async def test_an_issuer_that_hangs_does_not_hold_up_the_start(
    issuer: Issuer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_keys, "_FETCH_TIMEOUT_SECONDS", 0.1)
    issuer.hanging = asyncio.Event()
    keys = IssuerKeys(issuer.url, clock=clock, allow_development_issuer=True)
    async with asyncio.timeout(5):
        await keys.start()
    assert not keys.ready
    issuer.hanging.set()
    await keys.close()


async def test_keys_outlive_a_restart_without_the_issuer(
    keys: IssuerKeys, issuer: Issuer, clock: FakeClock, tmp_path: Path
) -> None:
    cache = tmp_path / "jwks.json"
    first = IssuerKeys(issuer.url, clock=clock, allow_development_issuer=True, cache_file=cache)
    await first.start()
    await first.close()
    issuer.down = True
    again = IssuerKeys(issuer.url, clock=clock, allow_development_issuer=True, cache_file=cache)
    await again.start()
    assert (await TokenVerifier(again, "haven", clock=clock).verify(issuer.token(clock))).id == "user-1"
    await again.close()
    cache.write_text("damaged")
    broken = IssuerKeys(issuer.url, clock=clock, allow_development_issuer=True, cache_file=cache)
    await broken.start()
    assert not broken.ready
    await broken.close()


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "RSA"}]}', b"x" * 300_000]
)
async def test_a_damaged_key_document_changes_nothing(
    verifier: TokenVerifier, keys: IssuerKeys, issuer: Issuer, clock: FakeClock, raw: bytes
) -> None:
    issuer.raw = raw
    clock.advance(timedelta(seconds=11))
    assert await refused(verifier, issuer.token(clock, "unknown", key=_RSA)) == "token_key"
    assert issuer.fetches == 2
    assert (await verifier.verify(issuer.token(clock))).id == "user-1"


async def test_a_key_document_that_is_too_large_or_elsewhere_is_not_taken(
    verifier: TokenVerifier, issuer: Issuer, clock: FakeClock
) -> None:
    issuer.keys["next"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    issuer.raw = issuer.document() + b" " * 300_000
    clock.advance(timedelta(seconds=11))
    assert await refused(verifier, issuer.token(clock, "next")) == "token_key"
    issuer.raw, issuer.moved = None, True
    clock.advance(timedelta(seconds=11))
    assert await refused(verifier, issuer.token(clock, "next")) == "token_key"
    issuer.moved = False
    clock.advance(timedelta(seconds=11))
    assert (await verifier.verify(issuer.token(clock, "next"))).id == "user-1"


async def test_keys_are_refreshed_in_the_background(keys: IssuerKeys, issuer: Issuer, clock: FakeClock) -> None:
    issuer.keys["next"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    before = keys.generation
    await clock.run(timedelta(seconds=300))
    await eventually(lambda: keys.generation == before + 1)


async def test_a_discovery_document_of_another_issuer_is_not_believed(issuer: Issuer, clock: FakeClock) -> None:
    issuer.named = "https://elsewhere.example"
    keys = IssuerKeys(issuer.url, clock=clock, allow_development_issuer=True)
    await keys.start()
    assert not keys.ready
    await keys.close()


@pytest.mark.parametrize(
    ("url", "allowed", "refused_"),
    [
        ("https://id.example.org", False, False),
        ("http://127.0.0.1:9000", True, False),
        ("http://localhost:9000", True, False),
        ("http://127.0.0.1:9000", False, True),
        ("http://id.example.org", True, True),
        ("http://127.0.0.1.example.org", True, True),
    ],
)
def test_plain_http_is_for_a_development_issuer_on_loopback(url: str, allowed: bool, refused_: bool) -> None:
    for arguments in ((url, None), ("https://id.example.org", url)):
        if refused_:
            with pytest.raises(IssuerRefused):
                IssuerKeys(*arguments, allow_development_issuer=allowed)
        else:
            IssuerKeys(*arguments, allow_development_issuer=allowed)


def test_keys_for_other_uses_and_shared_secrets_are_left_out() -> None:
    document = {
        "keys": [
            {**jwk_of("a", _RSA), "use": "enc"},
            {"kty": "oct", "kid": "b", "k": "c2VjcmV0"},
            {**jwk_of("c", ec.generate_private_key(ec.SECP384R1()))},
            {**jwk_of("d", _RSA), "alg": "PS256"},
            "nonsense",
            jwk_of("e", _RSA),
        ]
    }
    assert list(usable_keys(json.dumps(document).encode())) == ["e"]


def test_principals_of_the_system_are_not_people() -> None:
    assert identity.system("pager") == Principal("system:pager")
    assert identity.service("crisis").service == "crisis"
    assert identity.system("pager").is_service
    assert identity.service("crisis").is_service
    assert not identity.system("pager").is_staff


def test_a_principal_does_not_show_its_token_and_does_not_change() -> None:
    principal = Principal("u", token="secret-token")
    assert "secret-token" not in repr(principal)
    with pytest.raises(FrozenInstanceError):
        principal.id = "other"  # type: ignore[misc]  # that it cannot is what is tested


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
