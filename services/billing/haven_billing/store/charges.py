"""Copies of attendance and plans of care, and the days that come of them."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from haven_billing.domain.per_diem import Attendance, State
from haven_billing.store.tables import attendances, charges, discharges, plans
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page


async def keep_attendance(
    tx: Tx, attendance_id: str, person_id: str, session_id: str, service_date: date, minutes: int
) -> None:
    """Keeps a copy of what was attended; the same one again changes nothing."""
    row = {"attendance_id": attendance_id, "person_id": person_id, "session_id": session_id,
           "service_date": service_date, "minutes": minutes}  # fmt: skip
    await tx.execute(upsert(attendances).values(row).on_conflict_do_nothing())


async def attended(tx: Tx, person_id: str, day: date) -> list[Attendance]:
    """What a person attended on a day."""
    query = select(attendances).where(attendances.c.person_id == person_id, attendances.c.service_date == day)
    return [Attendance(row.attendance_id, row.service_date, row.minutes) for row in await tx.execute(query)]


async def keep_plan(tx: Tx, person_id: str, admission_id: str, admitted_at: datetime, **values: Any) -> None:
    """Keeps the plan of the latest admission; an earlier one that arrives late is ignored."""
    ended = select(discharges.c.discharged_at).where(discharges.c.admission_id == admission_id)
    discharged_at = (await tx.execute(ended)).scalar_one_or_none()
    row = {"admission_id": admission_id, "admitted_at": admitted_at, "discharged_at": discharged_at, **values}
    statement = upsert(plans).values(person_id=person_id, **row)
    later = plans.c.admitted_at <= statement.excluded.admitted_at
    await tx.execute(statement.on_conflict_do_update(index_elements=["person_id"], set_=row, where=later))


async def keep_hours(tx: Tx, admission_id: str, days_per_week: int, hours_per_week: int) -> None:
    """Changes the days and hours of a plan."""
    changed = update(plans).where(plans.c.admission_id == admission_id)
    await tx.execute(changed.values(days_per_week=days_per_week, hours_per_week=hours_per_week))


async def keep_discharge(tx: Tx, admission_id: str, discharged_at: datetime) -> None:
    """Notes the end of an admission, whichever of its events comes first."""
    row = {"admission_id": admission_id, "discharged_at": discharged_at}
    await tx.execute(upsert(discharges).values(row).on_conflict_do_nothing())
    changed = update(plans).where(plans.c.admission_id == admission_id)
    await tx.execute(changed.values(discharged_at=discharged_at))


async def plan(tx: Tx, person_id: str) -> Row[Any] | None:
    """The plan of a person's latest admission."""
    return (await tx.execute(select(plans).where(plans.c.person_id == person_id))).one_or_none()


async def charge(tx: Tx, charge_id: str, *, lock: bool = False) -> Row[Any]:
    """One charge. Raises NotFound."""
    query = select(charges).where(charges.c.charge_id == charge_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("charge")
    return row


async def charge_of_day(tx: Tx, person_id: str, day: date) -> Row[Any] | None:
    """The charge of a person's day."""
    query = select(charges).where(charges.c.person_id == person_id, charges.c.service_date == day)
    return (await tx.execute(query.with_for_update())).one_or_none()


async def billed_between(tx: Tx, person_id: str, first: date, last: date, besides: date) -> int:
    """How many other days in a period are ready or claimed."""
    query = select(func.count()).where(
        charges.c.person_id == person_id,
        charges.c.service_date.between(first, last),
        charges.c.service_date != besides,
        charges.c.state.in_((State.READY.value, State.CLAIMED.value)),
    )
    return int((await tx.execute(query)).scalar_one())


async def add(tx: Tx, **values: Any) -> None:
    """Writes a day's charge."""
    await tx.execute(insert(charges).values(version=1, **values))


async def change(tx: Tx, charge_id: str, **values: Any) -> None:
    """Changes a day's charge."""
    await tx.execute(
        update(charges).where(charges.c.charge_id == charge_id).values(version=charges.c.version + 1, **values)
    )


async def waiting_days(tx: Tx, person_id: str) -> list[date]:
    """The days of a person that are held or not billable, oldest first."""
    query = select(charges.c.service_date).where(
        charges.c.person_id == person_id, charges.c.state.in_((State.HELD.value, State.NOT_BILLABLE.value))
    )
    return list((await tx.execute(query.order_by(charges.c.service_date))).scalars())


async def ready(tx: Tx, person_id: str, first: date, last: date) -> list[Row[Any]]:
    """Charges that can go on a claim, oldest first. Locks them."""
    query = (
        select(charges)
        .where(
            charges.c.person_id == person_id,
            charges.c.service_date.between(first, last),
            charges.c.state == State.READY.value,
        )
        .order_by(charges.c.service_date)
        .with_for_update()
    )
    return list(await tx.execute(query))


async def on_claim(tx: Tx, claim_id: str) -> list[Row[Any]]:
    """The charges of a claim, oldest first."""
    return list(
        await tx.execute(select(charges).where(charges.c.claim_id == claim_id).order_by(charges.c.service_date))
    )


async def page(tx: Tx, person_id: str, page: Page, state: str | None) -> list[Row[Any]]:
    """A page of a person's days, the newest first."""
    query = select(charges).where(charges.c.person_id == person_id)
    if state is not None:
        query = query.where(charges.c.state == state)
    if page.after:
        query = query.where(charges.c.service_date < date.fromisoformat(page.after[0]))
    return list(await tx.execute(query.order_by(charges.c.service_date.desc()).limit(page.size + 1)))
