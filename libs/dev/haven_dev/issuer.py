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

from haven_dev import ports, sign_in
from haven_dev.sign_in import Codes, Person, SignInRefused

AUDIENCE = "haven"
ALGORITHM = "ES256"
HOUR_S = 3600
ROLES = tuple(name.removeprefix("ROLE_").lower() for name, number in Role.items() if number != Role.ROLE_UNSPECIFIED)
"""Names of roles as tokens carry them."""
_NAMESPACE = uuid.UUID("6f3c1b1e-4c0e-5d0c-9a53-0d6f5b3f7b11")


class Issuer:
    """Signs tokens, and serves `/.well-known/openid-configuration`, `/jwks`, `/authorize` and `/token` on loopback.

    A browser signs in by the authorization code flow with PKCE; tools ask `/token` for a token by role.
    The key is kept in `state`, so that tokens outlive a restart.
    """

    def __init__(self, state: Path, *, port: int = 0) -> None:
        self._key = _key(state / "issuer.key")
        self._wanted_port = port
        self._codes = Codes()
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The issuer's name and address."""
        return f"http://{ports.LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Serve."""
        app = web.Application(middlewares=[_across_origins])
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._discovery),
                web.get("/jwks", self._jwks),
                web.get("/authorize", self._ask),
                web.post("/authorize", self._authorize),
                web.post("/token", self._token),
                web.options("/token", _preflight),
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
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "scopes_supported": ["openid"],
                "subject_types_supported": ["public"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _jwks(self, _: web.Request) -> web.Response:
        key = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return web.json_response({"keys": [key | {"kid": self._key_id, "use": "sig", "alg": ALGORITHM}]})

    async def _ask(self, request: web.Request) -> web.Response:
        try:
            return _html(sign_in.page(sign_in.Request.of(request.query), ROLES))
        except SignInRefused as refused:
            return web.Response(text=str(refused), status=400)

    async def _authorize(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            asked = sign_in.Request.of(form)
        except SignInRefused as refused:
            return web.Response(text=str(refused), status=400)
        roles = tuple(str(role) for role in form.getall("role", []))
        if not roles or set(roles) - set(ROLES):
            return _html(sign_in.page(asked, ROLES, "Choose at least one role."), status=400)
        person = Person(roles, _text(form.get("sub")) or "", _text(form.get("person_id")) or "")
        raise web.HTTPSeeOther(self._codes.give(asked, person, self.url))

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            if form.get("grant_type") == "authorization_code":
                body = self._redeem(form)
            else:
                roles = [str(role) for role in form.getall("role", [])]
                person_id, sub = _text(form.get("person_id")), _text(form.get("sub"))
                body = {"access_token": self.token(*roles, person_id=person_id, sub=sub)}
        except SignInRefused as refused:
            return web.json_response({"error": refused.error, "error_description": str(refused)}, status=400)
        except ValueError as error:
            return web.json_response({"error": "invalid_request", "error_description": str(error)}, status=400)
        body |= {"token_type": "Bearer", "expires_in": 8 * HOUR_S}
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    def _redeem(self, form: Mapping[str, Any]) -> dict[str, Any]:
        asked, person = self._codes.take(form)
        body = {"access_token": self.token(*person.roles, person_id=person.person_id or None, sub=person.sub or None)}
        if "openid" in asked.scope.split():
            who: dict[str, Any] = {"sub": person.sub or subject(person.roles, person.person_id), "aud": asked.client_id}
            body["id_token"] = self.sign(who | ({"nonce": asked.nonce} if asked.nonce else {}))
        return body


@web.middleware
async def _across_origins(request: web.Request, handler: Any) -> web.StreamResponse:
    """Let a page of any origin read what is public, and redeem its code."""
    answer: web.StreamResponse = await handler(request)
    if request.path != "/authorize":
        answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer


async def _preflight(_: web.Request) -> web.Response:
    allowed = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "authorization, content-type"}
    return web.Response(status=204, headers=allowed)


def _html(text: str, status: int = 200) -> web.Response:
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    return web.Response(text=text, content_type="text/html", status=status, headers=headers)


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
