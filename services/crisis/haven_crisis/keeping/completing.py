"""Completing the record of what happened without one: each case once, in one transaction, with its own times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

from haven.crisis.v1 import events_pb2

from haven_crisis import facts
from haven_crisis.domain.alerts import UNANSWERED, Alert, Entry, Kind, Limits, State, until, withdraw
from haven_crisis.keeping.case import Acknowledged, Case, KeptPage, KeptSignal, Withdrawn
from haven_crisis.keeping.keeper import Became, Held
from haven_crisis.pager import Pager
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import acceptance, alerts, kept
from haven_crisis.store.acceptance import Plan
from haven_crisis.store.kept import PageRow
from haven_crisis.store.pages import PageState
from haven_kit import logs, relations
from haven_kit.database import Database, Tx
from haven_kit.identity import Principal, system
from haven_kit.service import Parts

_PAGER, _ESCALATOR = "system:crisis/pager", "system:crisis/escalator"
_PRINCIPAL = system("crisis/keeping")
_log = logs.get(__name__)


class Completer:
    """Writes cases into the record."""

    def __init__(self, parts: Parts[CrisisSettings], database: Database, limits: Limits, pager: Pager) -> None:
        self._cipher = parts.cipher
        self._flood = parts.settings.crisis_flood_alerts
        self._database = database
        self._limits = limits
        self._pager = pager
        self._worker_id = pager.worker_id

    async def complete(self, held: Held) -> None:
        """Write into the record what it does not have of a case. Under its lock. Raises Unavailable while the database
        is away."""
        if held.became is not None and not held.behind:
            return
        case = held.case
        async with self._database.transaction(_PRINCIPAL) as tx:
            known = await kept.begin(tx, case.case_id)
            became = await (self._add(tx, held, Became(*known)) if known else self._write(tx, held, case))
            # Only now the signals of all replicas are together: they may say that life is in danger.
            await self._pager.widen(tx, became.alert_id)
        held.became, held.behind = became, False
        _log.warning("kept.completed", alert_id=became.alert_id, signals=len(case.signals), pages=len(case.pages))

    async def _add(self, tx: Tx, held: Held, became: Became) -> Became:
        """The record has the case: write what another replica wrote into it since."""
        case, by = held.case, held.case.acknowledged
        heard = await kept.entries(
            tx, [id_ for each in case.signals for id_ in (each.signal.signal_id, _own_id(case, each))]
        )
        paged = await kept.known_pages(tx, [each.page_id for each in case.pages])
        if by is not None and await kept.taken_since(tx, became.alert_id, by.at):
            by = None
        missing = replace(
            case,
            signals=[each for each in case.signals if each.entry_id not in heard],
            pages=[each for each in case.pages if each.page_id not in paged],
            escalated=[],
            acknowledged=by,
        )
        return became if missing.untouched else await self._write(tx, held, missing, became)

    async def _write(self, tx: Tx, held: Held, case: Case, before: Became | None = None) -> Became:
        alert_id = before.alert_id if before is not None else case.alert_id
        first = case.signals[0] if case.signals and before is None else None
        told: list[KeptSignal | Withdrawn] = [*case.signals, *case.withdrawn]
        for each in sorted(told, key=lambda each: each.at):
            if isinstance(each, Withdrawn):
                await self._withdraw(tx, alert_id, case, each)
                continue
            found = await self._accept(tx, case, each, held.road.name.lower())
            alert_id = found if each is first else alert_id
        alert = await alerts.get(tx, alert_id, lock=True)
        await kept.pages(
            tx, alert_id, alert.cycle, self._worker_id, case.traceparent, [_row(each) for each in case.pages]
        )
        # A colleague may have taken it, or it may be over, as this replica could not know: then that stands.
        by = case.acknowledged if alert.state in UNANSWERED else None
        after = await alerts.add(tx, self._cipher, alert, self._entries(case, alert))
        if before is None:
            await self._carry_on(tx, case, after)
            kept.done(tx, case.case_id, case.alert_id, alert_id, int(held.road), len(case.signals), case.raised_at)
        if by is not None:
            with tx.as_of(by.at, Principal(by.responder_id)):
                tx.audit(case.person_id, action=f"crisis/{by.channel}", seen_as="took your call for help")
        _tell(tx, case, alert_id, alert.session_id, by)
        for bell in ("pages", "escalations", "watch", "relay"):
            tx.wake(bell)
        return Became(alert_id, alert.cycle)

    async def _accept(self, tx: Tx, case: Case, each: KeptSignal, road: str) -> str:
        """The alert that the signal raised or joined; where the record has the signal already, that of before."""
        signal, asked = each.signal, each.asked
        link = {}
        if asked.unverified:
            linked = {row["other_id"] for row in await relations.linked(tx, case.person_id)}
            link = {"link": "found" if asked.person_id in linked else "not_found"}
        source = facts.source_name(signal.source)
        plan = Plan(
            signal=signal,
            source=source,
            drill=each.drill,
            severity=each.severity,
            makes_immediate=facts.severity_rules().makes_immediate(source),
            alert_id=case.alert_id,
            entry_id=each.entry_id,
            sealed=alerts.seal(self._cipher, each.entry_id, alerts.Told(signal.note)) if signal.note else None,
            stage=each.stage,
            deadline=each.deadline,
            pages=((),),
            worker=self._worker_id,
            lease_until=each.at,
            traceparent=each.traceparent,
            flood=self._flood,
            facts={"kept": road, **link},
        )
        who = Principal(asked.principal_id, service=asked.service or None)
        with tx.as_of(each.at, who):
            row = await acceptance.accept(tx, plan)
            if row is not None:
                tx.audit(case.person_id, action=asked.action, seen_as=asked.seen_as, role=asked.role)
                return str(row["alert_id"])
        known = await acceptance.known(tx, signal.signal_id)
        if known is not None and known["person_id"] == case.person_id and not _over(each, known):
            return str(known["alert_id"])
        # The id is another call's: this one gets one of its own, the same at each try.
        return await self._accept(tx, case, each.renamed(_own_id(case, each)), road)

    async def _withdraw(self, tx: Tx, alert_id: str, case: Case, each: Withdrawn) -> None:
        alert, asked = await alerts.get(tx, alert_id, lock=True), each.asked
        if each.note in await alerts.withdrawals(tx, self._cipher, alert_id, asked.principal_id, each.signal_id):
            return
        entries = withdraw(alert, asked.principal_id, each.signal_id, each.at, by_person=each.by_person)
        await alerts.add(tx, self._cipher, alert, entries, alerts.Told(each.note))
        with tx.as_of(each.at, Principal(asked.principal_id, service=asked.service or None)):
            tx.audit(case.person_id, action=asked.action, seen_as=asked.seen_as, role=asked.role)

    def _entries(self, case: Case, alert: Alert) -> list[Entry]:
        """What happened meanwhile, in order, as far as the alert's state allows."""
        found = [_paged(each, alert.cycle) for each in case.pages if each.state in _ENDED and each.ended_at]
        if alert.state in UNANSWERED:
            found += [
                Entry(
                    Kind.ESCALATED,
                    each.at,
                    _ESCALATOR,
                    {
                        "stage": str(each.stage),
                        "last_resort": str(each.last_resort).lower(),
                        "deadline": each.deadline.isoformat(),
                    },
                )
                for each in case.escalated
                if each.stage > alert.stage
            ]
            if case.acknowledged is not None:
                by = case.acknowledged
                how = {"channel": by.channel} if by.channel else {}
                found.append(
                    Entry(Kind.ACKNOWLEDGED, by.at, by.responder_id, {**how, **until(by.at + self._limits.lease)})
                )
        return sorted(found, key=lambda each: each.at)

    async def _carry_on(self, tx: Tx, case: Case, alert: Alert) -> None:
        """The next step comes when it would have come: nobody is paged twice because the record was away."""
        later = alert.next_deadline is not None and case.deadline > alert.next_deadline
        if alert.state in UNANSWERED and later:
            stage = {"stage": str(max(alert.stage, case.stage)), "last_resort": "false", **until(case.deadline)}
            await alerts.add(tx, self._cipher, alert, [Entry(Kind.ESCALATED, tx.now, _ESCALATOR, stage)])


