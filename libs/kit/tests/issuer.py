"""An issuer of tokens over real HTTP."""

import asyncio
import json
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from haven_kit.clock import FakeClock
from haven_kit.errors import Unauthenticated
from haven_kit.identity import TokenVerifier

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """An OpenID provider over real HTTP, whose keys, documents and health the test sets."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"rsa": RSA_KEY}
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


async def refused(verifier: TokenVerifier, token: str) -> str:
    """The reason for which a token is refused."""
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(token)
    return caught.value.reason
