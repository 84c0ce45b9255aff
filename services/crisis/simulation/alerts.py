"""`haven_crisis.store.alerts` and `follow_ups` on the model of the server, statement for statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import reduce

from haven_crisis.domain.alerts import Alert, Entry, State, apply
from haven_crisis.domain.severity import Severity
from haven_crisis.records import Row
from haven_crisis.store.alerts import Told
from haven_crisis.store.follow_ups import DUE, MISSED, RECORDED
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from simulation.database import memory
from simulation.rows import AlertRow, FollowUpRow, replace, write_entry
from simulation.server import View


class Alerts:
    """As `store.alerts`."""

    async def get(self, tx: Tx, alert_id: str, *, lock: bool = False) -> Alert:
        """One alert. Raises NotFound."""

        def work(view: View) -> Alert | None:
            row: AlertRow | None = view.get("alert", alert_id)
            if row is not None and lock:
                view.lock("alert", alert_id)
                row = view.get("alert", alert_id)
            return row.alert if row is not None else None

        found = await memory(tx).statement(work)
        if found is None:
            raise NotFound("alert")
        return found

    async def add(
        self, tx: Tx, cipher: Cipher, alert: Alert, entries: Sequence[Entry], told: Told | None = None
    ) -> Alert:
        """The alert after the entries, saved."""
        if not entries:
            return alert
        after = reduce(apply, entries, alert)

        def work(view: View) -> None:
            view.lock("alert", after.alert_id)
            held: AlertRow = view.get("alert", after.alert_id)
            if after.state is State.CLOSED and held.alert.state is not State.CLOSED:
                whose = (after.person_id, after.drill)
                view.lock("open", whose)
                view.put("open", whose, None)
            gathered = held.gathered and after.severity < Severity.IMMEDIATE
            view.put("alert", after.alert_id, replace(held, alert=after, gathered=gathered))
            for place, entry in enumerate(entries, 1):
                write_entry(view, alert.alert_id, alert.seq + place, entry)

        await memory(tx).statement(work)
        tx.wake("watch")
        return after

    async def due(self, tx: Tx, now: datetime, limit: int) -> list[tuple[Alert, str]]:
        """Alerts whose deadline has passed, locked; those that others hold are left out."""

        def work(view: View) -> list[tuple[Alert, str]]:
            late = [row for row in view.scan("alert") if _late(row.alert, now)]
            late.sort(key=lambda row: row.alert.next_deadline)
            locked = (row for row in late if view.lock("alert", row.alert.alert_id, skip=True))
            return [(row.alert, row.traceparent) for _, row in zip(range(limit), locked, strict=False)]

        return await memory(tx).statement(work)

    async def overdue(self, tx: Tx, before: datetime, grace: timedelta) -> list[str]:
        """Alerts whose deadline passed long ago."""

        def work(view: View) -> list[str]:
            last = before - grace
            return [row.alert.alert_id for row in view.scan("alert") if _late(row.alert, last, exactly=False)]

        return await memory(tx).statement(work)


def _late(alert: Alert, now: datetime, *, exactly: bool = True) -> bool:
    at = alert.next_deadline
    return alert.state is not State.CLOSED and at is not None and (at < now or (exactly and at == now))


class FollowUps:
    """As `store.follow_ups`."""

    async def create(
        self, tx: Tx, follow_up_id: str, alert_id: str, person_id: str, responder_id: str, due_at: datetime
    ) -> None:
        """Set a follow-up."""
        row = FollowUpRow(follow_up_id, alert_id, person_id, DUE, due_at)
        await memory(tx).statement(lambda view: view.insert("follow_up", follow_up_id, row))

    async def record(self, tx: Tx, follow_up_id: str, by: str, sealed: bytes) -> None:
        """Note that somebody looked in."""

        def work(view: View) -> None:
            view.lock("follow_up", follow_up_id)
            row: FollowUpRow = view.get("follow_up", follow_up_id)
            view.put("follow_up", follow_up_id, replace(row, state=RECORDED))

        await memory(tx).statement(work)

    async def missed(self, tx: Tx, now: datetime, limit: int) -> list[str]:
        """Those due and not recorded."""

        def work(view: View) -> list[str]:
            late = [row for row in view.scan("follow_up") if row.state == DUE and row.due_at <= now]
            return [row.follow_up_id for row in sorted(late, key=lambda row: row.due_at)[:limit]]

        return await memory(tx).statement(work)

    async def claim(self, tx: Tx, follow_up_id: str) -> Row | None:
        """One that nobody recorded, locked; None where somebody did, or works on it."""

        def work(view: View) -> Row | None:
            row: FollowUpRow | None = view.get("follow_up", follow_up_id)
            if row is None or row.state != DUE or not view.lock("follow_up", follow_up_id, skip=True):
                return None
            return {"follow_up_id": row.follow_up_id, "alert_id": row.alert_id, "person_id": row.person_id}

        return await memory(tx).statement(work)

    async def miss(self, tx: Tx, follow_up_id: str, new_alert_id: str) -> None:
        """Note that it was missed."""

        def work(view: View) -> None:
            view.lock("follow_up", follow_up_id)
            row: FollowUpRow = view.get("follow_up", follow_up_id)
            view.put("follow_up", follow_up_id, replace(row, state=MISSED, new_alert_id=new_alert_id))

        await memory(tx).statement(work)

    async def overdue(self, tx: Tx, before: datetime) -> int:
        """How many are neither recorded nor missed in time."""
        return await memory(tx).statement(
            lambda view: sum(row.state == DUE and row.due_at < before for row in view.scan("follow_up"))
        )
