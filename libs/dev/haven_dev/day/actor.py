"""Someone who uses the platform: signed in, calling the gateway over HTTP as any client would."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp

from haven_dev.day.stage import Stage

PATIENCE_S = 45.0
"""How long a call is repeated while a part of the platform is away."""
PAUSE_S = 0.1
LIFETIME_S = 12 * 3600
_AGAIN = frozenset({429, 503, 504})
_SETTLING = frozenset({404, 409, 412, 422, 400, 403})


class CallFailed(Exception):
    """The gateway answered with a problem. `status` is the HTTP status, `problem` the document."""

    def __init__(self, method: str, path: str, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{method} {path}: {status} {json.dumps(problem)}")
        self.status = status
        self.problem = problem


@dataclass
class Web:
    """The HTTP session that all actors share, and what a test wants to do around each call."""

    platform: Stage
    session: aiohttp.ClientSession
    now: Callable[[], datetime]
    """The platform's time of day."""
    before_call: Callable[[str], None] = field(default=lambda _: None)
    """Called with the method and path before each call; a test ends a service here."""
    change_body: Callable[[str, str, Any], Any] = field(default=lambda _method, _path, body: body)
    """Called with method, path and JSON body of each command; what it returns is sent."""
    after_answer: Callable[[int, str, Mapping[str, str]], None] = field(default=lambda _status, _text, _headers: None)
    """Called with each answer's status, text and headers."""


class Actor:
    """A person with an account. Commands carry an idempotency key, so that a repeated one is done once."""

    def __init__(self, web: Web, name: str, *roles: str, person_id: str | None = None, sub: str | None = None) -> None:
        self._web = web
        self.name = name
        self.sub = sub or str(uuid.uuid4())
        self.person_id = person_id or ""
        at = web.now().timestamp()
        self._token = web.platform.issuer.token(*roles, person_id=person_id, sub=self.sub, at=at, lifetime_s=LIFETIME_S)

    async def get(self, path: str, **query: Any) -> Any:
        """Read. Raises CallFailed."""
        return await self._call("GET", path, params={key: str(value) for key, value in query.items()})

    async def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        """Command. Raises CallFailed."""
        return await self._call("POST", path, json=body or {}, headers=headers)

    async def put(self, path: str, body: Any) -> Any:
        """Write as a whole. Raises CallFailed."""
        return await self._call("PUT", path, json=body)

    async def eventually(self, path: str, holds: Callable[[Any], Any], **query: Any) -> Any:
        """Read until it holds what it should: what one service tells reaches the others a little later."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                found = await self.get(path, **query)
                if holds(found):
                    return found
                last: object = found
            except CallFailed as failure:
                if failure.status not in _SETTLING:
                    raise
                last = failure
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: {path} did not come to hold what it should; last: {last}")
            await asyncio.sleep(PAUSE_S)

    async def once_possible(self, path: str, body: Any = None) -> Any:
        """Command, as soon as what it depends on has arrived from another service."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await self.post(path, body)
            except CallFailed as failure:
                if failure.status not in _SETTLING or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(PAUSE_S)

    async def watch(self, path: str, last_event_id: str = "") -> AsyncIterator[tuple[str, Any]]:
        """Server-sent events as (id, data), until the stream ends."""
        headers = self._headers() | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        url = self._web.platform.gateway_url + path
        async with self._web.session.get(url, headers=headers, timeout=timeout) as answer:
            if answer.status != 200:
                raise CallFailed("GET", path, answer.status, await answer.json(content_type=None))
            event_id, data = "", ""
            async for line in answer.content:
                text = line.decode().rstrip("\r\n")
                name, _, value = text.partition(":")
                if name == "id":
                    event_id = value.strip()
                elif name == "data":
                    data += value.strip()
                elif not text and data:
                    yield event_id, json.loads(data)
                    data = ""

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    async def _call(self, method: str, path: str, **given: Any) -> Any:
        headers = self._headers() | (given.pop("headers", None) or {})
        if method != "GET":
            headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
            given["json"] = self._web.change_body(method, path, given.get("json"))
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self._web.before_call(f"{method} {path}")
            problem, status = await self._once(method, path, headers, given)
            if status < 400:
                return problem
            if status not in _AGAIN or time.monotonic() > deadline:
                raise CallFailed(f"{self.name}: {method}", path, status, problem)
            await asyncio.sleep(PAUSE_S)

    async def _once(self, method: str, path: str, headers: dict[str, str], given: dict[str, Any]) -> tuple[Any, int]:
        url = self._web.platform.gateway_url + path
        try:
            async with self._web.session.request(method, url, headers=headers, **given) as answer:
                text = await answer.text()
                self._web.after_answer(answer.status, text, answer.headers)
                return (json.loads(text) if text else {}), answer.status
        except aiohttp.ClientError as error:
            return {"title": type(error).__name__}, 503
