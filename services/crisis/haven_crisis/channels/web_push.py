"""Notifications of the console: Web Push (RFC 8030), sealed for the browser (RFC 8291), signed by us (RFC 8292)."""

from __future__ import annotations

import base64
import os
from datetime import timedelta
from urllib.parse import urlsplit

import jwt
import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.adapter import code_text
from haven_crisis.channels.http import Http
from haven_crisis.channels.outcome import Outcome, failed
from haven_crisis.directory import Channel
from haven_crisis.settings import CrisisSettings
from haven_kit.clock import Clock

KEEP = timedelta(minutes=30)
"""How long a push service holds a page for a browser that is away. Others have long been paged by then."""
SIGNED_FOR = timedelta(hours=12)
"""RFC 8292 section 2 allows 24 hours at most."""
SIZE = 1024
"""Every message is made this long, so that its length tells nothing."""
_RECORD = 4096
_GONE = (404, 410)


class WebPush:
    """Pages to browsers."""

    def __init__(self, http: Http, clock: Clock, settings: CrisisSettings) -> None:
        self._http = http
        self._clock = clock
        self._contact = settings.web_push_contact
        key = settings.web_push_key
        self._key = private_key(key.get_secret_value()) if key else None
        self._signed: dict[str, tuple[float, str]] = {}

    async def page(self, channel: Channel, page: PageText) -> Outcome:
        """Push the page. The console's service worker shows it, and offers to take the alert."""
        if not page.alert_id:
            # With a code, it offers nothing to take.
            return await self._push(channel, {"title": page.title, "code": page.page_id})
        told = {"title": page.title, "link": page.link, "drill": page.drill, "alert_id": page.alert_id}
        return await self._push(channel, {**told, "resent": page.resent})

    async def code(self, channel: Channel, code: str) -> Outcome:
        """Push the code."""
        return await self._push(channel, {"title": code_text(code), "code": code})

    async def _push(self, channel: Channel, told: dict[str, object]) -> Outcome:
        if self._key is None:
            return failed("not set up")
        browser, _, secret = channel.secret.partition(".")
        body = seal(
            orjson.dumps(told), raw(browser), raw(secret), ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        )
        headers = {
            "authorization": self._authorization(self._key, channel.address),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(int(KEEP.total_seconds())),
            "urgency": "high",
        }
        outcome = await self._http.post(channel.address, headers=headers, data=body)
        gone = outcome.reason in {f"status {status}" for status in _GONE}
        return failed("browser gone") if gone else outcome

    def _authorization(self, key: ec.EllipticCurvePrivateKey, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        audience = f"{parts.scheme}://{parts.netloc}"
        now = self._clock.now().timestamp()
        ends, held = self._signed.get(audience, (0.0, ""))
        if ends - now < SIGNED_FOR.total_seconds() / 2:
            ends = now + SIGNED_FOR.total_seconds()
            claims = {"aud": audience, "exp": int(ends), "sub": self._contact}
            held = f"vapid t={jwt.encode(claims, key, algorithm='ES256')}, k={text(public_bytes(key))}"
            self._signed[audience] = (ends, held)
        return held


def seal(
    plain: bytes, browser: bytes, secret: bytes, ours: ec.EllipticCurvePrivateKey, salt: bytes, size: int = SIZE
) -> bytes:
    """A message that the browser alone can read (RFC 8291, in the one record of RFC 8188).

    `browser` is its public key, `secret` its authentication secret; `ours` and `salt` are new for each message. Raises
    ValueError for keys that are none.
    """
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), browser)
    point = public_bytes(ours)
    shared = ours.exchange(ec.ECDH(), public)
    keying = _derive(secret, shared, b"WebPush: info\0" + browser + point, 32)
    key = _derive(salt, keying, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(salt, keying, b"Content-Encoding: nonce\0", 12)
    padded = (plain + b"\x02").ljust(size, b"\0")
    header = salt + _RECORD.to_bytes(4, "big") + bytes([len(point)]) + point
    return header + AESGCM(key).encrypt(nonce, padded, None)


def _derive(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def private_key(written: str) -> ec.EllipticCurvePrivateKey:
    """The key in 32 bytes of base64url."""
    return ec.derive_private_key(int.from_bytes(raw(written), "big"), ec.SECP256R1())


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half, as browsers ask for it: an uncompressed point."""
    form = serialization.PublicFormat.UncompressedPoint
    return key.public_key().public_bytes(serialization.Encoding.X962, form)


def raw(written: str) -> bytes:
    """The bytes behind base64url without padding."""
    return base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))


def text(held: bytes) -> str:
    """Bytes in base64url without padding."""
    return base64.urlsafe_b64encode(held).rstrip(b"=").decode()
