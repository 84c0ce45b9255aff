"""The auditor: looks, independently of the other loops, whether anybody was forgotten."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from haven_crisis import metrics
from haven_crisis.directory import Directory
from haven_crisis.domain.escalation import LAST_RESORT_ID
from haven_crisis.findings import Board, Finding
from haven_crisis.pager import Pager
from haven_crisis.records import POSTGRES, Records
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.pages import Round
from haven_kit.database import Tx
from haven_kit.identity import system
from haven_kit.service import Parts

EVERY = timedelta(seconds=30)
GRACE = timedelta(seconds=30)
"""How late a loop may be before the auditor speaks up."""
_PRINCIPAL = system("crisis/auditor")


class Auditor:
    """Finds alerts, pages and follow-ups that are past due, says so loudly, and pages the last resort for alerts."""

    def __init__(
        self,
        parts: Parts[CrisisSettings],
        directory: Directory,
        pager: Pager,
        records: Records = POSTGRES,
        board: Board | None = None,
    ) -> None:
        self._parts = parts
        self._board = board or Board()
        self._directory = directory
        self._pager = pager
        self._records = records

    async def look(self) -> bool:
        """One look. Never more to do at once."""
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            await self._directory.read(tx)
            late = await self._records.alerts.overdue(tx, tx.now, GRACE)
            stuck = await self._records.pages.stuck(tx, tx.now - GRACE)
            forgotten = await self._records.follow_ups.overdue(tx, tx.now - GRACE)
            for alert_id in late:
                await self._page_last_resort(tx, alert_id)
        # Beside the loop that takes calls for help: 90 days of a plan of many layers take a while to look through.
        problems = await asyncio.to_thread(self._directory.problems, self._parts.clock.now())
        metrics.PROBLEMS.set(len(problems))
        self._board.put(Finding.LATE_ALERTS, len(late))
        self._board.put(Finding.STUCK_PAGES, stuck)
        self._board.put(Finding.LATE_FOLLOW_UPS, forgotten)
        self._board.put(Finding.ON_CALL_PROBLEMS, len(problems))
        return False

    async def refresh(self) -> bool:
        """Renew this replica's copy of who is on call, so that no signal has to wait for it."""
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            await self._directory.read(tx)
        return False

    async def _page_last_resort(self, tx: Tx, alert_id: str) -> None:
        # Without a lock: whoever holds one may be the very reason why nothing happens.
        alert = await self._records.alerts.get(tx, alert_id)
        # Stages of the escalation are small numbers: this one is nobody's but the auditor's, one a look.
        stage = 1_000_000 + int(tx.now.timestamp() // EVERY.total_seconds()) % 1_000_000
        of = Round(alert_id, alert.cycle, stage, alert.drill, alert.raised_at, "")
        await self._pager.page(tx, of, self._pager.drafts([LAST_RESORT_ID], alert.severity))
