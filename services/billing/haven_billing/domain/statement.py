"""A person's statement: what happened to their account, in plain words.

A line says that care was given and what it cost, never which session, with whom, or about what: two partners may look at one
bill, and neither learns from it what the other did in private. A partner sees months instead of days.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
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


def by_month(detailed: Iterable[Line]) -> list[Line]:
    """The same sums with one line a month, for a partner."""
    months: dict[str, Line] = {}
    for line in detailed:
        month = line.date[:7]
        known = months.get(month, Line(month, "Program care and payments", 0, 0, 0))
        months[month] = replace(
            known,
            charged=known.charged + line.charged,
            plan_covered=known.plan_covered + line.plan_covered,
            person_paid=known.person_paid + line.person_paid,
        )
    return [months[month] for month in sorted(months)]


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
