"""Double entry: every journal's legs sum to zero. Debits are positive, credits negative, amounts are minor units."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Account(StrEnum):
    """The chart of accounts."""

    RECEIVABLE_PAYER = "receivable_payer"
    RECEIVABLE_PATIENT = "receivable_patient"
    REVENUE = "revenue"
    CONTRACTUAL_ADJUSTMENT = "contractual_adjustment"
    CASH = "cash"
    DENIAL = "denial"
    WRITE_OFF = "write_off"
    UNAPPLIED = "unapplied"
    PAYER_ADJUSTMENT = "payer_adjustment"


class Kind(StrEnum):
    """What a journal records."""

    CHARGE = "charge"
    REMITTANCE = "remittance"
    PAYMENT = "payment"
    REFUND = "refund"
    WRITE_OFF = "write_off"
    REVERSAL = "reversal"


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg: what is added to an account."""

    account: Account
    amount: int


Legs = tuple[Leg, ...]


class Unbalanced(ValueError):
    """Legs that do not sum to zero. Nothing of ours should ever make one."""


def balanced(*legs: Leg) -> Legs:
    """The legs without empty ones. Raises Unbalanced."""
    if sum(leg.amount for leg in legs):
        raise Unbalanced("the legs of a journal do not sum to zero")
    return tuple(leg for leg in legs if leg.amount)


def charge(amount: int) -> Legs:
    """A program day was charged to a payer."""
    return balanced(Leg(Account.RECEIVABLE_PAYER, amount), Leg(Account.REVENUE, -amount))


def claim_payment(charged: int, paid: int, adjustments: Iterable[tuple[str, int]], *, denied: bool) -> Legs:
    """A payer answered a claim: `adjustments` are (group code, amount).

    PR moves to the person; CO is the contract's reduction, or a denial where the whole claim was denied; OA and PI
    count as denials. A payer's reversal has negative amounts throughout and undoes the same accounts. Charged less
    adjustments must be what was paid (X12 005010X221A1, section 1.10.2.1), else Unbalanced.
    """
    sums: dict[Account, int] = defaultdict(int)
    for group, amount in adjustments:
        sums[_adjusted(group, denied=denied)] += amount
    return balanced(
        Leg(Account.CASH, paid),
        *(Leg(account, amount) for account, amount in sorted(sums.items())),
        Leg(Account.RECEIVABLE_PAYER, -charged),
    )


def unmatched_payment(paid: int) -> Legs:
    """Money for a claim that is not known here waits in the unapplied account."""
    return balanced(Leg(Account.CASH, paid), Leg(Account.UNAPPLIED, -paid))


def provider_adjustment(amount: int) -> Legs:
    """A payer took an amount from the payment as a whole; a negative one was added (PLB)."""
    return balanced(Leg(Account.PAYER_ADJUSTMENT, amount), Leg(Account.CASH, -amount))


def payment(amount: int) -> Legs:
    """A person paid."""
    return balanced(Leg(Account.CASH, amount), Leg(Account.RECEIVABLE_PATIENT, -amount))


def refund(amount: int) -> Legs:
    """Money was given back to a person."""
    return reversal(payment(amount))


def write_off(amount: int) -> Legs:
    """What a person owed was let go."""
    return balanced(Leg(Account.WRITE_OFF, amount), Leg(Account.RECEIVABLE_PATIENT, -amount))


def reversal(legs: Legs) -> Legs:
    """The opposite of a journal."""
    return tuple(Leg(leg.account, -leg.amount) for leg in legs)


def _adjusted(group: str, *, denied: bool) -> Account:
    if group == "PR":
        return Account.RECEIVABLE_PATIENT
    return Account.CONTRACTUAL_ADJUSTMENT if group == "CO" and not denied else Account.DENIAL
