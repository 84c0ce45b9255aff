"""Turns a person's day into a charge: the one place that decides it, whatever brought it about (attendance, verified
coverage, a new authorization, a voided charge that freed a day)."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row

from haven_billing.domain import ledger, per_diem
from haven_billing.domain.payers import Payer, PerDiemRule
from haven_billing.domain.per_diem import Authorized, Decision, Reason, Standing, State
from haven_billing.facts import Facts
from haven_billing.store import charges, coverages
from haven_billing.store import ledger as books
from haven_kit.database import Tx
from haven_kit.ids import new_id

_SETTLED = (State.READY.value, State.CLAIMED.value, State.VOIDED.value)


@dataclass(frozen=True, slots=True)
class _Situation:
    """What a decision about a day rests on."""

    coverage: Row[Any] | None
    payer: Payer | None
    rule: PerDiemRule | None

    @property
    def standing(self) -> Standing:
        if self.coverage is None:
            return Standing.NONE
        return Standing.ACTIVE if self.coverage.verified_at is not None else Standing.UNVERIFIED


async def rate_day(tx: Tx, facts: Facts, person_id: str, day: date) -> None:
    """Decides about one day and writes charge, authorized day and ledger entry together. A day settled before only has
    its minutes brought up to date."""
    await books.lock_person(tx, person_id)
    minutes = per_diem.minutes_by_day(await charges.attended(tx, person_id, day)).get(day)
    if minutes is None:
        return
    known = await charges.charge_of_day(tx, person_id, day)
    if known is not None and known.state in _SETTLED:
        if known.attended_minutes != minutes:
            await charges.change(tx, known.charge_id, attended_minutes=minutes)
        return
    situation = await _situation(tx, facts, person_id, day)
    decision, authorization_id = await _decide(tx, person_id, day, minutes, situation)
    values = {
        "attended_minutes": minutes,
        "state": decision.state.value,
        "reason": decision.reason.value,
        "coverage_id": situation.coverage.coverage_id if situation.coverage is not None else None,
        "payer_id": situation.payer.payer_id if situation.payer is not None else None,
        "authorization_id": authorization_id,
        "currency": situation.payer.currency if situation.payer is not None else facts.program.currency,
        **_priced(situation.rule, decision),
    }
    charge_id = known.charge_id if known is not None else new_id()
    if known is None:
        await charges.add(tx, charge_id=charge_id, person_id=person_id, service_date=day, **values)
    else:
        await charges.change(tx, charge_id, **values)
    if decision.state is State.READY:
        about = books.About(person_id, ledger.Kind.CHARGE, day, values["currency"], charge_id=charge_id)
        await books.post(tx, about, ledger.charge(values["amount"]))


async def rate_waiting(tx: Tx, facts: Facts, person_id: str) -> None:
    """Decides again about every day that waits, oldest first."""
    await books.lock_person(tx, person_id)
    for day in await charges.waiting_days(tx, person_id):
        await rate_day(tx, facts, person_id, day)


async def _situation(tx: Tx, facts: Facts, person_id: str, day: date) -> _Situation:
    coverage = await coverages.covering(tx, person_id, day)
    payer = facts.payers.get(coverage.payer_id) if coverage is not None else None
    if payer is None:
        return _Situation(coverage, None, None)
    plan = await charges.plan(tx, person_id)
    kind = facts.program.kind(plan.track if plan is not None else "")
    return _Situation(coverage, payer, payer.per_diems.get(kind))


async def _decide(
    tx: Tx, person_id: str, day: date, minutes: int, situation: _Situation
) -> tuple[Decision, str | None]:
    """The decision, and the authorization that gave a day for it."""
    monday, sunday = per_diem.week_of(day)
    billed = await charges.billed_between(tx, person_id, monday, sunday, day)
    coverage, rule = situation.coverage, situation.rule
    found = await coverages.days_left(tx, coverage.coverage_id, day) if coverage is not None else (False, 0)
    decision = per_diem.decide(minutes, situation.standing, rule, billed, Authorized(*found))
    if decision.state is not State.READY or coverage is None or rule is None or not rule.authorization_required:
        return decision, None
    tx.wake("authorizations")
    authorization_id = await coverages.use_day(tx, coverage.coverage_id, day)
    if authorization_id is None:
        return Decision(State.HELD, Reason.AUTHORIZATION_EXHAUSTED), None
    return decision, authorization_id


def _priced(rule: PerDiemRule | None, decision: Decision) -> dict[str, Any]:
    if rule is None or decision.state is State.NOT_BILLABLE:
        return {"hcpcs": "", "revenue_code": "", "amount": 0}
    return {"hcpcs": rule.hcpcs, "revenue_code": rule.revenue_code, "amount": rule.charge}
