"""The records that accepting, paging, escalating and auditing go through, so that the very same code runs on
PostgreSQL and, in the simulation, on a model of it in memory (docs/decisions/0033-simulation.md).

`POSTGRES` is what runs: the modules of `store`. Each says what its functions mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from haven_crisis.domain.alerts import Alert, Entry
from haven_crisis.store import acceptance, alerts, follow_ups, pages
from haven_crisis.store.acceptance import Plan
from haven_crisis.store.alerts import Told
from haven_crisis.store.pages import Draft, Job, PageState, Round
from haven_kit.cipher import Cipher
from haven_kit.database import Tx

Row = Mapping[str, Any]


class SignalRecords(Protocol):
    """As `store.acceptance`."""

    async def accept(self, tx: Tx, plan: Plan) -> Row | None:
        """Make a signal durable; None where its id is taken."""

    async def known(self, tx: Tx, signal_id: str) -> Row | None:
        """What became of the signal that has the id."""


class AlertRecords(Protocol):
    """As `store.alerts`."""

    async def get(self, tx: Tx, alert_id: str, *, lock: bool = False) -> Alert:
        """One alert. Raises NotFound."""

    async def add(
        self, tx: Tx, cipher: Cipher, alert: Alert, entries: Sequence[Entry], told: Told | None = None
    ) -> Alert:
        """The alert after the entries, saved."""

    async def due(self, tx: Tx, now: datetime, limit: int) -> list[tuple[Alert, str]]:
        """Alerts whose deadline has passed, locked; those that others hold are left out."""

    async def overdue(self, tx: Tx, before: datetime, grace: timedelta) -> list[str]:
        """Alerts whose deadline passed long ago."""


class PageRecords(Protocol):
    """As `store.pages`."""

    async def create(self, tx: Tx, of: Round, drafts: Sequence[Draft], worker: str, lease_until: datetime) -> list[Job]:
        """Make pages that this replica sends after the commit. The alert must be locked."""

    async def queue(self, tx: Tx, of: Round, drafts: Sequence[Draft], due_at: datetime) -> None:
        """Make pages that any replica claims when they are due."""

    async def claim(self, tx: Tx, worker: str, lease_until: datetime, limit: int) -> list[Job]:
        """Pages that are due, claimed for this replica."""

    async def gather(self, tx: Tx, worker: str, lease_until: datetime, apart: timedelta, limit: int) -> list[Job]:
        """Pages of a flood that go to one responder on one channel as one message, claimed for this replica."""

    async def together(self, tx: Tx, page_id: str) -> list[tuple[str, str]]:
        """The pages that went out as one message with this one, each with its alert."""

    async def accepted(
        self, tx: Tx, page_id: str, worker: str, facts: Mapping[str, str], event: tuple[Any, ...]
    ) -> bool:
        """Note that a provider took a page. False when its lease had run out."""

    async def ended(self, tx: Tx, page_id: str, worker: str, state: PageState, failure: str) -> bool:
        """Note a page that no provider took for certain. False when its lease had run out."""

    async def given_back(self, tx: Tx, page_id: str, worker: str) -> bool:
        """Queue a claimed page that was not sent. False when its lease had run out."""

    async def failed_later(self, tx: Tx, page_id: str, failure: str) -> Job | None:
        """Note that a page which a provider had taken never arrived."""

    async def being_paged(self, tx: Tx, alert_id: str, cycle: int) -> list[tuple[int, str, int]]:
        """Stage, responder and place of the pages of a cycle."""

    async def stuck(self, tx: Tx, before: datetime) -> int:
        """How many pages should be on their way and are not."""


class FollowUpRecords(Protocol):
    """As `store.follow_ups`."""

    async def missed(self, tx: Tx, now: datetime, limit: int) -> list[str]:
        """Those due and not recorded."""

    async def claim(self, tx: Tx, follow_up_id: str) -> Row | None:
        """One that nobody recorded, locked; None where somebody did, or works on it."""

    async def miss(self, tx: Tx, follow_up_id: str, new_alert_id: str) -> None:
        """Note that it was missed."""

    async def overdue(self, tx: Tx, before: datetime) -> int:
        """How many are neither recorded nor missed in time."""


@dataclass(frozen=True, slots=True)
class Records:
    """All of them."""

    signals: SignalRecords
    alerts: AlertRecords
    pages: PageRecords
    follow_ups: FollowUpRecords


POSTGRES = Records(acceptance, alerts, pages, follow_ups)
