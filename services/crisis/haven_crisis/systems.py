"""The systems that may call for help, as this replica knows them, and what it heard of each.

Known from memory, so that a signal waits for no query and is taken while the database is away.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from haven_crisis import metrics
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import systems
from haven_crisis.store.systems import Heard, System
from haven_kit import logs
from haven_kit.errors import Unavailable
from haven_kit.identity import system as system_principal
from haven_kit.service import Parts

EVERY = timedelta(seconds=5)
"""How often what is known is renewed."""
READ_S = 1.0
"""How long a signal of a system that is not known waits for a look into the database."""
READ_AGAIN_S = 1.0
"""After which one that is not known is looked for again."""
MOST = 10_000
"""As many systems are known."""
MANY_A_MINUTE = 60
"""Signals of one system within a minute that are more than a healthy one sends: somebody looks at the system."""
_PRINCIPAL = system_principal("crisis/systems")
_log = logs.get(__name__)


@dataclass(slots=True)
class _Count:
    accepted: int = 0
    refused: int = 0
    last_seen_at: datetime | None = None
    last_refusal: str = ""
    lately: deque[float] = field(default_factory=lambda: deque(maxlen=MANY_A_MINUTE))
    flooding: bool = False


class Systems:
    """Systems by id, and whom they mean by their names for people."""

    def __init__(self, parts: Parts[CrisisSettings]) -> None:
        self._parts = parts
        self._known: dict[str, System] = {}
        self._people: dict[str, dict[bytes, str]] = {}
        """Whom each system means by its names, as of its count in `_links`."""
        self._began_at = -READ_AGAIN_S
        """When the newest read for a caller began, by the monotonic clock."""
        self._failed = False
        """Whether that one failed."""
        self._reading: asyncio.Task[None] | None = None
        self._links: dict[str, int] = {}
        self._changed = False
        self._counts: defaultdict[str, _Count] = defaultdict(_Count)

    async def find(self, system_id: str) -> System | None:
        """A system, as it is known: a signal of one that is known waits for no query. None for one that the record
        does not have. Raises Unavailable where that cannot be told now: it may have been registered a moment ago."""
        asked = time.monotonic()
        # A read that had begun before may have been too early for it: a system is told that it is none only by one
        # that began later.
        while system_id and self._began_at < asked and (system_id not in self._known or self._changed):
            await self._read_soon()
        found = self._known.get(system_id)
        if found is None and system_id and self._failed:
            raise Unavailable("The record store")
        return found

    async def _read_soon(self) -> None:
        """Read anew, together with all who ask meanwhile."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_in_turn(), name="systems: read")
        await asyncio.wait({self._reading})

    async def _read_in_turn(self) -> None:
        """Not again within a moment of the last time, and no longer than callers wait."""
        if not self._changed:
            await asyncio.sleep(self._began_at + READ_AGAIN_S - time.monotonic())
        self._began_at, self._failed = time.monotonic(), True
        try:
            async with asyncio.timeout(READ_S):
                await self._read()
        except Exception as error:  # noqa: BLE001 - those who wait for it are told that it could not be read
            _log.warning("systems.not_read", error=type(error).__name__)
        else:
            self._failed = False

    def person(self, system_id: str, external_id: str) -> str:
        """Whom a system means by a name; empty: nobody knows."""
        return self._people.get(system_id, {}).get(self.external(system_id, external_id), "")

    def external(self, system_id: str, external_id: str) -> bytes:
        """A system's name for a person, as it is kept."""
        return self._parts.cipher.blind("external person", f"{system_id}/{external_id}")

    def forget(self) -> None:
        """Something changed: read anew before the next use."""
        self._changed = True

    async def _read(self) -> None:
        self._changed = False
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            known = await systems.page(tx, self._parts.cipher, None, MOST)
            links = {each.system_id: each.links for each in known}
            # Those of other systems stay: callers wait no longer than `READ_S` for all of it.
            for system_id in [each for each, count in links.items() if self._links.get(each) != count]:
                self._people[system_id] = await systems.people(tx, system_id)
                self._links[system_id] = links[system_id]
        self._known = {each.system_id: each for each in known}

    def took(self, system_id: str, now: datetime) -> None:
        """A signal of the system was taken. Says once when they become many; each of them stays a call for help."""
        metrics.INBOUND.labels("accepted").inc()
        count = self._counts[system_id]
        count.accepted += 1
        count.last_seen_at = now
        count.lately.append(time.monotonic())
        many = len(count.lately) == MANY_A_MINUTE and count.lately[-1] - count.lately[0] < 60
        if many and not count.flooding:
            metrics.INBOUND_FLOODS.inc()
            _log.error("system.sends_many_signals", system_id=system_id, a_minute=MANY_A_MINUTE)
        count.flooding = many

    def refused(self, system: System, reason: str) -> None:
        """A message in the system's name was refused."""
        metrics.INBOUND.labels(reason).inc()
        count = self._counts[system.system_id]
        count.refused += 1
        count.last_refusal = reason
        _log.warning("system.refused", system_id=system.system_id, reason=reason)

    async def step(self) -> bool:
        """Read what other replicas changed, and write down what was heard here."""
        await self._read()
        await self._write_down()
        return False

    async def _write_down(self) -> None:
        heard = [
            Heard(system_id, each.last_seen_at, each.accepted, each.refused, each.last_refusal)
            for system_id, each in self._counts.items()
            if each.accepted or each.refused
        ]
        if heard:
            async with self._parts.database.transaction(_PRINCIPAL) as tx:
                await systems.hear(tx, sorted(heard, key=lambda each: each.system_id))
            for each in heard:
                count = self._counts[each.system_id]
                count.accepted -= each.accepted
                count.refused -= each.refused
                count.last_refusal = "" if not count.refused else count.last_refusal
