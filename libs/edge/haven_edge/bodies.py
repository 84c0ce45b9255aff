"""Reading the body of a request of a plain route, within bounds."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Message

from haven_edge.exchange import ClientGone, Exchange
from haven_edge.problems import Problem

SECONDS = 15.0
"""How long a body may take to arrive."""


async def read(request: Request, limit: int) -> bytes:
    """The whole body, of at most `limit` bytes. Raises Problem 413, or 408 where it does not arrive in time."""
    try:
        return await Exchange(request.scope, request.receive, _nothing).body(limit, SECONDS)
    except ClientGone:
        raise Problem("cancelled") from None


async def _nothing(_: Message) -> None:
    raise AssertionError("reading a body sends nothing")
