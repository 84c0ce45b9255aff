"""Accepting a call for help: what it asks for is planned from memory, then made durable in one statement.

This is the one place where a signal becomes durable. Where it goes while the database is away is `roads`' to decide.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid5

from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis import facts, metrics
from haven_crisis.directory import Directory
from haven_crisis.domain.alerts import State
from haven_crisis.domain.escalation import stage_from, stages_from
from haven_crisis.domain.severity import Severity
from haven_crisis.domain.signals import Signal
from haven_crisis.journeys import JOURNEYS
from haven_crisis.pager import Pager
from haven_crisis.records import POSTGRES, Records, Row
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import alerts, pages
from haven_crisis.store.acceptance import Plan
from haven_crisis.store.pages import Draft, Round
from haven_kit import ids, telemetry
from haven_kit.database import Tx
from haven_kit.errors import Internal
from haven_kit.service import Parts

__all__ = ["Acceptance", "Accepted", "Signal"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a signal."""

    signal_id: str
    alert_id: str
    raised: bool
    """It opened the alert. False: it joined one, or was known already."""
    place: bytes | None = None
    """Where the person is, sealed, as far as it is known."""


class Acceptance:
    """Takes signals in."""

    def __init__(
        self, parts: Parts[CrisisSettings], directory: Directory, pager: Pager, records: Records = POSTGRES
    ) -> None:
        self._parts = parts
        self._directory = directory
        self._pager = pager
        self._records = records

    async def accept(self, tx: Tx, signal: Signal, plans: list[Plan] | None = None) -> Accepted:
        """Make a signal durable, and page for it once the transaction commits. The same signal_id twice is one signal.

        In a transaction that nothing has begun this is one round trip, and durable when it returns. An id that another
        person's signal has is not taken from them: the signal gets one of its own, and is not lost. `plans` is given
        what was planned before the database was asked for it.
        """
        if self._directory.version == 0:
            await self._directory.read(tx)
        planned_by = self._directory.version
        plan = self.plan(signal, tx.now)
        if plans is not None:
            plans.append(plan)
        row = await self._records.signals.accept(tx, plan)
        metrics.SIGNALS.labels(plan.source, "no" if row is not None else "yes").inc()
        if row is None:
            known = await self._known(tx, signal)
            return (
                known if isinstance(known, Accepted) else await self.accept(tx, replace(signal, signal_id=known), plans)
            )
        of = Round(row["alert_id"], row["cycle"], plan.stage, plan.drill, row["raised_at"], plan.traceparent)
        if row["apart"] and not row["raised"]:
            tx.wake("pages")  # what waited to go with others of a flood goes now
        if row["paging"]:
            tx.after_commit(lambda: JOURNEYS.called(row["alert_id"], row["severity"], tx.now, drill=plan.drill))
            first = plan.pages_of(row["turn"])
            chosen = [
                pages.job(of, draft, page_id, plan.lease_until)
                for page_id, draft in first
                if draft.place == 0 or row["severity"] == Severity.IMMEDIATE
            ]
            if row["gathered"]:
                tx.wake("gathered")
            else:
                self._pager.post(tx, chosen)
            if row["version"] != planned_by:
                await self._page_newcomers(tx, of, row, plan)
            await self._pager.follow(tx, of, dict.fromkeys(draft.responder_id for _, draft in first), row["severity"])
        elif row["severity"] == Severity.IMMEDIATE:
            await self._pager.widen(tx, row["alert_id"])
        if row["raised"]:
            tx.wake("relay")
        tx.wake("watch")
        return Accepted(signal.signal_id, row["alert_id"], row["raised"], row.get("place"))

    def plan(self, signal: Signal, now: datetime) -> Plan:
        """All that accepting the signal will write, from memory."""
        source = facts.source_name(signal.source)
        rules = facts.severity_rules()
        alert_id, entry_id = ids.new_id(), ids.new_id()
        book = self._directory.book
        policy = book.policy()
        stages = stages_from(book, policy, 0, now)
        stage = stages[0]
        page_ids: defaultdict[Draft, str] = defaultdict(ids.new_id)
        """A page that several turns have is one page."""
        return Plan(
            signal=signal,
            source=source,
            drill=signal.source == pb.SIGNAL_SOURCE_DRILL,
            severity=int(rules.of(source, signal.level)),
            makes_immediate=rules.makes_immediate(source),
            alert_id=alert_id,
            entry_id=entry_id,
            sealed=alerts.seal(self._parts.cipher, entry_id, alerts.Told(signal.note)) if signal.note else None,
            stage=stage.number,
            deadline=now + stage.wait,
            pages=tuple(
                tuple((page_ids[draft], draft) for draft in self._pager.drafts(each.paged, Severity.IMMEDIATE))
                for each in stages
            ),
            takes_turn=policy is not None and policy.takes_turns,
            worker=self._pager.worker_id,
            lease_until=self._pager.lease_until(now),
            traceparent=telemetry.traceparent(),
            flood=self._parts.settings.crisis_flood_alerts,
        )

    async def _page_newcomers(self, tx: Tx, of: Round, row: Row, plan: Plan) -> None:
        """The on-call plan had just changed: whoever is on call by the new one is paged too."""
        book = await self._directory.read(tx)
        stage = stage_from(book, book.policy(), 0, tx.now, row["turn"])
        had = {draft.responder_id for _, draft in plan.pages_of(row["turn"])}
        newcomers = [each for each in stage.paged if each not in had]
        # The signal is durable by now, and somebody may have answered: whoever pages takes turns with them.
        await self._records.alerts.get(tx, of.alert_id, lock=True)
        await self._pager.page(tx, of, self._pager.drafts(newcomers, row["severity"]))

    async def _known(self, tx: Tx, signal: Signal) -> Accepted | str:
        """What became of the signal that has this id; where it is no answer to this one, an id for this one."""
        row = await self._records.signals.known(tx, signal.signal_id)
        if row is None:
            # The statement's snapshot was older than the signal's commit; the next one sees it.
            raise Internal
        if row["person_id"] != signal.person_id:
            return str(uuid5(UUID(signal.signal_id), signal.person_id))
        if signal.pressed and (row["state"] == State.CLOSED or row["withdrawn"]):
            # The same for each try, so that a press that is tried again is one signal.
            return str(uuid5(UUID(signal.signal_id), row["alert_id"]))
        return Accepted(signal.signal_id, row["alert_id"], raised=False)
