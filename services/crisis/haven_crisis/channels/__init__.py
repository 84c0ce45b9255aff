"""The channels of a page: one adapter for each kind of provider. Each says whether the provider took it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection

from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.adapter import Adapter
from haven_crisis.channels.alertmanager import Alertmanager
from haven_crisis.channels.apprise import Apprise
from haven_crisis.channels.drills import Drills
from haven_crisis.channels.email import Email
from haven_crisis.channels.health import Health
from haven_crisis.channels.http import Http
from haven_crisis.channels.outcome import ACCEPTED, NO_ANSWER, Outcome, failed
from haven_crisis.channels.pager_duty import PagerDuty
from haven_crisis.channels.twilio import Account, Sms, Voice
from haven_crisis.channels.web_push import WebPush
from haven_crisis.channels.webhook import Webhook
from haven_crisis.directory import Channel
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.deliveries import Report, Sent
from haven_crisis.store.pages import PageState
from haven_kit import logs
from haven_kit.clock import Clock

__all__ = ["ACCEPTED", "Channels", "Outcome"]

REMEMBERED = 20_000
STAY_OPEN = frozenset({"pager_duty", "alertmanager"})
"""Kinds whose provider keeps a page open until it is told."""
_log = logs.get(__name__)


class Channels:
    """Every adapter, with long-lived clients of the providers. Close them."""

    def __init__(self, settings: CrisisSettings, clock: Clock) -> None:
        self._timeout = settings.page_timeout_seconds
        self._clock = clock
        self._drills = Drills(settings, clock)
        self._health = Health()
        self.sends: deque[Sent] = deque(maxlen=REMEMBERED)
        """Pages that were handed to providers and are not written down yet. The oldest are forgotten."""
        self.reports: deque[Report] = deque(maxlen=REMEMBERED)
        """What providers said about pages and is not written down yet."""
        self._http = Http(self._timeout)
        self._apprise = Apprise(self._timeout)
        account = Account(self._http, settings)
        self._adapters: dict[str, Adapter] = {
            "webhook": Webhook(self._http, clock),
            "email": Email(settings),
            "sms": Sms(account),
            "voice": Voice(account),
            "pager_duty": PagerDuty(self._http, settings),
            "alertmanager": Alertmanager(self._http, clock),
            "web_push": WebPush(self._http, clock, settings),
            "apprise": self._apprise,
        }

    async def send(self, channel: Channel, page: PageText) -> Outcome:
        """Hand a page to the channel's provider. Ends within the page timeout, and never raises: whatever is wrong
        with one channel, the next one is to be tried."""
        way = self._drills.way(channel, page)
        if isinstance(way, Outcome):
            return way
        return await self._try(way, page.page_id, lambda adapter: adapter.page(way, page))

    async def send_code(self, channel: Channel, code: str) -> Outcome:
        """Send the code that shows that the channel reaches its owner. As `send`."""
        return await self._try(channel, "", lambda adapter: adapter.code(channel, code))

    async def send_over(self, channel: Channel, reference: str) -> Outcome:
        """Tell a provider that keeps a page open that somebody has the alert; accepted by those that keep none."""
        return await self._try(channel, "", lambda adapter: _over(adapter, channel, reference))

    def reference(self, kind: str, page: PageText) -> str:
        """The id of a page at a provider that goes by ours; empty for those that give their own."""
        adapter = self._adapters.get(kind)
        return adapter.reference(page) if isinstance(adapter, PagerDuty | Alertmanager) else ""

    async def prepare(self, kinds: Collection[str]) -> None:
        """Make ready for the kinds that there are, before a page waits for it."""
        if "apprise" in kinds:
            await self._apprise.prepare()

    def healthy(self, provider: str) -> bool:
        """Whether a send to this provider may be expected to go well. One that is not well is tried beside the next
        channel rather than waited for."""
        return self._health.well(provider, self._clock.now())

    async def _try(self, channel: Channel, page_id: str, send: Callable[[Adapter], Awaitable[Outcome]]) -> Outcome:
        adapter = self._adapters.get(channel.kind)
        if adapter is None:
            return failed("no adapter")
        outcome = await self._answer(adapter, channel, page_id, send)
        now = self._clock.now()
        well = outcome.state is PageState.ACCEPTED
        self._health.note(channel.provider, outcome, now)
        if page_id:
            kept_open = well and channel.kind in STAY_OPEN
            self.sends.append(Sent(page_id, channel.kind, channel.provider, outcome.reference, now, kept_open))
        return outcome

    async def _answer(
        self, adapter: Adapter, channel: Channel, page_id: str, send: Callable[[Adapter], Awaitable[Outcome]]
    ) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout):
                return await send(adapter)
        except TimeoutError:
            return NO_ANSWER
        except Exception:  # noqa: BLE001 - a secret or an address that no library takes, say
            _log.exception("page.channel_broken", page_id=page_id, channel=channel.kind)
            return failed("channel broken")

    async def close(self) -> None:
        """Let go of connections."""
        self._apprise.close()
        await self._http.close()


async def _over(adapter: Adapter, channel: Channel, reference: str) -> Outcome:
    return await adapter.over(channel, reference) if isinstance(adapter, PagerDuty | Alertmanager) else ACCEPTED
