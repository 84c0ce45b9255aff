"""What can only be measured by asking the database, and what nothing else would set back to zero."""

from __future__ import annotations

from datetime import timedelta

from haven_crisis import metrics
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import audit
from haven_kit.identity import system
from haven_kit.service import Parts

EVERY = timedelta(seconds=5)
_PRINCIPAL = system("crisis/gauges")


class Gauges:
    """Asks."""

    def __init__(self, parts: Parts[CrisisSettings]) -> None:
        self._parts = parts

    async def step(self) -> bool:
        """One look. Never more to do at once."""
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            since = await audit.oldest_page(tx)
        metrics.OLDEST_PAGE.set(0 if since is None else max(0.0, (tx.now - since).total_seconds()))
        return False
