"""Providers that take pages, lose answers, hang, refuse, and are down for a while; and the plan of who has which."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels import ACCEPTED, Outcome
from haven_crisis.directory import Channel
from haven_crisis.store.pages import PageState
from simulation.loop import VirtualLoop
from simulation.weather import Weather

TIMEOUT_S = 3.0
FAILURES = 3
"""In a row, after which a provider counts as unhealthy."""
_REFUSED = Outcome(PageState.FAILED, "refused")
_UNREACHABLE = Outcome(PageState.FAILED, "unreachable")
_NO_ANSWER = Outcome(PageState.UNKNOWN, "no answer")


@dataclass(frozen=True, slots=True)
class Received:
    """A page that a provider took, and so a human got."""

    page_id: str
    provider: str
    resent: bool
    at: float
    alerts: int
    """How many alerts it says that it is about."""


class Providers:
    """All of them. `took` is told of every page that reached a human, `began` of every page handed over."""

    def __init__(
        self,
        loop: VirtualLoop,
        weather: Weather,
        began: Callable[[PageText], None],
        took: Callable[[Received], None],
    ) -> None:
        self._loop = loop
        self._random: Random = loop.random
        self._weather = weather
        self._began = began
        self._took = took
        self._failed: dict[str, int] = {}
        self.down: dict[str, tuple[float, float]] = {}
        """Provider → from when until when it takes nothing."""

    async def send(self, channel: Channel, page: PageText) -> Outcome:
        """As `Channels.send`."""
        self._began(page)
        self._weather.sending[asyncio.current_task()] = page.page_id
        provider = channel.address
        travel = 0.01 + 0.1 * self._random.random()
        kind = self._fault(provider, page.page_id)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._loop.at(travel, self._loop.outside, self._arrive, kind, provider, page, future)
        outcome: Outcome = await future
        self._failed[provider] = 0 if outcome.state is PageState.ACCEPTED else self._failed.get(provider, 0) + 1
        return outcome

    def healthy(self, provider: str) -> bool:
        """As `Channels.healthy`: whether its last pages did not all fail."""
        return self._failed.get(provider, 0) < FAILURES

    def _fault(self, provider: str, page_id: str) -> str:
        weather = self._weather
        starts, ends = self.down.get(provider, (0.0, 0.0))
        if starts <= weather.now() < ends:
            kind = self._random.choice(("refuses", "unreachable", "hangs"))
        elif weather.rough and self._random.random() < weather.profile.provider_faults:
            kind = self._random.choice(("refuses", "unreachable", "hangs", "answer lost", "slow"))
        else:
            return ""
        if kind in ("hangs", "answer lost", "slow"):
            weather.excused[page_id] = kind
        weather.fault(f"provider {provider} {kind}", TIMEOUT_S if kind in ("hangs", "answer lost", "slow") else 0.2)
        return kind

    def _arrive(self, kind: str, provider: str, page: PageText, future: asyncio.Future[Any]) -> None:
        if kind in ("", "slow", "answer lost"):
            self._took(Received(page.page_id, provider, page.resent, self._loop.time(), page.alerts))
        if kind in ("hangs", "answer lost"):
            self._later(TIMEOUT_S, future, _NO_ANSWER)
        elif kind == "slow":
            self._later(2.5 * self._random.random(), future, ACCEPTED)
        else:
            self._later(0.0, future, {"": ACCEPTED, "refuses": _REFUSED}.get(kind, _UNREACHABLE))

    def _later(self, delay: float, future: asyncio.Future[Any], outcome: Outcome) -> None:
        self._loop.at(delay, self._loop.outside, _settle, future, outcome)


def _settle(future: asyncio.Future[Any], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
