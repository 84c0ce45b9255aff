"""Who is calling: principals, and the tokens that prove them (RFC 7519, RFC 8725, OpenID Connect Core 1.0)."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from haven.options.v1.options_pb2 import Role

from haven_kit.clock import Clock, SystemClock
from haven_kit.errors import Unauthenticated
from haven_kit.issuer_keys import IssuerKeys
from haven_kit.words import word

LEEWAY_SECONDS: Final = 30
"""How far clocks may differ before a time in a token counts."""

STAFF: Final[frozenset[int]] = frozenset(
    {
        Role.ROLE_INDIVIDUAL_THERAPIST,
        Role.ROLE_COUPLES_THERAPIST,
        Role.ROLE_SUBSTANCE_USE_COUNSELOR,
        Role.ROLE_FACILITATOR,
        Role.ROLE_PRESCRIBER,
        Role.ROLE_ON_CALL_RESPONDER,
        Role.ROLE_CARE_COORDINATOR,
        Role.ROLE_BILLER,
        Role.ROLE_ADMINISTRATOR,
    }
)
"""The roles of people who work for the program."""

_ROLE_NUMBERS: Final[dict[str, int]] = {
    word(Role, number): number for number in Role.values() if number != Role.ROLE_UNSPECIFIED
}
_MAX_TOKEN_LENGTH: Final = 16 * 1024
_REMEMBERED_TOKENS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf something is done: a person, a service, or a named part of the system."""

    id: str
    """The token's subject; `service:<name>` or `system:<name>` where no person is behind it."""
    roles: frozenset[int] = frozenset()
    """Numbers of haven.options.v1.Role."""
    person_id: str | None = None
    """Set for people who have a record."""
    service: str | None = None
    """The calling service, by its certificate; also set when it calls for a person."""
    token: str | None = field(default=None, repr=False, compare=False)
    """The person's token, to be passed on to called services."""
    break_glass: bool = False
    """The person asked for emergency access, which is recorded and reviewed."""

    @property
    def is_service(self) -> bool:
        """A service for itself, or a part of the system: no person is behind the call."""
        return self.id.startswith(("service:", "system:"))

    @property
    def is_staff(self) -> bool:
        """Has at least one role that works for the program."""
        return not STAFF.isdisjoint(self.roles)

    def has(self, *roles: int) -> bool:
        """Has at least one of these roles."""
        return not self.roles.isdisjoint(roles)


def system(name: str) -> Principal:
    """The principal that a reaction or a worker of that name acts as."""
    return Principal(f"system:{name}")


def service(name: str) -> Principal:
    """The principal of a service that calls for itself."""
    return Principal(f"service:{name}", service=name)


def role_numbers(names: Iterable[object]) -> frozenset[int]:
    """Roles by their names in tokens, such as `on_call_responder`. Names that mean nothing here are ignored."""
    return frozenset(_ROLE_NUMBERS[name] for name in names if isinstance(name, str) and name in _ROLE_NUMBERS)


class TokenVerifier:
    """Verifies the access tokens of one issuer.

    A token that held once is remembered until it ends or its key is withdrawn, so that repeated calls cost a hash and a
    look-up. The claims read are `sub`, `roles` (list of lower-case role names) and `person_id`.
    """

    def __init__(self, keys: IssuerKeys, audience: str, *, clock: Clock | None = None) -> None:
        self._keys = keys
        self._audience = audience
        self._clock = clock or SystemClock()
        self._generation = -1
        self._remembered: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """The principal of a token. Raises Unauthenticated; Unavailable while no key was ever had."""
        if self._generation != self._keys.generation:
            self._remembered.clear()
            self._generation = self._keys.generation
        digest = hashlib.sha256(token.encode()).digest()
        remembered = self._remembered.get(digest)
        if remembered is not None and self._clock.now().timestamp() < remembered[1]:
            self._remembered.move_to_end(digest)
            return remembered[0]
        claims = self._claims(token, await self._keys.find(_key_id(token)))
        expires = self._check_times(claims)
        principal = _principal(claims, token)
        self._remembered[digest] = (principal, expires)
        if len(self._remembered) > _REMEMBERED_TOKENS:
            self._remembered.popitem(last=False)
        return principal

    def _claims(self, token: str, key: jwt.PyJWK | None) -> dict[str, Any]:
        if key is None:
            raise _rejected("token_key", "The token was signed with a key that the issuer does not publish.")
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],  # the key's own, never what the token says (RFC 8725, section 3.1)
                audience=self._audience,
                issuer=self._keys.issuer,
                # Times are checked by _check_times, against the clock that was handed in.
                options={
                    "require": ["exp", "iat", "sub", "iss", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidAudienceError as error:
            raise _rejected("token_audience", "The token is for another audience.") from error
        except jwt.InvalidIssuerError as error:
            raise _rejected("token_issuer", "The token is from another issuer.") from error
        except jwt.InvalidTokenError as error:
            raise _rejected("token_invalid", "The token does not hold.") from error

    def _check_times(self, claims: dict[str, Any]) -> float:
        times = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
        if not all(isinstance(at, int | float) and not isinstance(at, bool) for at in times.values()):
            raise _rejected("token_invalid", "The token's times cannot be read.")
        now = self._clock.now().timestamp()
        expires = float(times["exp"]) + LEEWAY_SECONDS
        if now >= expires:
            raise _rejected("token_expired", "The sign-in has ended. Sign in again.")
        if max(times["iat"], times.get("nbf", 0)) > now + LEEWAY_SECONDS:
            raise _rejected("token_not_yet_valid", "The token is not valid yet.")
        return expires


def _key_id(token: str) -> str | None:
    if len(token) > _MAX_TOKEN_LENGTH:
        raise _rejected("token_size", "The token is too long.")
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.InvalidTokenError as error:
        raise _rejected("token_format", "The token cannot be read.") from error
    return key_id if isinstance(key_id, str) else None


def _principal(claims: dict[str, Any], token: str) -> Principal:
    roles = claims.get("roles")
    person_id = claims.get("person_id")
    principal = Principal(
        id=claims["sub"],
        roles=role_numbers(roles) if isinstance(roles, list) else frozenset(),
        person_id=person_id if isinstance(person_id, str) and person_id else None,
        token=token,
    )
    if not principal.id or principal.is_service:
        raise _rejected("token_subject", "The token's subject is not a person.")
    return principal


def _rejected(reason: str, message: str) -> Unauthenticated:
    return Unauthenticated(message, reason=reason)
