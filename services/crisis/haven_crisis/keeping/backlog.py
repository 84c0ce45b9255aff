"""Has the record completed with what was kept, beside all else: no page and no call for help waits for it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from haven_crisis import metrics
from haven_crisis.keeping.completing import Completer
from haven_crisis.keeping.keeper import TRIES, Held, Keeper
from haven_crisis.pager import Pager
from haven_kit import logs, tasks
from haven_kit.clock import Clock
from haven_kit.database import ANSWER_TIMEOUT_S
from haven_kit.errors import Overloaded, Unavailable

OWNER_FIRST_S = 3.0
"""How long a case is left to its owner once the database is back."""
NOT_ACTED = timedelta(seconds=5)
"""How late an owner may be before another replica takes its case."""
AT_ONCE = 4
"""Cases that are written at the same time."""
WAITED_S = 1.0
"""For what the record takes at once; the rest goes on beside whoever asked."""
BUDGET_S = 2.0
"""For one case, while nobody pages for it. Doubled each time that it was too little, up to what the database may take
to answer: one that reads and cannot commit must not keep a case from being paged for, nor a slow one keep it out."""
_log = logs.get(__name__)


class Backlog:
    """The cases that wait for the record."""

    def __init__(self, keeper: Keeper, completer: Completer, pager: Pager, clock: Clock) -> None:
        self._keeper = keeper
        self._completer = completer
        self._pager = pager
        self._clock = clock
        self._budget = BUDGET_S
        self._working: asyncio.Task[None] | None = None

    async def work_off(self, back_since: float) -> None:
        """Write into the record, which answers since `back_since`, what it takes now. Never more at once."""
        if self._working is None:
            self._working = asyncio.create_task(self._work_off(back_since), name="kept: complete")
        done, _ = await asyncio.wait({self._working}, timeout=WAITED_S)
        if done:
            ended, self._working = self._working, None
            ended.result()

    async def stop(self) -> None:
        """Write no more."""
        if self._working is not None:
            await tasks.end(self._working)

    async def take_over(self, held: Held) -> bool:
        """Become the owner of a case whose owner does not act. False where another replica was first."""
        async with held.lock:
            return await self._keeper.take_over(held)

    async def leave_to_the_record(self, held: Held) -> None:
        """Whoever claimed the alert has done nothing for it: the replicas that reach the record do, from now on."""
        async with held.lock:
            if held.case.untouched:
                await self._keeper.forget(held)

    async def _work_off(self, back_since: float) -> None:
        # Those that were tried last come last: one that takes too long holds back the others once.
        waiting = sorted(self._keeper.cases.values(), key=lambda held: held.tried_at)
        for start in range(0, len(waiting), AT_ONCE):
            batch = waiting[start : start + AT_ONCE]
            if not all(await asyncio.gather(*(self._complete(each, back_since) for each in batch))):
                self._budget = min(2 * self._budget, ANSWER_TIMEOUT_S)
                break
            self._budget = BUDGET_S
        await self._pager.note_late()

    async def _complete(self, held: Held, back_since: float) -> bool:
        """Each by itself: one that cannot be completed must not hold back the others. It is tried again. False where
        the record took nothing in time."""
        if held.case.untouched:
            return True
        held.tried_at = time.monotonic()
        try:
            if self._keeper.mine(held):
                if self._due(held):
                    return True
            elif held.became is None:
                # That somebody took it is written at once, before anybody is paged by what the record says.
                patience = 0.0 if held.case.acknowledged else OWNER_FIRST_S
                waited = time.monotonic() - max(back_since, held.seen_at)
                if waited < patience or not await self.take_over(held):
                    return True
            await self._written(held)
        except (Unavailable, Overloaded, TimeoutError) as error:
            _log.warning("kept.waiting", alert_id=held.case.alert_id, error=type(error).__name__)
            return False
        except Exception:  # noqa: BLE001 - it must not hold back the others, and is tried again
            _log.exception("kept.not_completed", alert_id=held.case.alert_id)
            metrics.KEPT_FAILURES.inc()
        return True

    def _due(self, held: Held) -> bool:
        """Whether somebody is to be paged right now: that goes first."""
        due_at = held.case.due_at()
        return held.case.acknowledged is None and due_at <= self._clock.now() < due_at + NOT_ACTED

    async def _written(self, held: Held) -> None:
        """Write a case, and all that other replicas write into it meanwhile, into the record; then take it away."""
        async with held.lock:
            held.completing = True
            try:
                async with asyncio.timeout(self._budget):
                    if held.became is None and held.revision and not await self._keeper.still_mine(held):
                        return
                    for _ in range(TRIES):
                        await self._completer.complete(held)
                        if await self._keeper.forget(held):
                            return
            finally:
                held.completing = False
