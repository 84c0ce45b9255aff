"""A development OpenID provider: real keys and discovery, a token for whoever asks. Never part of a deployment."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from haven.options.v1.options_pb2 import Role

from haven_dev import ports

AUDIENCE = "haven"
ALGORITHM = "ES256"
HOUR_S = 3600
ROLES = tuple(name.removeprefix("ROLE_").lower() for name, number in Role.items() if number != Role.ROLE_UNSPECIFIED)
"""Names of roles as tokens carry them."""
_NAMESPACE = uuid.UUID("6f3c1b1e-4c0e-5d0c-9a53-0d6f5b3f7b11")


class Issuer:
    """Signs tokens, and serves `/.well-known/openid-configuration`, `/jwks` and `/token` on loopback.

    The key is kept in `state`, so that tokens outlive a restart.
    """

    def __init__(self, state: Path, *, port: int = 0) -> None:
        self._key = _key(state / "issuer.key")
        self._wanted_port = port
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The issuer's name and address."""
        return f"http://{ports.LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Serve."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._discovery),
                web.get("/jwks", self._jwks),
                web.post("/token", self._token),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        self.port = ports.free_port(self.port or self._wanted_port)
        await web.TCPSite(self._runner, ports.LOOPBACK, self.port).start()

    async def stop(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def token(
        self,
        *roles: str,
        person_id: str | None = None,
        sub: str | None = None,
        lifetime_s: float = 8 * HOUR_S,
        at: float | None = None,
    ) -> str:
        """A token for a person with these roles. Without `sub` each combination of roles and person has one of its own.

        `at`: when issued, in seconds since 1970; now by default. Raises ValueError for a role that does not exist.
        """
        unknown = sorted(set(roles) - set(ROLES))
        if unknown or not roles:
            raise ValueError(f"no such role: {', '.join(unknown) or '(none given)'}; roles are {', '.join(ROLES)}")
        claims: dict[str, Any] = {"sub": sub or subject(roles, person_id), "roles": list(roles)}
        if person_id:
            claims["person_id"] = person_id
        return self.sign(claims, lifetime_s=lifetime_s, at=at)

    def sign(self, claims: Mapping[str, Any], *, lifetime_s: float = HOUR_S, at: float | None = None) -> str:
        """A token with these claims; issuer, audience and times are added where they are not given."""
        now = int(time.time() if at is None else at)
        standard = {"iss": self.url, "aud": AUDIENCE, "iat": now, "exp": now + lifetime_s, "jti": str(uuid.uuid4())}
        return jwt.encode(standard | dict(claims), self._key, ALGORITHM, headers={"kid": self._key_id})

    @property
    def _key_id(self) -> str:
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(public).hexdigest()[:16]

    async def _discovery(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/jwks",
                "token_endpoint": f"{self.url}/token",
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "response_types_supported": ["token"],
                "subject_types_supported": ["public"],
            }
        )

    async def _jwks(self, _: web.Request) -> web.Response:
        key = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return web.json_response({"keys": [key | {"kid": self._key_id, "use": "sig", "alg": ALGORITHM}]})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        roles = [str(role) for role in form.getall("role", [])]
        try:
            token = self.token(*roles, person_id=_text(form.get("person_id")), sub=_text(form.get("sub")))
        except ValueError as error:
            return web.json_response({"error": "invalid_request", "error_description": str(error)}, status=400)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 8 * HOUR_S}
        return web.json_response(body, headers={"Cache-Control": "no-store"})


def subject(roles: Iterable[str], person_id: str | None) -> str:
    """The stable subject of a person with these roles."""
    return str(uuid.uuid5(_NAMESPACE, " ".join(sorted(roles)) + f"/{person_id or ''}"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{path} is not a key of ours; remove it")
        return key
    key = ec.generate_private_key(ec.SECP256R1())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return key
