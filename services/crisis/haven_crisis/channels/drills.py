"""What may keep a page from somebody: for drills alone. A real alert passes here untouched."""

from __future__ import annotations

from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.outcome import Outcome
from haven_crisis.directory import Channel
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.pages import PageState
from haven_kit.clock import Clock

QUIET = Outcome(PageState.NOT_NEEDED, "drill in quiet hours")


class Drills:
    """Test mode and quiet hours."""

    def __init__(self, settings: CrisisSettings, clock: Clock) -> None:
        self._clock = clock
        secret = settings.crisis_drill_secret
        self._instead: Channel | None = None
        if settings.crisis_drill_webhook:
            self._instead = Channel(
                "webhook", settings.crisis_drill_webhook, secret.get_secret_value() if secret else ""
            )

    def way(self, channel: Channel, page: PageText) -> Channel | Outcome:
        """Where a page goes: its own channel, always, unless it is a drill's."""
        if not page.drill:
            return channel
        if self._instead is not None:
            return self._instead
        quiet = channel.quiet
        return QUIET if quiet is not None and quiet.at(self._clock.now()) else channel
