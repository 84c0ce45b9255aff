"""Which providers fail just now."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from datetime import datetime, timedelta

from haven_crisis.channels.outcome import Outcome
from haven_crisis.store.pages import PageState

FAILURES = 3
WITHIN = timedelta(minutes=1)
_OF_PROVIDER = re.compile(r"unreachable$|status (429|5\d\d)")


class Health:
    """How the last sends went, by provider.

    A provider whose last sends all failed within a minute is not well: it is still tried, and the next channel beside
    it rather than after it. One send that it takes makes it well.
    """

    def __init__(self) -> None:
        self._failed: defaultdict[str, deque[datetime]] = defaultdict(lambda: deque(maxlen=FAILURES))

    def note(self, provider: str, outcome: Outcome, now: datetime) -> None:
        """A send went so. A number that does not exist says nothing about the provider, and is left out."""
        if outcome.state is PageState.ACCEPTED:
            self._failed.pop(provider, None)
        elif outcome.state is PageState.UNKNOWN or _OF_PROVIDER.match(outcome.reason):
            self._failed[provider].append(now)

    def well(self, provider: str, now: datetime) -> bool:
        """Whether a send may be expected to go well."""
        failed = self._failed.get(provider)
        return failed is None or len(failed) < FAILURES or now - failed[0] > WITHIN
