"""Tells the last resort what the service found wrong with itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from haven.crisis.v1.page_pb2 import PageText

from haven_crisis import metrics
from haven_crisis.channels import Channels
from haven_crisis.directory import Directory
from haven_crisis.domain.escalation import LAST_RESORT_ID
from haven_crisis.findings import Board, Finding
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import audit
from haven_crisis.store.pages import PageState
from haven_kit import ids, logs
from haven_kit.errors import Unavailable
from haven_kit.identity import system
from haven_kit.service import Parts

EVERY = timedelta(seconds=10)
AGAIN_AFTER = timedelta(hours=1)
_log = logs.get(__name__)
_PRINCIPAL = system("crisis/telling")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Telling:
    """Tells of each urgent finding at once, and every hour while it stays. One replica tells for all."""

    def __init__(self, parts: Parts[CrisisSettings], directory: Directory, channels: Channels, board: Board) -> None:
        self._parts = parts
        self._directory = directory
        self._channels = channels
        self._board = board
        self._told: dict[Finding, datetime] = {}
        """What this replica told while there was no database to note it in."""

    async def step(self) -> bool:
        """Tell what is to be told. Never more to do at once."""
        for finding in self._board.urgent():
            if await self._is_mine(finding) and not await self._tell(finding):
                _log.error("finding.not_told", finding=finding.value)
                await self._give_back(finding)
        return False

    async def _is_mine(self, finding: Finding) -> bool:
        """Whether nobody has told it lately. Replicas that cannot ask each other, for want of a database, all tell."""
        now = self._parts.clock.now()
        try:
            async with self._parts.database.transaction(_PRINCIPAL) as tx:
                return await audit.tell(tx, finding.value, now - AGAIN_AFTER)
        except Unavailable:
            if now - self._told.get(finding, _NEVER) < AGAIN_AFTER:
                return False
        self._told[finding] = now
        return True

    async def _give_back(self, finding: Finding) -> None:
        self._told.pop(finding, None)
        try:
            async with self._parts.database.transaction(_PRINCIPAL) as tx:
                await audit.untell(tx, finding.value)
        except Unavailable:
            _log.warning("finding.not_given_back", finding=finding.value)

    async def _tell(self, finding: Finding) -> bool:
        """Whether a provider took it."""
        sends = [self._channels.send(each, self._text(finding)) for each in self._directory.channels(LAST_RESORT_ID)]
        outcomes = await asyncio.gather(*sends)
        told = any(each.state is PageState.ACCEPTED for each in outcomes)
        metrics.TOLD.labels(finding.value, "accepted" if told else "failed").inc()
        return told

    def _text(self, finding: Finding) -> PageText:
        text = PageText(
            page_id=ids.new_id(),
            title=f"Haven: the crisis service needs its operators ({finding.value}, see the runbook of that name)",
            link=f"{self._parts.settings.crisis_url.rstrip('/')}/console/",
        )
        text.raised_at.FromDatetime(self._parts.clock.now())
        return text