_ENDED = frozenset({PageState.ACCEPTED, PageState.FAILED, PageState.UNKNOWN})


def _own_id(case: Case, each: KeptSignal) -> str:
    return str(uuid5(UUID(each.signal.signal_id), case.case_id))


def _over(each: KeptSignal, known: Mapping[str, Any]) -> bool:
    """Whether a person called anew with the id of a call that is over."""
    return each.signal.pressed and (known["state"] == State.CLOSED or bool(known["withdrawn"]))


def _paged(page: KeptPage, cycle: int) -> Entry:
    told = {
        "page_id": page.page_id,
        "responder_id": page.responder_id,
        "channel": page.channel,
        "cycle": str(cycle),
        "stage": str(page.stage),
        "reason": page.failure,
    }
    kind = Kind.PAGED if page.state is PageState.ACCEPTED else Kind.PAGE_FAILED
    return Entry(kind, page.ended_at or page.created_at, _PAGER, told)


def _row(page: KeptPage) -> PageRow:
    return PageRow(
        page_id=page.page_id,
        stage=page.stage,
        responder_id=page.responder_id,
        place=page.place,
        channel=page.channel,
        attempt=page.attempt,
        state=int(page.state),
        resent=page.resent,
        due_at=page.due_at,
        lease_until=page.lease_until,
        created_at=page.created_at,
        accepted_at=page.ended_at if page.state is PageState.ACCEPTED else None,
        failure=page.failure,
    )


def _tell(tx: Tx, case: Case, alert_id: str, session_id: str, by: Acknowledged | None) -> None:
    """The events of what happened meanwhile."""
    for page in case.pages:
        if page.state is PageState.ACCEPTED and page.ended_at:
            paged = events_pb2.AlertPaged(
                alert_id=alert_id, page_id=page.page_id, responder_id=page.responder_id, channel=page.channel
            )
            paged.paged_at.FromDatetime(page.ended_at)
            tx.emit(paged, key=alert_id)
    for step in case.escalated:
        escalated = events_pb2.AlertEscalated(alert_id=alert_id, step=step.stage)
        escalated.escalated_at.FromDatetime(step.at)
        tx.emit(escalated, key=alert_id)
    if by is not None:
        taken = events_pb2.AlertAcknowledged(
            alert_id=alert_id,
            person_id=case.person_id,
            session_id=session_id,
            responder_id=by.responder_id,
        )
        taken.acknowledged_at.FromDatetime(by.at)
        tx.emit(taken, key=alert_id)
