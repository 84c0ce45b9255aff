"""What every answer carries (OWASP Secure Headers), and the rates of routes beside the API, on plain ASGI."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from haven_edge.exchange import Exchange
from haven_edge.limits import Limits
from haven_edge.problems import Problem, encode

Header = tuple[bytes, bytes]

_ALWAYS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
_HSTS: Header = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
_UNLESS_GIVEN: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class SecurityHeaders:
    """Adds the headers. `tls` tells that clients come by HTTPS."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app = app
        self._always = (*_ALWAYS, _HSTS) if tls else _ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                headers.extend(self._always)
                given = {name for name, _ in headers}
                headers.extend(header for header in _UNLESS_GIVEN if header[0] not in given)
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Limited:
    """Holds client addresses to their rate, but on routes under `except_under`, which see to their own or need none."""

    def __init__(self, app: ASGIApp, *, limits: Limits, except_under: tuple[str, ...]) -> None:
        self._app = app
        self._limits = limits
        self._except_under = except_under

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429."""
        if scope["type"] == "http" and not scope["path"].startswith(self._except_under):
            exchange = Exchange(scope, receive, send)
            try:
                self._limits.admit_address(exchange.client, for_help=False)
            except Problem as problem:
                await exchange.answer(problem.status, problem.headers(), encode(problem, ""))
                return
        await self._app(scope, receive, send)
