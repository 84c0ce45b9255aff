"""Pages of lists by the key of the last row shown (AIP-158)."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeVar

import orjson
from google.protobuf.message import Message

from haven_kit.errors import Invalid

DEFAULT_SIZE: Final = 50
MAX_SIZE: Final = 200

_signing_key = secrets.token_bytes(32)

Key = Sequence[str | int | float | bool | None]
R = TypeVar("R")


def sign_with(key: bytes) -> None:
    """Sign tokens with this key, of at most 64 bytes; without it each process has its own. Replicas share one."""
    global _signing_key  # noqa: PLW0603 - one key for each process, set before it serves
    _signing_key = key


class Page:
    """How many rows a list request asks for, and after which one.

    A token holds the last row's sort key, signed together with the request's other fields, so that a key that comes
    back is one that was given out. It is opaque, not secret: keys are ids, times and numbers, never health information.
    """

    __slots__ = ("_request", "after", "size")

    def __init__(self, request: Message, size: int, after: list[Any] | None) -> None:
        self._request = request
        self.size = size
        self.after = after

    @classmethod
    def of(cls, request: Any) -> Self:
        """Reads `page_size` and `page_token`. A size over 200 is taken as 200, none as 50.

        Raises Invalid for a negative size, for a token that was not made here, and for one of another filter.
        """
        if request.page_size < 0:
            raise Invalid("page_size", "min", "The page size must not be negative.")
        after = _decode(request.page_token, request) if request.page_token else None
        return cls(request, min(request.page_size or DEFAULT_SIZE, MAX_SIZE), after)

    def cut(self, rows: Sequence[R], key: Callable[[R], Key]) -> tuple[Sequence[R], str]:
        """The rows to show, and the token for the next page; empty on the last one.

        `rows` holds one row more than the size where there are more; `key` gives a row's sort key.
        """
        shown = rows[: self.size]
        return shown, self.next_token(key(shown[-1])) if len(rows) > self.size else ""

    def next_token(self, key: Key) -> str:
        """The token for the page after the row with this sort key. Times are given as text or numbers by the caller."""
        return base64.urlsafe_b64encode(orjson.dumps([_signature(self._request, key), *key])).rstrip(b"=").decode()


def _decode(token: str, request: Message) -> list[Any]:
    try:
        decoded = orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise Invalid("page_token", "known_token", "The page token was not made by this service.") from error
    if not isinstance(decoded, list) or not decoded or not isinstance(decoded[0], str):
        raise Invalid("page_token", "known_token", "The page token was not made by this service.")
    key: list[Any] = decoded[1:]
    if not hmac.compare_digest(decoded[0].encode(), _signature(request, key).encode()):
        raise Invalid("page_token", "same_filter", "The page token was not made for a list with these filters.")
    return key


def _signature(request: Message, key: Key) -> str:
    rest = type(request)()
    rest.CopyFrom(request)
    for field in ("page_size", "page_token"):
        rest.ClearField(field)
    named = request.DESCRIPTOR.full_name.encode() + b"\0" + rest.SerializeToString(deterministic=True)
    digest = hashlib.blake2b(named, digest_size=32, key=_signing_key).digest()
    signed = hashlib.blake2b(digest + orjson.dumps(list(key)), digest_size=12, key=_signing_key).digest()
    return base64.urlsafe_b64encode(signed).decode()
