"""How much one account, one address and everyone together may ask for. Kept in memory, per replica.

Calls for help pass by all of it but a ceiling so high that only a broken or hostile client meets it.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from haven_edge.problems import Problem
from haven_edge.settings import EdgeSettings

_REMEMBERED = 50_000


class TokenBuckets:
    """A token bucket per key; the keys used least recently are forgotten."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one token. The seconds until there is one; 0 when it was taken."""
        now = self._clock()
        tokens, since = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        short = max(0.0, 1 - tokens)
        self._buckets[key] = (tokens if short else tokens - 1, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return short / self._rate

    def admit(self, key: str) -> None:
        """Take one token. Raises Problem 429 where there is none."""
        wait = self.take(key)
        if wait > 0:
            raise Problem("too_many_requests", "Too many requests in a short time.", retry_after=wait)


class Limits:
    """The limits of one gateway process."""

    def __init__(self, settings: EdgeSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._addresses = TokenBuckets(settings.address_rate, settings.address_burst, clock)
        self._people = TokenBuckets(settings.person_rate, settings.person_burst, clock)
        self._help = TokenBuckets(settings.help_rate, settings.help_burst, clock)
        self._most = settings.in_flight
        self._most_by_person = settings.person_in_flight
        self._most_streams = settings.person_streams
        self._running = 0
        self._by_person: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    def admit_address(self, address: str, for_help: bool) -> None:
        """Count a request of a client address, where nothing proves who sends it. Raises Problem 429."""
        (self._help if for_help else self._addresses).admit("address " + address)

    @contextmanager
    def running(self, person: str, *, for_help: bool, stream: bool) -> Iterator[None]:
        """Count a request of an account while it runs. Raises Problem 429, or 503 when all places are taken."""
        (self._help if for_help else self._people).admit("person " + person)
        if for_help:
            yield
            return
        counted = self._streams if stream else self._by_person
        if counted[person] >= (self._most_streams if stream else self._most_by_person):
            raise Problem("too_many_requests", "Too many requests of this account are still running.")
        if not stream and self._running >= self._most:
            raise Problem("unavailable", "The service is busy. Nothing was changed.")
        counted[person] += 1
        self._running += not stream
        try:
            yield
        finally:
            self._running -= not stream
            counted[person] -= 1
            if not counted[person]:
                del counted[person]
