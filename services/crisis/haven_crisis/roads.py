"""The roads that a call for help can take: the database, a quorum of NATS servers, this replica's disk, memory.

It takes the first that is open, and whoever is on call is paged on each of them (docs/decisions/0019-accepting.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from haven_crisis import journeys, metrics, policy
from haven_crisis.acceptance import Acceptance, Signal
from haven_crisis.entrances import Entrance
from haven_crisis.keeping.case import Kept
from haven_crisis.keeping.keeping import Keeping, Taken
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.acceptance import Plan
from haven_kit import logs, migrations
from haven_kit.database import Database
from haven_kit.errors import NotFound, Overloaded, Unavailable
from haven_kit.service import Parts

AWAY_S = 1.0
"""For how long a database that did not answer is not asked again: the next call need not wait for it too."""
_log = logs.get(__name__)


class Roads:
    """Takes calls for help in."""

    def __init__(
        self, parts: Parts[CrisisSettings], acceptance: Acceptance, keeping: Keeping, database: Database
    ) -> None:
        self._parts = parts
        self._acceptance = acceptance
        self.keeping = keeping
        self._database = database
        self._away_since = -AWAY_S
        self._late: set[asyncio.Task[Taken]] = set()

    async def take(self, call: Entrance, signal: Signal, *, linked: bool) -> Taken:
        """Accept the signal of a call, and see it through whatever becomes of the call.

        `linked`: the caller may call for the person only where they are linked with them. Raises NotFound where the
        record says that they are not; where it cannot say, the call for help counts.
        """
        return await asyncio.shield(asyncio.create_task(self._take(call, signal, linked), name="signal"))

    async def _take(self, call: Entrance, signal: Signal, linked: bool) -> Taken:
        began = time.monotonic()
        plans: list[Plan] = []
        with metrics.IN_FLIGHT.track_inprogress():
            taken = await self._by_any_road(call, signal, linked, plans)
        plan, seconds = plans[-1], time.monotonic() - began
        journeys.durable(taken.kept.name.lower(), plan.severity, drill=plan.drill, seconds=seconds)
        return taken

    async def _by_any_road(self, call: Entrance, signal: Signal, linked: bool, plans: list[Plan]) -> Taken:
        if not self._away:
            try:
                return await self._in_time(self._in_the_record(call, signal, linked, plans))
            except NotFound:
                raise
            except Exception as error:  # noqa: BLE001 - whatever the database's trouble, there is another road
                _log.warning("signal.not_in_the_record", error=type(error).__name__)
                if isinstance(error, Unavailable | Overloaded | TimeoutError):
                    self._away_since = time.monotonic()
        if not plans:
            plans.append(self._acceptance.plan(signal, self._parts.clock.now()))
        return await self.keeping.take(plans[-1], call.asked(unverified=linked))

    async def _in_time(self, work: Coroutine[Any, Any, Taken]) -> Taken:
        """What the database says within its time. It is not waited for to let go of a connection that says nothing."""
        attempt = asyncio.create_task(work, name="signal in the record")
        done, _ = await asyncio.wait({attempt}, timeout=self._parts.settings.crisis_accept_seconds)
        if done:
            return attempt.result()
        self._late.add(attempt)
        attempt.add_done_callback(self._over)
        attempt.cancel()
        raise TimeoutError

    def _over(self, attempt: asyncio.Task[Taken]) -> None:
        self._late.discard(attempt)
        if not attempt.cancelled() and (error := attempt.exception()) is not None:
            _log.info("signal.attempt_ended", error=type(error).__name__)

    @property
    def _away(self) -> bool:
        """Whether the database did not answer a moment ago, and nobody has heard of it since."""
        return time.monotonic() - self._away_since < AWAY_S and self.keeping.answered_at < self._away_since

    async def _in_the_record(self, call: Entrance, signal: Signal, linked: bool, plans: list[Plan]) -> Taken:
        async with call.transaction(self._database) as tx:
            if linked:
                await policy.require_link(tx, call.principal, signal.person_id)
            call.note(tx, signal.person_id)  # now, so that it is part of the one statement
            accepted = await self._acceptance.accept(tx, signal, plans)
        return Taken(accepted.signal_id, accepted.alert_id, Kept.DATABASE, accepted.place)

    async def open(self) -> bool:
        """Whether any road is open, for readiness. A database that answers and is not migrated is none, and is waited
        for: a release that begins to roll out must not take calls for the one that still can."""
        if await self._database.reachable():
            return await migrations.is_current(self._database, "haven_crisis")
        return self.keeping.can_keep
