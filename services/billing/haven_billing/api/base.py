"""What all calls share: parts, and translations between the contract and the domain."""

from collections.abc import Sequence
from datetime import date
from typing import NoReturn

from haven.billing.v1 import coverage_pb2
from haven.common.v1.money_pb2 import Money

from haven_billing.domain.payers import Payer
from haven_billing.domain.rules import Problem
from haven_billing.facts import Facts
from haven_billing.settings import BillingSettings
from haven_kit import times
from haven_kit.errors import Invalid, Refused, Violation
from haven_kit.service import Parts

MAXIMUM_AMOUNT = 100_000_000
"""A million dollars: more than this in one payment is a typing error."""


class Base:
    """Holds the parts."""

    def __init__(self, parts: Parts[BillingSettings], facts: Facts) -> None:
        self.parts = parts
        self.facts = facts

    def payer(self, payer_id: str) -> Payer:
        """A payer that a stored record names."""
        return self.facts.payers[payer_id]

    def open_coverage(self, coverage_id: str, sealed: bytes) -> coverage_pb2.Coverage:
        """The health information of a coverage."""
        return self.parts.cipher.open(coverage_pb2.Coverage, sealed, context=f"coverage/{coverage_id}")


def money(minor_units: int, currency: str) -> Money:
    """An amount as the contract has it."""
    return Money(minor_units=minor_units, currency=currency)


def period(first_field: str, first: str, last_field: str, last: str) -> tuple[date, date]:
    """First and last day, in order. Raises Invalid."""
    begin, end = times.day(first_field, first), times.day(last_field, last)
    if end < begin:
        raise Invalid(last_field, "order", "This is before the first day.")
    return begin, end


def amount(field: str, given: Money, currency: str, *, least: int = 1) -> int:
    """An amount in the currency that is expected, of at least `least` minor units. Raises Invalid."""
    if given.currency != currency:
        raise Invalid(f"{field}.currency", "currency", f"The account is kept in {currency}.")
    if not least <= given.minor_units <= MAXIMUM_AMOUNT:
        raise Invalid(f"{field}.minor_units", "range", f"This must be from {least} to {MAXIMUM_AMOUNT} minor units.")
    return given.minor_units


def in_words(minor_units: int, currency: str) -> str:
    """An amount for people to read."""
    whole, cents = divmod(abs(minor_units), 100)
    number = f"{whole:,}.{cents:02d}"
    return f"${number}" if currency == "USD" else f"{number} {currency}"


def refuse(problems: Sequence[Problem]) -> NoReturn:
    """Raises Refused with every problem named; the first one gives the rule."""
    error = Refused(problems[0].rule, problems[0].sentence)
    error.violations = tuple(Violation(each.field, each.rule, each.sentence) for each in problems)
    raise error


def invalid(prefix: str, problems: Sequence[Problem]) -> NoReturn:
    """Raises Invalid with every problem named, each field inside `prefix`."""
    raise Invalid.all(Violation(f"{prefix}.{each.field}", each.rule, each.sentence) for each in problems)
