"""The issuer's keys: found, renewed and kept, and never more asked for than needed."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from haven_kit import issuer_keys
from haven_kit.clock import FakeClock
from haven_kit.errors import Unavailable
from haven_kit.identity import TokenVerifier
from haven_kit.issuer_keys import IssuerKeys, IssuerRefused, usable_keys
from haven_kit.testing import eventually

from .issuer import RSA_KEY, Issuer, jwk_of, refused


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
    assert await refused(verifier, issuer.token(clock, "unknown", key=RSA_KEY)) == "token_key"
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
            {**jwk_of("a", RSA_KEY), "use": "enc"},
            {"kty": "oct", "kid": "b", "k": "c2VjcmV0"},
            {**jwk_of("c", ec.generate_private_key(ec.SECP384R1()))},
            {**jwk_of("d", RSA_KEY), "alg": "PS256"},
            "nonsense",
            jwk_of("e", RSA_KEY),
        ]
    }
    assert list(usable_keys(json.dumps(document).encode())) == ["e"]
