"""Tokens: only those that the issuer signed for us, now, and what they say about the caller."""

import base64
import hashlib
import hmac
import json
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from haven.options.v1.options_pb2 import Role

from haven_kit import identity
from haven_kit.clock import FakeClock
from haven_kit.identity import Principal, TokenVerifier
from haven_kit.issuer_keys import IssuerKeys

from .issuer import RSA_KEY, Issuer, refused


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
    public = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
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
