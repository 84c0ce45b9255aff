"""Signing in at the development issuer from a browser: authorization code flow with PKCE (OAuth 2.1, RFC 7636).

Whoever opens the page says who they are. Redirects lead to loopback alone; a code is good once, for a minute.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

CODE_S = 60
_CHALLENGE_LENGTH = 43
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_CARRIED = ("client_id", "redirect_uri", "state", "nonce", "scope", "code_challenge")


class SignInRefused(Exception):
    """The request cannot be answered. `error` is the code of OAuth, the message says why."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Request:
    """What an application asked for when it sent its user here."""

    client_id: str
    redirect_uri: str
    state: str
    nonce: str
    scope: str
    code_challenge: str

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Request:
        """Read it from a query or a form. Raises SignInRefused."""
        asked = cls(**{name: str(given.get(name, "")) for name in _CARRIED})
        target = urlsplit(asked.redirect_uri)
        if target.scheme not in {"http", "https"} or target.hostname not in _LOOPBACK or target.fragment:
            raise SignInRefused("invalid_request", "redirect_uri must be an address on loopback")
        if not asked.client_id:
            raise SignInRefused("invalid_request", "client_id is missing")
        if given.get("response_type", "code") != "code":
            raise SignInRefused("unsupported_response_type", "response_type must be code")
        if given.get("code_challenge_method", "S256") != "S256" or len(asked.code_challenge) != _CHALLENGE_LENGTH:
            raise SignInRefused("invalid_request", "a code_challenge by S256 is required")
        return asked

    def fields(self) -> dict[str, str]:
        """As the page carries it."""
        return {name: getattr(self, name) for name in _CARRIED}


@dataclass(frozen=True, slots=True)
class Person:
    """Who somebody says to be."""

    roles: tuple[str, ...]
    sub: str
    person_id: str


class Codes:
    """Codes that were given out and not used yet."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Request, Person, float]] = {}

    def give(self, asked: Request, person: Person, issuer: str) -> str:
        """The address to send the user back to, with a code (and `iss`, RFC 9207)."""
        code = secrets.token_urlsafe(32)
        self._held[code] = (asked, person, time.monotonic() + CODE_S)
        given = {"code": code, "iss": issuer} | ({"state": asked.state} if asked.state else {})
        return f"{asked.redirect_uri}{'&' if '?' in asked.redirect_uri else '?'}{urlencode(given)}"

    def take(self, form: Mapping[str, object]) -> tuple[Request, Person]:
        """What a code stands for. It is good no more. Raises SignInRefused."""
        asked, person, ends = self._held.pop(str(form.get("code", "")), (None, None, 0.0))
        if asked is None or person is None or time.monotonic() > ends:
            raise SignInRefused("invalid_grant", "the code is unknown, used or too old")
        if (form.get("client_id"), form.get("redirect_uri")) != (asked.client_id, asked.redirect_uri):
            raise SignInRefused("invalid_grant", "the code was given to another client or address")
        if not hmac.compare_digest(challenge(str(form.get("code_verifier", ""))), asked.code_challenge):
            raise SignInRefused("invalid_grant", "the code_verifier is not that of the challenge")
        return asked, person


def challenge(verifier: str) -> str:
    """The S256 challenge of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def page(asked: Request, roles: Sequence[str], message: str = "") -> str:
    """The page where one says who one is."""
    carried = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(value)}">' for name, value in asked.fields().items()
    )
    choices = "".join(
        f'<label><input type="checkbox" name="role" value="{role}"> {role.replace("_", " ")}</label>' for role in roles
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in (development)</title>
<style>
body {{ font: 1.1rem/1.5 system-ui; max-width: 30rem; margin: 2rem auto; padding: 0 1rem; }}
label {{ display: block; padding: .3rem 0; }}
input[type=text] {{ width: 100%; font: inherit; padding: .4rem; box-sizing: border-box; }}
button {{ font: inherit; padding: .7rem 1.5rem; margin-top: 1rem; }}
</style>
</head>
<body>
<main>
<h1>Who are you?</h1>
<p>This sign-in is for development. It believes you.</p>
<p role="alert">{html.escape(message)}</p>
<form method="post" action="/authorize">
{carried}
<fieldset><legend>Roles</legend>{choices}</fieldset>
<label>Account (empty: one made from the roles) <input type="text" name="sub" autocomplete="off"></label>
<label>Person (the record of a participant, partner or relative)
<input type="text" name="person_id" autocomplete="off"></label>
<button type="submit">Sign in</button>
</form>
</main>
</body>
</html>
"""
