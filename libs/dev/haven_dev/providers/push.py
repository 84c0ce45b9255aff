"""A push service (RFC 8030) that checks who sends (RFC 8292), and browsers that open what comes (RFC 8291)."""

from __future__ import annotations

import base64
import re
import secrets
import time
from dataclasses import dataclass, field

import jwt
from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from haven_dev.providers.server import Provider

_VAPID = re.compile(r"vapid t=([\w.-]+), ?k=([\w-]+)")
_LARGEST = 4096
_DAY_S = 24 * 3600


@dataclass
class Subscription:
    """What a browser gives a service, so that it can push."""

    endpoint: str
    p256dh: str
    auth: str
    key: ec.EllipticCurvePrivateKey
    """The browser's own."""
    server_key: bytes
    """Who alone may push."""
    gone: bool = False


@dataclass
class Pushed:
    """A message as the browser opened it."""

    plain: bytes
    sealed_length: int
    ttl: int
    urgency: str
    subscription: Subscription = field(repr=False)


class PushService(Provider):
    """Takes messages for its subscriptions."""

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(port=port)
        self.subscriptions: dict[str, Subscription] = {}
        self.pushed: list[Pushed] = []

    def routes(self) -> list[web.RouteDef]:
        """One address for each subscription."""
        return [web.post("/push/{key}", self._push)]

    def shown(self) -> object:
        """Messages as browsers opened them, the newest last."""
        return [{"urgency": each.urgency, "plain": each.plain.decode()} for each in self.pushed]

    def subscribe(self, server_key: bytes) -> Subscription:
        """A new browser, which lets the holder of this public key push."""
        key, name = ec.generate_private_key(ec.SECP256R1()), secrets.token_urlsafe(24)
        public = key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        made = Subscription(f"{self.url}/push/{name}", _text(public), _text(secrets.token_bytes(16)), key, server_key)
        self.subscriptions[name] = made
        return made

    async def _push(self, request: web.Request) -> web.Response:
        held = self.subscriptions.get(request.match_info["key"])
        if held is None:
            return web.Response(status=404)
        if held.gone:
            return web.Response(status=410)
        body = await request.read()
        status = _wrong(request, body) or self._not_allowed(request, held)
        if status:
            return web.Response(status=status)
        try:
            plain = open_sealed(body, held)
        except (InvalidTag, ValueError):
            return web.Response(status=400)
        urgency = request.headers.get("Urgency", "normal")
        self.pushed.append(Pushed(plain, len(body), int(request.headers["TTL"]), urgency, held))
        return web.Response(status=201, headers={"Location": f"{self.url}/message/{secrets.token_urlsafe(12)}"})

    def _not_allowed(self, request: web.Request, held: Subscription) -> int:
        found = _VAPID.fullmatch(request.headers.get("Authorization", ""))
        if found is None:
            return 401
        token, key = found.groups()
        if _raw(key) != held.server_key:
            return 403
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _raw(key))
        try:
            # Its end is looked at against the real day, whatever the sender's clock says.
            claims = jwt.decode(token, public, algorithms=["ES256"], audience=self.url, options={"verify_exp": False})
        except jwt.InvalidTokenError:
            return 403
        known = claims.get("sub", "").startswith(("mailto:", "https:"))
        return 0 if known and isinstance(claims.get("exp"), int) and self.lasts(claims["exp"]) else 403

    def lasts(self, ends: int) -> bool:
        """Whether a signature that ends then holds now: for a day at most."""
        return 0 < ends - self.now() <= _DAY_S

    def now(self) -> float:
        """Seconds since 1970; set another one for a sender whose clock is turned."""
        return time.time()


def _wrong(request: web.Request, body: bytes) -> int:
    headers = request.headers
    if not headers.get("TTL", "").isdigit() or headers.get("Content-Encoding") != "aes128gcm":
        return 400
    if headers.get("Urgency", "normal") not in ("very-low", "low", "normal", "high"):
        return 400
    return 413 if len(body) > _LARGEST else 0


def open_sealed(body: bytes, held: Subscription) -> bytes:
    """The message in one record (RFC 8188, RFC 8291). Raises InvalidTag for what was sealed for another."""
    salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
    sender, record = body[21 : 21 + length], body[21 + length :]
    if len(record) > size:
        raise ValueError("more than one record")
    shared = held.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
    info = b"WebPush: info\x00" + _raw(held.p256dh) + sender
    keying = HKDF(hashes.SHA256(), 32, _raw(held.auth), info).derive(shared)
    key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\x00").derive(keying)
    nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\x00").derive(keying)
    padded = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\x00")
    if padded[-1:] != b"\x02":
        raise ValueError("not the last record")
    return padded[:-1]


def _raw(written: str) -> bytes:
    return base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))


def _text(held: bytes) -> str:
    return base64.urlsafe_b64encode(held).rstrip(b"=").decode()
