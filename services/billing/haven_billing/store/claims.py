"""Claims and their numbers."""

from typing import Any

from sqlalchemy import Row, insert, select, update

from haven_billing.domain.per_diem import State
from haven_billing.store.tables import charges, claim_numbers, claims, interchange_numbers
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page

BUILT, SUBMITTED, PAID, DENIED, REVERSED, DISCARDED = "built", "submitted", "paid", "denied", "reversed", "discarded"


async def add(tx: Tx, charge_ids: list[str], **values: Any) -> None:
    """Writes a claim and puts the charges on it."""
    await tx.execute(insert(claims).values(version=1, **values))
    taken = update(charges).where(charges.c.charge_id.in_(charge_ids))
    await tx.execute(
        taken.values(state=State.CLAIMED.value, claim_id=values["claim_id"], version=charges.c.version + 1)
    )


async def claim(tx: Tx, claim_id: str, *, lock: bool = False) -> Row[Any]:
    """One claim. Raises NotFound."""
    query = select(claims).where(claims.c.claim_id == claim_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("claim")
    return row


async def by_control_number(tx: Tx, control_number: str) -> Row[Any] | None:
    """The submitted claim with the number a remittance names. Locks it."""
    query = select(claims).where(claims.c.control_number == control_number, claims.c.submitted_at.is_not(None))
    return (await tx.execute(query.with_for_update())).one_or_none()


async def change(tx: Tx, claim_id: str, **values: Any) -> None:
    """Changes a claim that was read with a lock."""
    await tx.execute(update(claims).where(claims.c.claim_id == claim_id).values(version=claims.c.version + 1, **values))


async def release_charges(tx: Tx, claim_id: str) -> None:
    """Makes the charges of a discarded claim ready again."""
    released = update(charges).where(charges.c.claim_id == claim_id)
    await tx.execute(released.values(state=State.READY.value, claim_id=None, version=charges.c.version + 1))


async def earlier(tx: Tx, coverage_id: str) -> bool:
    """Whether a claim was made under the coverage before."""
    query = select(claims.c.claim_id).where(claims.c.coverage_id == coverage_id, claims.c.state != DISCARDED)
    return (await tx.execute(query.limit(1))).first() is not None


async def page(tx: Tx, person_id: str, page: Page, state: str | None) -> list[Row[Any]]:
    """A page of a person's claims, the newest first."""
    query = select(claims).where(claims.c.person_id == person_id)
    if state is not None:
        query = query.where(claims.c.state == state)
    if page.after:
        query = query.where(claims.c.claim_id < page.after[0])
    return list(await tx.execute(query.order_by(claims.c.claim_id.desc()).limit(page.size + 1)))


async def next_control_number(tx: Tx) -> str:
    """A number for a claim, never used before: at most 20 characters, as payers keep no more (CLM01)."""
    return f"HVN{(await tx.execute(select(claim_numbers.next_value()))).scalar_one():010d}"


async def next_interchange_number(tx: Tx) -> int:
    """A number for an interchange (ISA13)."""
    return int((await tx.execute(select(interchange_numbers.next_value()))).scalar_one())


async def person_ids(tx: Tx, claim_ids: list[str]) -> list[str]:
    """The people whom claims are about."""
    query = select(claims.c.person_id).where(claims.c.claim_id.in_(claim_ids)).distinct()
    return list((await tx.execute(query)).scalars())
