"""One long-lived HTTP client for every provider, and what its answers mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp

from haven_crisis.channels.outcome import ACCEPTED, NO_ANSWER, UNREACHABLE, Outcome, failed

MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered."""

    status: int
    body: bytes

    @property
    def outcome(self) -> Outcome:
        """Taken with any status of success. A limit is a failure like any other: nobody waits for it to pass."""
        return ACCEPTED if 200 <= self.status < 300 else failed(f"status {self.status}")


class Http:
    """Long-lived connections to providers. Close it."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, **request: Any) -> Outcome:
        """POST what the provider knows when it comes twice. The status says it all: no body is waited for."""
        answer = await self._ask(url, request)
        return answer.outcome if isinstance(answer, Answer) else answer

    async def ask_once(self, url: str, headers: dict[str, str], **request: Any) -> Answer | Outcome:
        """POST what the provider would do twice, and the answer with its body; an Outcome where there is none.

        On a connection of its own: a kept one may have been closed, and nobody would know whether it was taken.
        """
        return await self._last_time(url, {"headers": headers | {"connection": "close"}, **request}, read=True)

    async def _ask(self, url: str, request: dict[str, Any]) -> Answer | Outcome:
        try:
            return await self._once(url, request, read=False)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # As a rule a kept connection that the provider had closed. The same message goes once more.
            return await self._last_time(url, request, read=False)
        except (aiohttp.ClientError, TimeoutError):
            return NO_ANSWER

    async def _last_time(self, url: str, request: dict[str, Any], *, read: bool) -> Answer | Outcome:
        try:
            return await self._once(url, request, read=read)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return NO_ANSWER

    async def _once(self, url: str, request: dict[str, Any], *, read: bool) -> Answer | Outcome:
        try:
            async with self._open().post(url, allow_redirects=False, **request) as answer:
                return Answer(answer.status, await answer.content.read(MAX_ANSWER) if read else b"")
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, aiohttp.ConnectionTimeoutError):
            return UNREACHABLE

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session
