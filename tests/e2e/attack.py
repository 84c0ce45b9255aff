"""Requests that nobody should send, and what every answer to one must be."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from haven_dev.day.day import STAFF, Day
from haven_dev.runner import PARTS, Platform

PATIENCE_S = 30.0
"""No answer may take longer, on the slowest machine that runs these tests."""
AT_ONCE = 12
_FAULT = re.compile(r'"event": ?"(rpc\.failed|request\.failed|worker\.failed|reaction\.failed|reaction\.dead_letter)"')


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent. `name` finds it again when it is answered wrongly."""

    name: str
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    secret: str = ""
    """What no problem may repeat."""
    case: Any = None
    """The schemathesis case that it was made from."""
    base: str = ""
    """Where it is sent to; empty: the gateway."""


@dataclass(frozen=True)
class Answer:
    """What came back. `status` is 0 where nothing came in time, and 1 where the connection broke."""

    request: Request
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def media_type(self) -> str:
        """The content type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0]

    def fault(self) -> str:
        """What is wrong with this answer; empty when nothing is."""
        if self.status in {0, 1} or self.status >= 500:
            return f"status {self.status}"
        if self.status < 400 or self.request.method == "HEAD":
            return ""
        if self.media_type != "application/problem+json":
            return f"{self.status} without a problem"
        problem = json.loads(self.body)
        if problem.get("status") != self.status or not problem.get("title") or "/problems/" not in problem["type"]:
            return "a problem without type, title and status"
        if self.request.secret and self.request.secret in self.body.decode():
            return "a problem that repeats what was sent"
        return ""

    def __str__(self) -> str:
        sent = (self.request.body or b"")[:300]
        return f"{self.request.name}: {self.request.method} {self.request.path[:200]} {sent!r} -> {self.body[:300]!r}"


@dataclass
class Target:
    """A platform on which the day was played, and what is known of it."""

    platform: Platform
    session: aiohttp.ClientSession
    day: Day
    limits: dict[str, str]
    """The gateway's settings that the next start of it takes."""
    ids: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Ids of records that exist, by the names of the fields that hold them."""
    commands: list[tuple[str, str, Any]] = field(default_factory=list)
    """Verb, path and body of everything that was asked for in the day."""

    def learn(self, value: Any) -> None:
        """Keep the ids in an answer."""
        if isinstance(value, dict):
            for name, item in value.items():
                if isinstance(item, str) and name.endswith("Id") and item and item not in self.ids[name]:
                    self.ids[name].append(item)
                self.learn(item)
        elif isinstance(value, list):
            for item in value:
                self.learn(item)

    def tokens(self, roles: Iterable[str]) -> list[str]:
        """Tokens that may call an operation of these roles: of strangers, of one to whom an admitted person's record
        belongs, and of everyone of the day.
        """
        wanted = sorted(roles)
        strangers = [self._token(*wanted[:3]), self._token(wanted[0], person_id=self.day.made["person"])]
        return [*strangers, *self.tokens_of_the_day(wanted)]

    def tokens_of_the_day(self, roles: Iterable[str]) -> list[str]:
        """Tokens of the people of the day that have one of these roles; of a stranger where nobody has."""
        wanted = set(roles)
        found = [
            self._token(*sorted(shared), person_id=actor.person_id or None, sub=actor.sub)
            for name, actor in self.day.people.items()
            if (shared := wanted & set(STAFF.get(name, ("participant",))))
        ]
        return found or [self._token(*sorted(wanted)[:3])]

    def _token(self, *roles: str, person_id: str | None = None, sub: str | None = None) -> str:
        at = self.day.clock.now().timestamp()
        return self.platform.issuer.token(*roles, person_id=person_id, sub=sub, at=at)

    async def send(self, request: Request) -> Answer:
        """Send one request. Of a stream, what comes first is enough."""
        url = URL((request.base or self.platform.gateway_url) + request.path, encoded=True)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        try:
            async with self.session.request(
                request.method, url, headers=request.headers, data=request.body, timeout=timeout, allow_redirects=False
            ) as got:
                stream = got.content_type == "text/event-stream"
                body = await got.content.readany() if stream else await got.read()
                return Answer(request, got.status, {k.lower(): v for k, v in got.headers.items()}, body)
        except TimeoutError:
            return Answer(request, 0)
        except aiohttp.ClientError as error:
            return Answer(request, 1, body=repr(error).encode())

    async def send_all(self, requests: Iterable[Request]) -> list[Answer]:
        """Send many, some at a time, in this order."""
        waiting = iter(requests)
        answers: list[Answer] = []

        async def work() -> None:
            while (request := next(waiting, None)) is not None:
                answers.append(await self.send(request))

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return answers

    def faults(self) -> list[str]:
        """Lines of the parts' logs that tell of a mistake of ours."""
        return [
            f"{part}: {line[:3000]}"
            for part in PARTS
            for line in Path(self.platform.log(part)).read_text(errors="replace").splitlines()
            if _FAULT.search(line)
        ]


def with_ids(value: Any, ids: Mapping[str, list[str]], number: int) -> Any:
    """A body with ids of records that exist where an id belongs."""
    if isinstance(value, dict):
        return {
            name: ids[name][number % len(ids[name])]
            if isinstance(item, str) and ids.get(name)
            else with_ids(item, ids, number)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [with_ids(item, ids, number) for item in value]
    return value
