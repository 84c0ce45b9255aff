"""Remittances that were read."""

from typing import Any

from sqlalchemy import Row, insert, select

from haven_billing.store.tables import remittances
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page


async def by_trace(tx: Tx, payer_identifier: str, trace_number: str) -> Row[Any] | None:
    """The remittance with a payer's trace number. Two readers of one number wait for each other."""
    await tx.fetch("SELECT pg_advisory_xact_lock(hashtextextended($1, 8))", f"{payer_identifier}\n{trace_number}")
    query = select(remittances).where(
        remittances.c.payer_identifier == payer_identifier, remittances.c.trace_number == trace_number
    )
    return (await tx.execute(query)).one_or_none()


async def add(tx: Tx, **values: Any) -> None:
    """Writes a remittance."""
    await tx.execute(insert(remittances).values(**values))


async def remittance(tx: Tx, remittance_id: str) -> Row[Any]:
    """One remittance. Raises NotFound."""
    query = select(remittances).where(remittances.c.remittance_id == remittance_id)
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise NotFound("remittance")
    return row


async def page(tx: Tx, page: Page, *, unmatched_only: bool) -> list[Row[Any]]:
    """A page of remittances, the newest first."""
    query = select(remittances)
    if unmatched_only:
        query = query.where(remittances.c.unmatched > 0)
    if page.after:
        query = query.where(remittances.c.remittance_id < page.after[0])
    return list(await tx.execute(query.order_by(remittances.c.remittance_id.desc()).limit(page.size + 1)))
