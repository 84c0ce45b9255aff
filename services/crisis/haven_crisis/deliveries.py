"""Keeps what providers say about pages, and tells them when a page need not stay open."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime, timedelta
from typing import TypeVar

import asyncpg
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels import STAY_OPEN, Channels
from haven_crisis.directory import Channel, Directory
from haven_crisis.pager import Pager
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import deliveries
from haven_crisis.store.deliveries import Sent, Unwritten
from haven_crisis.store.pages import PageState
from haven_kit import logs
from haven_kit.database import Database
from haven_kit.errors import Unavailable
from haven_kit.identity import system
from haven_kit.service import Parts

BATCH = 200
AGAIN = timedelta(seconds=10)
TRIES = 20
SEEK_EVERY = timedelta(minutes=1)
SEEK_BACK = timedelta(hours=1)
SEEK_AFTER = timedelta(seconds=30)
"""By when a replica that lives has written down what it handed over."""
T = TypeVar("T")
_log = logs.get(__name__)
_PRINCIPAL = system("crisis/deliveries")


class Deliveries:
    """Works in the background: no page waits for it."""

    def __init__(self, parts: Parts[CrisisSettings], directory: Directory, pager: Pager, channels: Channels) -> None:
        self._database: Database = parts.database
        self._directory = directory
        self._pager = pager
        self._channels = channels
        self._clock = parts.clock
        self._sought_at: datetime | None = None

    async def step(self) -> bool:
        """Keep what was sent, bring reports into the record, tell providers what is over. True when there is more."""
        await self._channels.prepare(self._directory.kinds)
        kept = await self.keep()
        sought = await self._seek()
        brought = await self._bring()
        told = await self._tell()
        return kept or sought or brought or told

    async def keep(self) -> bool:
        """Write down what was handed to providers since the last time, and what they said. True when there is more."""
        sends, reports = _first(self._channels.sends), _first(self._channels.reports)
        if not sends and not reports:
            return False
        try:
            async with self._database.transaction(_PRINCIPAL) as tx:
                await deliveries.sent(tx, sends)
                for each in reports:
                    await deliveries.report(tx, each)
        except BaseException:
            self._channels.sends.extendleft(reversed(sends))
            self._channels.reports.extendleft(reversed(reports))
            raise
        return BATCH in (len(sends), len(reports))

    async def _seek(self) -> bool:
        """Write down, as far as the pages tell, what replicas that were killed had handed over: a provider that keeps a
        page open is told when it is over all the same."""
        now = self._clock.now()
        if self._sought_at is not None and now - self._sought_at < SEEK_EVERY:
            return False
        async with self._database.transaction(_PRINCIPAL) as tx:
            found = await deliveries.unwritten(tx, now - SEEK_BACK, now - SEEK_AFTER, BATCH)
            if found:
                await self._directory.read(tx)
                await deliveries.sent(tx, [self._as_sent(each) for each in found])
                _log.warning("deliveries.unwritten", pages=len(found))
        if len(found) == BATCH:
            return True
        self._sought_at = now
        return False

    def _as_sent(self, page: Unwritten) -> Sent:
        text = PageText(alert_id=page.alert_id, cycle=page.cycle, stage=page.stage, drill=page.drill)
        channels = self._directory.channels(page.responder_id)
        way = channels[page.place] if page.place < len(channels) else None
        provider = way.provider if way is not None and way.kind == page.channel else ""
        reference = self._channels.reference(page.channel, text)
        return Sent(page.page_id, page.channel, provider, reference, page.accepted_at, page.channel in STAY_OPEN)

    async def finish(self) -> None:
        """Write down the rest, where the database can be reached."""
        try:
            while await self.keep():
                continue
        except Unavailable:
            _log.warning("deliveries.not_kept", sends=len(self._channels.sends))

    async def _bring(self) -> bool:
        async with self._database.transaction(_PRINCIPAL) as tx:
            rows = await deliveries.unapplied(tx, BATCH)
            if rows:
                await self._directory.read(tx)
            for row in rows:
                if row["reported"] == PageState.DELIVERED:
                    await deliveries.delivered(tx, row["page_id"])
                else:
                    await self._pager.failed_later(tx, row["page_id"], row["reason"])
                await deliveries.applied(tx, row["page_id"])
        return len(rows) == BATCH

    async def _tell(self) -> bool:
        async with self._database.transaction(_PRINCIPAL) as tx:
            rows = await deliveries.over(tx, AGAIN, BATCH)
            if rows:
                await self._directory.read(tx)
        if not rows:
            return False
        done = [
            row["page_id"] for row, over in zip(rows, await asyncio.gather(*map(self._over, rows)), strict=True) if over
        ]
        async with self._database.transaction(_PRINCIPAL) as tx:
            await deliveries.settled(tx, done)
        return len(rows) == BATCH

    async def _over(self, row: asyncpg.Record) -> bool:
        """Tell one provider. True when that is done with: it knows, or it cannot be told."""
        channel = self._channel(row["responder_id"], row["place"], row["channel"], row["provider"])
        if channel is None or row["tries"] >= TRIES:
            return True
        return (await self._channels.send_over(channel, row["reference"])).state is PageState.ACCEPTED

    def _channel(self, responder_id: str, place: int, kind: str, provider: str) -> Channel | None:
        """The channel that a page went by, unless its owner has changed it since."""
        channels = self._directory.channels(responder_id)
        found = channels[place] if place < len(channels) else None
        return found if found is not None and (found.kind, found.provider) == (kind, provider) else None


def _first(held: deque[T]) -> list[T]:
    """A batch from the left."""
    return [held.popleft() for _ in range(min(BATCH, len(held)))]
