"""`haven_crisis.store.acceptance` on the model of the server, statement for statement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from haven_crisis.domain.alerts import Alert, Entry, Kind, State
from haven_crisis.domain.escalation import turn_of
from haven_crisis.domain.severity import Severity
from haven_crisis.records import Row
from haven_crisis.store.acceptance import Plan
from haven_crisis.store.pages import PageState, Round
from haven_kit.database import Tx
from simulation.database import memory
from simulation.pages import insert_page, page_of, queued
from simulation.rows import AlertRow, SignalRow, replace, write_entry
from simulation.server import View

HELPED = frozenset({State.CONTACTED, State.STABILISED})


class Signals:
    """As `store.acceptance`."""

    def __init__(self, version: Callable[[], int]) -> None:
        self._version = version

    async def accept(self, tx: Tx, plan: Plan) -> Row | None:
        """Make a signal durable; None where its id is taken."""

        def work(view: View) -> Row | None:
            signal = plan.signal
            row = SignalRow(signal.signal_id, signal.person_id, tx.now)
            whose = (signal.person_id, plan.drill)
            free = view.once("free", lambda: view.get("open", whose) is None)
            if not view.insert("signal", signal.signal_id, row):
                return None
            sequence = "drill_turn" if plan.drill else "alert_turn"
            turn = view.once("turn", lambda: view.draw(sequence)) if plan.takes_turn and free else None
            alert_id = view.get("open", whose)
            if alert_id is None:
                view.lock("open", whose)
                gathered = view.once("flood", lambda: _of_a_flood(view, plan, tx.now))
                after, paging = _raised(plan, tx.now, turn), True
                fresh = AlertRow(after, signal.signal_id, plan.traceparent, plan.origin, gathered)
                view.insert("alert", plan.alert_id, fresh)
                view.put("open", whose, plan.alert_id)
            else:
                view.lock("alert", alert_id)
                held: AlertRow = view.get("alert", alert_id)
                paging = held.alert.state in HELPED or (held.gathered and held.origin != plan.origin)
                after = _joined(held.alert, plan, paging)
                gathered = held.gathered and held.origin == plan.origin and after.severity < Severity.IMMEDIATE
                kept = (signal.signal_id, plan.traceparent) if paging else (held.cycle_signal_id, held.traceparent)
                fresh = AlertRow(after, *kept, held.origin, gathered)
                view.put("alert", alert_id, fresh)
            _told(view, after, plan, tx.now, paging, gathered)
            if paging:
                for page_id, draft in plan.pages_of(after.turn):
                    if draft.place == 0 or after.severity is Severity.IMMEDIATE:
                        of = Round(after.alert_id, after.cycle, plan.stage, plan.drill, tx.now, plan.traceparent)
                        page = page_of(of, draft, page_id, PageState.SENDING, tx.now, plan.worker, plan.lease_until)
                        insert_page(view, queued(page) if gathered else page)
            return {
                "alert_id": after.alert_id,
                "cycle": after.cycle,
                "severity": int(after.severity),
                "raised_at": after.raised_at,
                "raised": after.signals == 1,
                "paging": paging,
                "gathered": gathered,
                "apart": bool(fresh.origin) and not gathered,
                "turn": after.turn,
                "version": self._version(),
                "place": None,  # nobody's place is kept here
            }

        return await memory(tx).final(work)

    async def known(self, tx: Tx, signal_id: str) -> Row | None:
        """What became of the signal that has the id."""

        def work(view: View) -> Row | None:
            alert_id = view.get("of_signal", signal_id)
            if alert_id is None:
                return None
            alert = view.get("alert", alert_id).alert
            return {
                "alert_id": alert_id,
                "person_id": view.get("signal", signal_id).person_id,
                "state": int(alert.state),
                "withdrawn": alert.withdrawn,
            }

        return await memory(tx).look(work)


def _raised(plan: Plan, now: datetime, turn: int | None) -> Alert:
    return Alert(
        alert_id=plan.alert_id,
        person_id=plan.signal.person_id,
        drill=plan.drill,
        state=State.RAISED,
        severity=Severity(plan.severity),
        raised_at=now,
        next_deadline=plan.deadline,
        stage=plan.stage,
        session_id=plan.signal.session_id,
        facilitator_id=plan.signal.facilitator_id,
        turn=turn_of(plan.alert_id, turn),
    )


def _of_a_flood(view: View, plan: Plan, now: datetime) -> bool:
    if not plan.origin or plan.severity >= Severity.IMMEDIATE:
        return False
    since = now - timedelta(minutes=1)
    lately: int = sum(row.origin == plan.origin and row.alert.raised_at > since for row in view.scan("alert"))
    return lately >= plan.flood


def _joined(held: Alert, plan: Plan, paging: bool) -> Alert:
    many = held.signals + 1 >= plan.makes_immediate
    after = replace(
        held,
        signals=held.signals + 1,
        severity=max(held.severity, Severity(plan.severity), Severity.IMMEDIATE if many else held.severity),
        session_id=plan.signal.session_id or held.session_id,
        facilitator_id=plan.signal.facilitator_id or held.facilitator_id,
        withdrawn=False,
        seq=held.seq + 1,
    )
    if not paging:
        return after
    return replace(
        after,
        state=State.RAISED,
        cycle=held.cycle + 1,
        stage=plan.stage,
        next_deadline=plan.deadline,
        responder_id="",
        offered_to="",
        lease_renewed=False,
        acknowledged_at=None,
        contacted_at=None,
    )


def _told(view: View, after: Alert, plan: Plan, now: datetime, paging: bool, gathered: bool) -> None:
    signal = plan.signal
    raised = after.signals == 1
    facts = {
        "signal_id": signal.signal_id,
        "source": plan.source,
        "severity": str(int(after.severity)),
        "drill": str(plan.drill).lower(),
        "session_id": signal.session_id,
        "facilitator_id": signal.facilitator_id,
        "stage": str(plan.stage),
        "deadline": plan.deadline.isoformat(),
        "reopens": str(paging and not raised).lower(),
        **({"gathered": "true"} if raised and gathered else {}),
        "turn": str(after.turn),
        **plan.facts,
    }
    entry = Entry(Kind.RAISED if raised else Kind.SIGNAL_JOINED, now, signal.actor, facts)
    write_entry(view, after.alert_id, after.seq, entry)
    view.insert("of_signal", signal.signal_id, after.alert_id)
