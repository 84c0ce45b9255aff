"""Double entry holds whatever happens."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haven_billing.domain import ledger
from haven_billing.domain.ledger import Account, Leg


def balances(journals):
    held = Counter()
    for legs in journals:
        for leg in legs:
            held[leg.account] += leg.amount
    return dict(held)


cents = st.integers(1, 10_000_000)


@st.composite
def claim_payments(draw):
    charged = draw(cents)
    adjustments, left = [], charged
    for group in draw(st.lists(st.sampled_from(["CO", "PR", "OA", "PI"]), max_size=4)):
        taken = draw(st.integers(0, left))
        adjustments.append((group, taken))
        left -= taken
    sign = draw(st.sampled_from([1, -1]))
    return ledger.claim_payment(
        sign * charged, sign * left, [(g, sign * a) for g, a in adjustments], denied=draw(st.booleans())
    )


journals = st.one_of(
    cents.map(ledger.charge),
    claim_payments(),
    cents.map(ledger.unmatched_payment),
    st.integers(-10_000, 10_000).map(ledger.provider_adjustment),
    cents.map(ledger.payment),
    cents.map(ledger.refund),
    cents.map(ledger.write_off),
)


@given(st.lists(st.tuples(journals, st.booleans())))
def test_the_trial_balance_is_zero_after_any_sequence(sequence):
    posted = []
    for legs, undone in sequence:
        posted.append(legs)
        if undone:
            posted.append(ledger.reversal(legs))
    assert sum(balances(posted).values()) == 0
    assert all(sum(leg.amount for leg in legs) == 0 for legs in posted)


@given(journals)
def test_a_reversal_leaves_nothing(legs):
    assert not any(balances([legs, ledger.reversal(legs)]).values())


@given(cents, st.integers(1, 100))
def test_legs_that_do_not_balance_are_refused(amount, off):
    with pytest.raises(ledger.Unbalanced):
        ledger.balanced(Leg(Account.CASH, amount), Leg(Account.REVENUE, -amount + off))


def test_a_payment_that_does_not_explain_itself_is_refused():
    with pytest.raises(ledger.Unbalanced):
        ledger.claim_payment(45000, 30000, [("CO", 9000)], denied=False)


def test_a_partial_payment_moves_the_persons_part_to_the_person():
    posted = [
        ledger.charge(45000),
        ledger.claim_payment(45000, 33000, [("CO", 9000), ("PR", 3000)], denied=False),
        ledger.payment(3000),
    ]
    assert balances(posted) == {
        Account.RECEIVABLE_PAYER: 0,
        Account.REVENUE: -45000,
        Account.CASH: 36000,
        Account.CONTRACTUAL_ADJUSTMENT: 9000,
        Account.RECEIVABLE_PATIENT: 0,
    }


def test_a_denial_is_no_contractual_adjustment():
    held = balances([ledger.claim_payment(45000, 0, [("CO", 45000)], denied=True)])
    assert held == {Account.DENIAL: 45000, Account.RECEIVABLE_PAYER: -45000}


def test_a_payers_reversal_undoes_its_payment():
    paid = ledger.claim_payment(45000, 33000, [("CO", 9000), ("PR", 3000)], denied=False)
    taken_back = ledger.claim_payment(-45000, -33000, [("CO", -9000), ("PR", -3000)], denied=False)
    assert not any(balances([paid, taken_back]).values())
