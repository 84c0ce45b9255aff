"""What is measured by looking at it: the page that waits longest, and the gaps in the on-call plan."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from haven_crisis import metrics
from haven_crisis.directory import CHECK_EVERY, Directory
from haven_crisis.domain import coverage
from haven_crisis.domain.escalation import Book
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import audit
from haven_kit.identity import system
from haven_kit.service import Parts

EVERY = timedelta(seconds=5)
_PRINCIPAL = system("crisis/gauges")


class Gauges:
    """Looks."""

    def __init__(self, parts: Parts[CrisisSettings], directory: Directory) -> None:
        self._parts = parts
        self._directory = directory
        self._checked: tuple[Book, datetime] | None = None
        """Of which plan gaps were last looked for, and when: it takes longer than it may every few seconds."""

    async def step(self) -> bool:
        """One look. Never more to do at once."""
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            since = await audit.oldest_page(tx)
        metrics.OLDEST_PAGE.set(0 if since is None else max(0.0, (tx.now - since).total_seconds()))
        await self._look_for_gaps(self._directory.book, tx.now)
        return False

    async def _look_for_gaps(self, book: Book, now: datetime) -> None:
        if self._checked is not None:
            of, at = self._checked
            if of is book and timedelta(0) <= now - at < CHECK_EVERY:
                return
        self._checked = book, now
        # Beside the loop that takes calls for help: a large plan takes seconds.
        begins = await asyncio.to_thread(_gaps, book, now)
        metrics.GAPS.set(len(begins))
        metrics.NEXT_GAP.set((min(begins, default=now + coverage.HORIZON) - now).total_seconds())


def _gaps(book: Book, now: datetime) -> list[datetime]:
    """When each gap of the next 90 days begins."""
    end = now + coverage.HORIZON
    return [
        gap.starts_at
        for rotation in book.rotations.values()
        for gap in coverage.check(rotation, book.away, book.names, now, end).gaps
    ]
