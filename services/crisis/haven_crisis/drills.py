"""The synthetic drill: a signal that goes the whole way to a provider, every hour, so that nobody has to trust that it
would. Nobody on call is paged: its only step is the drills' own channel, or else the last resort.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis import metrics
from haven_crisis.acceptance import Acceptance
from haven_crisis.api import tell
from haven_crisis.channels import Channels
from haven_crisis.directory import Channel, Directory, Responder
from haven_crisis.domain.alerts import Entry, Kind, State
from haven_crisis.domain.escalation import LAST_RESORT_ID, Book, Policy, Step
from haven_crisis.domain.signals import NOBODY, Signal
from haven_crisis.findings import Board, Finding
from haven_crisis.pager import Pager
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import alerts
from haven_crisis.store import drills as store
from haven_kit import ids, logs
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.identity import system
from haven_kit.service import Parts

EVERY = timedelta(seconds=10)
"""How often it is asked whether one is due."""
WITHIN_S = 10.0
"""For a provider to take the page. The objective is two seconds; this is when somebody has to look."""
LEFT_AFTER = timedelta(seconds=60)
"""One that has not ended by then was begun by a replica that ended."""
_log = logs.get(__name__)
_PRINCIPAL = system("crisis/drills")
_POLICY = Policy("drill", (), 0, Step((), timedelta(days=1)))
"""One step, and a deadline that the drill is over long before: nobody is paged for want of an answer."""


class DrillDirectory(Directory):
    """The on-call plan of synthetic drills: nobody is on call, and the last resort is the drills' channel."""

    def __init__(self, cipher: Cipher, settings: CrisisSettings) -> None:
        super().__init__(cipher, settings)
        if settings.crisis_drill_webhook:
            secret = settings.crisis_drill_secret
            channel = Channel("webhook", settings.crisis_drill_webhook, secret.get_secret_value() if secret else "")
            self._last_resort = Responder(LAST_RESORT_ID, "", (channel,))
        self.book = Book({_POLICY.policy_id: _POLICY}, _POLICY.policy_id, {}, frozenset())
        self.version = 1

    async def read(self, tx: Tx) -> Book:  # noqa: ARG002 - as every directory
        """It never changes."""
        return self.book


class Drills:
    """Runs synthetic drills, one replica at a time."""

    def __init__(self, parts: Parts[CrisisSettings], channels: Channels, board: Board) -> None:
        self._parts = parts
        self._board = board
        self._every = timedelta(minutes=parts.settings.crisis_drill_minutes)
        self._directory = DrillDirectory(parts.cipher, parts.settings)
        self._pager = Pager(parts, self._directory, channels)
        self._acceptance = Acceptance(parts, self._directory, self._pager)

    async def step(self) -> bool:
        """Run one when it is due. Never more to do at once."""
        if not self._every or not self._directory.channels(LAST_RESORT_ID):
            return False
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            for row in await store.left(tx, tx.now - LEFT_AFTER):
                await self._end(tx, row["drill_id"], row["alert_id"], "left", None)
            due = await store.claim(tx, self._every)
        if due:
            await self._run()
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            outcome, good_at = await store.last(tx)
        self._board.put(Finding.FAILED_DRILL, int(outcome in ("not_paged", "left")))
        if good_at is not None:
            metrics.DRILL_LAST.set(good_at.timestamp())
        return False

    async def settle(self) -> None:
        """Wait for the pages under way."""
        await self._pager.settle()

    async def _run(self) -> None:
        began = time.monotonic()
        drill_id = ids.new_id()
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            signal = Signal(drill_id, NOBODY, pb.SIGNAL_SOURCE_DRILL, _PRINCIPAL.id, tx.now)
            alert_id = (await self._acceptance.accept(tx, signal)).alert_id
            await store.begin(tx, drill_id, alert_id)
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._pager.settle()
        except TimeoutError:
            _log.warning("drill.slow", alert_id=alert_id)
        seconds = time.monotonic() - began
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            paged = await store.accepted(tx, alert_id)
            await self._end(tx, drill_id, alert_id, "paged" if paged else "not_paged", seconds)
        metrics.DRILLS.labels("paged" if paged else "not_paged").inc()
        if paged:
            metrics.DRILL_SECONDS.observe(seconds)
        _log.info("drill.ended", alert_id=alert_id, outcome="paged" if paged else "not_paged", ms=round(seconds * 1000))

    async def _end(self, tx: Tx, drill_id: str, alert_id: str, outcome: str, seconds: float | None) -> None:
        """Note how it went, and close its alert: nobody is meant to answer."""
        await store.end(tx, drill_id, outcome, seconds)
        alert = await alerts.get(tx, alert_id, lock=True)
        if alert.state is not State.CLOSED:
            closed = Entry(Kind.CLOSED, tx.now, _PRINCIPAL.id, {"follow_up_id": ""})
            after = await alerts.add(tx, self._parts.cipher, alert, [closed])
            tell.closed(tx, after, tx.now, await alerts.chain_head(tx, alert_id))
