"""Tells the privacy reviewer that somebody opened an alert in an emergency.

It is no page of the alert: there is nothing to take, it stops no paging, and it opens nothing to the reviewer.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis import metrics, texts
from haven_crisis.channels import Channels
from haven_crisis.directory import Directory
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import break_glass
from haven_crisis.store.pages import PageState
from haven_kit import logs
from haven_kit.identity import system
from haven_kit.service import Parts

EVERY = timedelta(seconds=10)
BATCH = 20
_log = logs.get(__name__)
_PRINCIPAL = system("crisis/reviewer")


class Reviewer:
    """Tells on every channel of the reviewer, and again until a provider took it or the use is reviewed. Safe on many
    replicas: each tells of what it claimed; what a replica that died had claimed is told by another."""

    def __init__(self, parts: Parts[CrisisSettings], directory: Directory, channels: Channels) -> None:
        self._parts = parts
        self._directory = directory
        self._channels = channels
        self._reviewer = parts.settings.crisis_privacy_reviewer

    async def step(self) -> bool:
        """Tell of what is due. True when there may be more."""
        if self._reviewer is None:
            return False
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            await self._directory.read(tx)
            due = await break_glass.claim_untold(tx, tx.now, BATCH)
        told = await asyncio.gather(*(self._tell(self._reviewer, each) for each in due))
        done = [each["break_glass_id"] for each, was_told in zip(due, told, strict=True) if was_told]
        if done:
            async with self._parts.database.transaction(_PRINCIPAL) as tx:
                await break_glass.told(tx, done)
        return len(due) == BATCH

    async def _tell(self, reviewer: str, used: asyncpg.Record) -> bool:
        """Whether a provider took it, or the reviewer wants no drill at this hour."""
        channels = self._directory.channels(reviewer)
        outcomes = await asyncio.gather(*(self._channels.send(each, self._text(used)) for each in channels))
        told = any(each.state in (PageState.ACCEPTED, PageState.NOT_NEEDED) for each in outcomes)
        metrics.BREAK_GLASS_TOLD.labels("accepted" if told else "failed").inc()
        if not told:
            _log.error(
                "break_glass.not_told",
                alert_id=used["alert_id"],
                break_glass_id=used["break_glass_id"],
                responder_id=reviewer,
                channels=len(channels),
            )
        return told

    def _text(self, used: asyncpg.Record) -> PageText:
        text = PageText(
            page_id=used["break_glass_id"],
            title=texts.glass_broken_title(drill=used["drill"]),
            link=f"{self._parts.settings.crisis_url.rstrip('/')}/console/#/reviews",
            drill=used["drill"],
            resent=used["again"],
        )
        text.raised_at.FromDatetime(used["used_at"])
        return text
