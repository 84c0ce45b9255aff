"""A person's statement: what happened to their account, in plain words.

A line says that care was given and what it cost, never which session, with whom, or about what: whoever sees the bill,
a partner or an employer, learns nothing from it about what was done in private.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from haven_billing.domain.ledger import Account, Kind, Legs

_PLAIN = {
    Kind.CHARGE: "Program care",
    Kind.REMITTANCE: "Answered by your plan",
    Kind.PAYMENT: "Payment received. Thank you.",
    Kind.REFUND: "Paid back to you",
    Kind.WRITE_OFF: "Let go by the program",
    Kind.REVERSAL: "Correction",
}
_PLAN = (Account.CONTRACTUAL_ADJUSTMENT, Account.DENIAL, Account.WRITE_OFF, Account.CASH)


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal about the person. `kind` of a reversal is REVERSAL, `of` the kind that it undoes."""

    kind: Kind
    of: Kind
    day: date
    legs: Legs


@dataclass(frozen=True, slots=True)
class Line:
    """One line, in minor units."""

    date: str
    plain: str
    charged: int
    plan_covered: int
    person_paid: int


def lines(entries: Iterable[Entry]) -> list[Line]:
    """One line for each entry, by day."""
    return [_line(entry) for entry in sorted(entries, key=lambda entry: entry.day)]


def _line(entry: Entry) -> Line:
    held = {account: sum(leg.amount for leg in entry.legs if leg.account is account) for account in Account}
    from_person = entry.of in (Kind.PAYMENT, Kind.REFUND)
    return Line(
        date=entry.day.isoformat(),
        plain=_PLAIN[entry.kind],
        charged=-held[Account.REVENUE],
        plan_covered=0 if from_person else sum(held[account] for account in _PLAN),
        person_paid=held[Account.CASH] if from_person else 0,
    )
