"""The channels of a page: one adapter for each kind of provider. Each says whether the provider took it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.adapter import Adapter
from haven_crisis.channels.email import Email
from haven_crisis.channels.http import Http
from haven_crisis.channels.outcome import ACCEPTED, NO_ANSWER, Outcome, failed
from haven_crisis.channels.webhook import Webhook
from haven_crisis.directory import Channel
from haven_crisis.settings import CrisisSettings
from haven_kit import logs
from haven_kit.clock import Clock

__all__ = ["ACCEPTED", "Channels", "Outcome"]

_log = logs.get(__name__)


class Channels:
    """Every adapter, with long-lived clients of the providers. Close them."""

    def __init__(self, settings: CrisisSettings, clock: Clock) -> None:
        self._timeout = settings.page_timeout_seconds
        self._http = Http(self._timeout)
        self._adapters: dict[str, Adapter] = {"webhook": Webhook(self._http, clock), "email": Email(settings)}

    async def send(self, channel: Channel, page: PageText) -> Outcome:
        """Hand a page to the channel's provider. Ends within the page timeout, and never raises: whatever is wrong
        with one channel, the next one is to be tried."""
        return await self._try(channel, page.page_id, lambda adapter: adapter.page(channel, page))

    async def send_code(self, channel: Channel, code: str) -> Outcome:
        """Send the code that shows that the channel reaches its owner. As `send`."""
        return await self._try(channel, "", lambda adapter: adapter.code(channel, code))

    async def _try(self, channel: Channel, page_id: str, send: Callable[[Adapter], Awaitable[Outcome]]) -> Outcome:
        adapter = self._adapters.get(channel.kind)
        if adapter is None:
            return failed("no adapter")
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
        await self._http.close()
