"""Coverages and payers' authorizations."""

from datetime import date
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update

from haven_billing.store.tables import authorizations, coverages
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page

RECORDED, VERIFIED, INACTIVE, ENDED = "recorded", "verified", "inactive", "ended"


async def add(tx: Tx, **values: Any) -> None:
    """Writes a coverage down."""
    await tx.execute(insert(coverages).values(version=1, **values))


async def coverage(tx: Tx, coverage_id: str, *, lock: bool = False) -> Row[Any]:
    """One coverage. Raises NotFound."""
    query = select(coverages).where(coverages.c.coverage_id == coverage_id)
    row = (await tx.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("coverage")
    return row


async def change(tx: Tx, coverage_id: str, version: int, **values: Any) -> Row[Any]:
    """Changes a coverage that was read with a lock."""
    await tx.execute(
        update(coverages).where(coverages.c.coverage_id == coverage_id).values(version=version + 1, **values)
    )
    return await coverage(tx, coverage_id)


async def page(tx: Tx, person_id: str, page: Page) -> list[Row[Any]]:
    """A page of a person's coverages, the newest first."""
    query = select(coverages).where(coverages.c.person_id == person_id)
    if page.after:
        query = query.where(coverages.c.coverage_id < page.after[0])
    return list(await tx.execute(query.order_by(coverages.c.coverage_id.desc()).limit(page.size + 1)))


async def open_with(tx: Tx, person_id: str, payer_id: str) -> bool:
    """Whether the person has a coverage with the payer that is neither ended nor inactive."""
    query = select(coverages.c.coverage_id).where(
        coverages.c.person_id == person_id,
        coverages.c.payer_id == payer_id,
        coverages.c.state.in_((RECORDED, VERIFIED)),
    )
    return (await tx.execute(query)).first() is not None


async def covering(tx: Tx, person_id: str, day: date) -> Row[Any] | None:
    """The coverage that answers for a day: a verified one before one only recorded, the newest first."""
    query = (
        select(coverages)
        .where(
            coverages.c.person_id == person_id,
            coverages.c.state.in_((RECORDED, VERIFIED, ENDED)),
            coverages.c.active_from <= day,
            or_(coverages.c.active_to.is_(None), coverages.c.active_to >= day),
        )
        .order_by(coverages.c.verified_at.is_(None), coverages.c.coverage_id.desc())
        .limit(1)
    )
    return (await tx.execute(query)).one_or_none()


async def add_authorization(tx: Tx, **values: Any) -> None:
    """Writes an authorization down."""
    await tx.execute(insert(authorizations).values(days_used=0, **values))


async def authorization(tx: Tx, authorization_id: str) -> Row[Any]:
    """One authorization. Raises NotFound."""
    query = select(authorizations).where(authorizations.c.authorization_id == authorization_id)
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise NotFound("authorization")
    return row


async def authorization_page(tx: Tx, person_id: str, page: Page) -> list[Row[Any]]:
    """A page of a person's authorizations, the newest first."""
    query = select(authorizations).where(authorizations.c.person_id == person_id)
    if page.after:
        query = query.where(authorizations.c.authorization_id < page.after[0])
    return list(await tx.execute(query.order_by(authorizations.c.authorization_id.desc()).limit(page.size + 1)))


async def days_left(tx: Tx, coverage_id: str, day: date) -> tuple[bool, int]:
    """Whether an authorization covers the day, and the days left over all that do."""
    left = func.coalesce(func.sum(authorizations.c.days - authorizations.c.days_used), 0).label("left")
    query = select(func.count().label("known"), left).where(
        authorizations.c.coverage_id == coverage_id,
        authorizations.c.valid_from <= day,
        authorizations.c.valid_to >= day,
    )
    row: Row[Any] = (await tx.execute(query)).one()
    return row.known > 0, int(row.left)


async def use_day(tx: Tx, coverage_id: str, day: date) -> str | None:
    """Uses one authorized day of the authorization that ends first; None when none is left."""
    row = await tx.fetch_one(
        """UPDATE payer_authorization SET days_used = days_used + 1 WHERE authorization_id = (
             SELECT authorization_id FROM payer_authorization
             WHERE coverage_id = $1 AND valid_from <= $2 AND valid_to >= $2 AND days_used < days
             ORDER BY valid_to, authorization_id LIMIT 1 FOR UPDATE)
           AND days_used < days RETURNING authorization_id""",
        coverage_id,
        day,
    )
    return str(row["authorization_id"]) if row else None


async def give_day_back(tx: Tx, authorization_id: str) -> None:
    """Gives a used day back."""
    row = authorizations.c
    await tx.execute(
        update(authorizations).where(row.authorization_id == authorization_id).values(days_used=row.days_used - 1)
    )


async def running_out(tx: Tx, threshold: int, today: date) -> list[Row[Any]]:
    """Authorizations still valid, not warned about yet, with no more than `threshold` days left. Locks them."""
    row = authorizations.c
    query = (
        select(authorizations)
        .where(row.warned_at.is_(None), row.valid_to >= today, row.days - row.days_used <= threshold)
        .order_by(row.authorization_id)
        .limit(100)
        .with_for_update(skip_locked=True)
    )
    return list(await tx.execute(query))


async def warned(tx: Tx, authorization_id: str) -> None:
    """Notes that the warning was given."""
    await tx.execute(
        update(authorizations).where(authorizations.c.authorization_id == authorization_id).values(warned_at=tx.now)
    )
