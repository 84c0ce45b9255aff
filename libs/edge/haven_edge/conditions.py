"""What the request's headers ask of a call: preconditions, repetition, the form of the answer (RFC 9110, RFC 9111)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from haven_edge.exchange import Exchange, Header
from haven_edge.problems import Problem, violation

_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_ENTITY_TAG = re.compile(r'"([\x21\x23-\x7e]{0,200})"')
_WEAK = re.compile(r'W/"[\x21\x23-\x7e]{0,200}"')


def idempotency_key(exchange: Exchange) -> str:
    """The Idempotency-Key, bare or quoted (draft-ietf-httpapi-idempotency-key-header); empty without one."""
    given = exchange.text(b"idempotency-key")
    if not given:
        if b"idempotency-key" in exchange.headers:
            raise _bad_key()
        return ""
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if not _KEY.fullmatch(key):
        raise _bad_key()
    return key


def _bad_key() -> Problem:
    return violation("Idempotency-Key", "idempotency_key.format", "must be 1 to 128 visible ASCII characters")


def apply_if_match(exchange: Exchange, message: Any, takes_etag: bool) -> None:
    """Put the If-Match of the request into the message's `etag`. Raises Problem 412 for one that never matches."""
    given = exchange.text(b"if-match").strip()
    if not given:
        return
    if not takes_etag:
        raise violation("If-Match", "if_match.unsupported", "is not taken by this call")
    if _WEAK.fullmatch(given):
        raise Problem("stale", "A weak validator never matches.")
    match = _ENTITY_TAG.fullmatch(given)
    if match is None and given != "*":
        raise violation("If-Match", "if_match.format", 'must be one quoted ETag, or "*"')
    etag = match[1] if match else "*"
    if message.etag and message.etag != etag:
        raise violation("If-Match", "if_match.mismatch", "is not the same as etag in the body")
    message.etag = etag


def not_modified(exchange: Exchange, etag: str) -> bool:
    """Whether If-None-Match names this ETag; compared weakly, as RFC 9110 asks."""
    given = exchange.text(b"if-none-match")
    return given == "*" or any(part.strip().removeprefix("W/") == f'"{etag}"' for part in given.split(","))


def link_to_next(path: str, query: bytes, token: str) -> Header:
    """The Link header to the following page (RFC 8288)."""
    kept = [(k, v) for k, v in parse_qsl(query.decode("ascii"), True) if k not in ("pageToken", "page_token")]
    return b"link", f'<{path}?{urlencode([*kept, ("pageToken", token)])}>; rel="next"'.encode()


def check_accept(exchange: Exchange, media_type: str) -> None:
    """Raises Problem 406 where the client takes neither the media type nor anything like it."""
    if not _accepts(exchange.text(b"accept"), media_type):
        raise Problem("not_acceptable", f"This call answers with {media_type}.")


@lru_cache(maxsize=512)
def _accepts(accept: str, media_type: str) -> bool:
    family = media_type.partition("/")[0] + "/*"
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name in {media_type, family, "*/*"} and not any(re.fullmatch(r"q=0(\.0*)?", each) for each in parameters):
            return True
    return not accept
