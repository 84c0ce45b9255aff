"""Verifies timelines: nothing was changed, nothing is missing, and replaying them gives the alerts.

What changed lately is looked at each time, and beside it a few alerts more, so that all are in the course of time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from haven_crisis.findings import Board, Finding
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import alerts, audit
from haven_crisis.store.audit import Place
from haven_kit import logs
from haven_kit.errors import NotFound
from haven_kit.identity import system
from haven_kit.service import Parts

EVERY = timedelta(seconds=30)
BATCH = 200
"""Alerts that changed and are looked at each time, at most."""
OLD = 20
"""Alerts of any age that are looked at each time."""
SETTLED = timedelta(seconds=2)
"""What changed since may be of transactions that have not committed."""
_FIRST = "00000000-0000-0000-0000-000000000000"
_START: Place = (datetime(1970, 1, 1, tzinfo=UTC), _FIRST)
_log = logs.get(__name__)
_PRINCIPAL = system("crisis/timelines")


class Timelines:
    """One replica's walk through all timelines. What it finds broken it looks at again each time."""

    def __init__(self, parts: Parts[CrisisSettings], board: Board) -> None:
        self._parts = parts
        self._board = board
        self._changed: Place = (parts.clock.now() - timedelta(hours=1), _FIRST)
        self._old: Place = _START
        self._broken: set[str] = set()

    async def look(self) -> bool:
        """One look. Never more to do at once: in a flood of calls for help it waits, and catches up afterwards."""
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            lately = await audit.changed(tx, self._changed, tx.now - SETTLED, BATCH)
            old = await audit.raised(tx, self._old, OLD)
        for alert_id in sorted({each for _, each in (*lately, *old)} | self._broken):
            await self._verify(alert_id)
        self._changed = lately[-1] if lately else self._changed
        self._old = old[-1] if len(old) == OLD else _START
        self._board.put(Finding.BROKEN_TIMELINES, len(self._broken))
        return False

    async def _verify(self, alert_id: str) -> None:
        """Each in a transaction of its own, so that none is held for long."""
        try:
            async with self._parts.database.transaction(_PRINCIPAL) as tx:
                problem = await alerts.verify(tx, alert_id)
        except (NotFound, KeyError, ValueError) as error:
            # Entries that cannot be replayed at all: facts are missing, or of a kind that nobody knows.
            problem = type(error).__name__
        if problem is None:
            self._broken.discard(alert_id)
        elif alert_id not in self._broken:
            self._broken.add(alert_id)
            _log.error("timeline.broken", alert_id=alert_id)
