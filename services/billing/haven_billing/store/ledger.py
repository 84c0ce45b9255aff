"""The ledger's journals and postings. Only ever added to; the database refuses anything else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, exists, func, insert, select

from haven_billing.domain.ledger import Account, Kind, Leg, Legs
from haven_billing.store.tables import journals, postings
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.ids import new_id
from haven_kit.paging import Page


@dataclass(frozen=True, slots=True)
class About:
    """What a journal is about."""

    person_id: str | None
    kind: Kind
    day: date
    currency: str
    charge_id: str | None = None
    claim_id: str | None = None
    remittance_id: str | None = None
    reverses_journal_id: str | None = None


async def post(tx: Tx, about: About, legs: Legs) -> str | None:
    """Writes a journal and returns its id; None when there is nothing to post."""
    if not legs:
        return None
    journal_id = new_id()
    await tx.execute(
        insert(journals).values(
            journal_id=journal_id,
            person_id=about.person_id,
            kind=about.kind.value,
            day=about.day,
            posted_at=tx.now,
            charge_id=about.charge_id,
            claim_id=about.claim_id,
            remittance_id=about.remittance_id,
            reverses_journal_id=about.reverses_journal_id,
        )
    )
    rows = [
        {"journal_id": journal_id, "account": leg.account.value, "amount": leg.amount, "currency": about.currency,
         "person_id": about.person_id}
        for leg in legs
    ]  # fmt: skip
    await tx.execute(insert(postings), rows)
    return journal_id


async def journal(tx: Tx, journal_id: str) -> Row[Any]:
    """One journal. Raises NotFound."""
    row = (await tx.execute(select(journals).where(journals.c.journal_id == journal_id))).one_or_none()
    if row is None:
        raise NotFound("journal")
    return row


async def journal_of_charge(tx: Tx, charge_id: str) -> Row[Any] | None:
    """The journal that charged a day."""
    found = select(journals).where(journals.c.charge_id == charge_id, journals.c.kind == Kind.CHARGE.value)
    return (await tx.execute(found.order_by(journals.c.journal_id.desc()).limit(1))).one_or_none()


async def open_of_claim(tx: Tx, claim_id: str) -> list[Row[Any]]:
    """The journals that remittances posted for a claim and that nothing has undone."""
    later = journals.alias()
    undone = exists().where(later.c.reverses_journal_id == journals.c.journal_id)
    query = select(journals).where(
        journals.c.claim_id == claim_id,
        journals.c.kind == Kind.REMITTANCE.value,
        ~undone,
    )
    return list(await tx.execute(query.order_by(journals.c.journal_id)))


async def is_reversed(tx: Tx, journal_id: str) -> bool:
    """Whether a journal has been undone."""
    found = select(journals.c.journal_id).where(journals.c.reverses_journal_id == journal_id)
    return (await tx.execute(found)).first() is not None


async def legs(tx: Tx, journal_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """The postings of each journal."""
    found: dict[str, list[Row[Any]]] = {journal_id: [] for journal_id in journal_ids}
    query = select(postings).where(postings.c.journal_id.in_(journal_ids)).order_by(postings.c.posting_id)
    for row in await tx.execute(query):
        found[row.journal_id].append(row)
    return found


async def page(tx: Tx, person_id: str, page: Page) -> list[Row[Any]]:
    """A page of a person's journals, the newest first; one more than asked tells that there is another page."""
    query = select(journals).where(journals.c.person_id == person_id)
    if page.after:
        query = query.where(journals.c.journal_id < page.after[0])
    return list(await tx.execute(query.order_by(journals.c.journal_id.desc()).limit(page.size + 1)))


async def all_of(tx: Tx, person_id: str) -> list[Row[Any]]:
    """All journals about a person, oldest first. A person has a few a day at most."""
    query = select(journals).where(journals.c.person_id == person_id).order_by(journals.c.journal_id)
    return list(await tx.execute(query))


async def balances(tx: Tx, person_id: str | None = None) -> list[tuple[Account, str, int]]:
    """(account, currency, balance) of a person, or of the whole ledger."""
    total = func.sum(postings.c.amount).label("held")
    query = select(postings.c.account, postings.c.currency, total).group_by(postings.c.account, postings.c.currency)
    if person_id is not None:
        query = query.where(postings.c.person_id == person_id)
    rows: list[Row[Any]] = list(await tx.execute(query))
    return [(Account(row.account), row.currency, int(row.held)) for row in rows]


async def balance(tx: Tx, person_id: str, account: Account, currency: str) -> int:
    """One balance of a person, with all the person's later entries waiting until this transaction ends."""
    await lock_person(tx, person_id)
    held = {(each, code): amount for each, code, amount in await balances(tx, person_id)}
    return held.get((account, currency), 0)


async def lock_person(tx: Tx, person_id: str) -> None:
    """One transaction at a time decides about a person's days and money."""
    await tx.fetch("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", person_id.lower())


def legs_of(rows: Sequence[Row[Any]]) -> Legs:
    """Postings as the domain knows them."""
    return tuple(Leg(Account(row.account), row.amount) for row in rows)
