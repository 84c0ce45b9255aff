"""What the RPCs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from haven_crisis import journeys, policy
from haven_crisis.acceptance import Acceptance
from haven_crisis.api import tell
from haven_crisis.directory import Directory
from haven_crisis.domain import commands
from haven_crisis.domain.alerts import Alert, Entry, Limits
from haven_crisis.domain.escalation import Book
from haven_crisis.domain.rules import RuleBroken
from haven_crisis.pager import Pager
from haven_crisis.roads import Roads
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import alerts, pages
from haven_crisis.store.alerts import Told
from haven_crisis.systems import Systems
from haven_kit.call import Call
from haven_kit.database import Database, Tx
from haven_kit.errors import NotFound, Refused
from haven_kit.paging import Page
from haven_kit.service import Parts


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of the service that RPCs use, and what several of them do alike."""

    parts: Parts[CrisisSettings]
    directory: Directory
    pager: Pager
    acceptance: Acceptance
    roads: Roads
    systems: Systems
    watches: Database
    """What watches look through: connections of their own, so that who answers an alert does not queue behind them."""

    @property
    def limits(self) -> Limits:
        """How long a responder has."""
        settings = self.parts.settings
        return Limits(
            lease=timedelta(seconds=settings.crisis_lease_seconds),
            close_within=timedelta(seconds=settings.crisis_close_within_seconds),
        )

    async def book(self, tx: Tx) -> Book:
        """Who is on call, as of now."""
        return await self.directory.read(tx)

    async def alert(self, call: Call, alert_id: str, *, lock: bool = False) -> Alert:
        """An alert that the caller may see. Raises NotFound."""
        alert = await alerts.get(call.tx, alert_id, lock=lock)
        await policy.may_see(call, alert, await self.book(call.tx))
        call.about(alert.person_id)
        return alert

    async def command(
        self, call: Call, alert_id: str, decide: Callable[[Alert], Sequence[Entry]], told: Told | None = None
    ) -> tuple[Alert, Alert]:
        """The alert before and after what `decide` adds. Raises NotFound, or Refused where a rule is broken."""
        before = await self.alert(call, alert_id, lock=True)
        return before, await self.add(call.tx, before, decide, told)

    async def add(
        self, tx: Tx, alert: Alert, decide: Callable[[Alert], Sequence[Entry]], told: Told | None = None
    ) -> Alert:
        """The locked alert after what `decide` adds. Raises Refused where a rule is broken."""
        try:
            entries = decide(alert)
        except RuleBroken as broken:
            raise Refused(broken.rule, broken.message) from broken
        return await alerts.add(tx, self.parts.cipher, alert, entries, told)

    async def acknowledge(self, tx: Tx, alert_id: str, responder_id: str, channel: str) -> Alert:
        """`responder_id` takes the alert, as they said by `channel`: `link`, `sms`, `voice`, `push`.

        The caller has made sure that it was they who said so, and opens the transaction as them. It takes its turn with
        the escalator: whoever locks the alert first is first. Raises NotFound for an alert they were never paged for,
        Refused("taken") where a colleague has it, Refused("closed") where it is over. Twice is the same as once.
        """
        alert = await alerts.get(tx, alert_id, lock=True)
        if responder_id != alert.responder_id and not await pages.was_paged(tx, alert.alert_id, responder_id):
            raise NotFound("alert")
        tx.audit(alert.person_id, action=f"crisis/{channel}", seen_as="took your call for help")
        return await self.take(tx, alert, responder_id, channel)

    async def take(self, tx: Tx, alert: Alert, by: str, channel: str = "") -> Alert:
        """The locked alert, taken by somebody who may see it; told and counted where that changed anything.

        Raises Refused("observer") for somebody who only watches, unless it was given to them by name.
        """
        if by not in (alert.responder_id, alert.offered_to) and self.directory.book.observes(by, tx.now):
            raise Refused("observer", "You watch this rotation and cannot take its alerts. Whoever is on call can.")
        after = await self.add(tx, alert, lambda alert: commands.acknowledge(alert, by, tx.now, self.limits, channel))
        if alert.offered_to == by and after.responder_id == by:
            tell.handed_over(tx, alert, after)
        elif after.seq != alert.seq:
            tell.acknowledged(tx, after)
            journeys.acknowledged(after, await alerts.called_at(tx, after), tx.now)
        return after


def after(page: Page) -> tuple[datetime, str] | None:
    """The sort key in a page token of a list by time and id."""
    if page.after is None:
        return None
    at, key = page.after
    return EPOCH + timedelta(microseconds=at), key


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(at: datetime) -> int:
    """A time as a number that keeps its microseconds."""
    return (at - EPOCH) // timedelta(microseconds=1)
