"""Alerts that the record had when it went away, as this replica last read of them: those that were open, and the pages
of those that nobody had answered.

Whoever acts on one without the record claims it first, in the stream. A replica that reaches the record takes the claim
away, so that one that stands is the sign that none does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from datetime import timedelta

from haven_crisis.domain.alerts import UNANSWERED, State
from haven_crisis.keeping.case import Case
from haven_crisis.keeping.keeper import Held, Keeper
from haven_crisis.store import kept
from haven_crisis.store.deliveries import Paged
from haven_crisis.store.kept import Open
from haven_kit import ids
from haven_kit.clock import Clock
from haven_kit.database import Tx

OTHERS_FIRST = timedelta(seconds=4)
"""How long an alert of the record is claimed before it is paged from memory: a replica that reaches the database goes
first."""
OTHERS_LOOK_S = 2.0
"""How long it is claimed before somebody can take it: the others look each second."""


class Claims:
    """One replica's."""

    def __init__(self, keeper: Keeper, clock: Clock) -> None:
        self._keeper = keeper
        self._clock = clock
        self._open: dict[str, Open] = {}
        self._paged: dict[str, Paged] = {}

    async def read(self, tx: Tx) -> None:
        """What is open in the record now. Drills are left to the record."""
        found = await kept.open_alerts(tx)
        paged = await kept.being_paged(tx)
        self._open = {each.person_id: each for each in reversed(found) if not each.drill}
        self._paged = {each.page_id: each for each in paged}

    def alert_of(self, person_id: str) -> Open | None:
        """The person's open alert."""
        return self._open.get(person_id)

    def forget(self, person_id: str) -> None:
        """The person's open alert is not to be acted on."""
        self._open.pop(person_id, None)

    def page(self, page_id: str) -> Paged | None:
        """One page of an alert that nobody had answered."""
        return self._paged.get(page_id)

    def pages_to(self, responder_ids: Collection[str]) -> list[Paged]:
        """The pages to these responders, the newest first."""
        return [each for each in self._paged.values() if each.responder_id in responder_ids]

    def was_paged(self, alert_id: str, responder_id: str) -> bool:
        """Whether a responder was paged for an alert that nobody had answered."""
        return any(each.alert_id == alert_id for each in self.pages_to((responder_id,)))

    async def overdue(self) -> None:
        """Claim the alerts that nobody answered in time, and that no replica can escalate in the record now.

        The claim makes sure that one replica does. Without NATS nobody does: two replicas that cannot speak with each
        other would both page.
        """
        for each in list(self._open.values()):
            if each.next_deadline <= self._clock.now() and each.alert_id not in self._keeper.cases:
                await self._claim(each)

    async def claim(self, alert_id: str) -> Held | None:
        """Claim one alert. None where it is not known here, or cannot be claimed."""
        known = next((each for each in self._open.values() if each.alert_id == alert_id), None)
        return await self._claim(known) if known is not None else None

    async def none_reaches_the_record(self, held: Held) -> None:
        """Wait until a replica that reaches the record would have taken a claim away."""
        await asyncio.sleep(max(0.0, held.seen_at + OTHERS_LOOK_S - time.monotonic()))

    async def _claim(self, alert: Open) -> Held | None:
        if State(alert.state) not in UNANSWERED:
            return None
        case = Case(
            case_id=ids.new_id(),
            alert_id=alert.alert_id,
            person_id=alert.person_id,
            drill=alert.drill,
            severity=alert.severity,
            raised_at=alert.raised_at,
            owner=self._keeper.replica,
            stage=alert.stage,
            deadline=max(alert.next_deadline, self._clock.now() + OTHERS_FIRST),
            traceparent=alert.traceparent,
            turn=alert.turn,
        )
        held = Held(case)
        if not await self._keeper.claim(held):
            return None
        return self._keeper.cases.setdefault(alert.alert_id, held)
