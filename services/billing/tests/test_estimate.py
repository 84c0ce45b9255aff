"""What care is likely to cost."""

from hypothesis import given
from hypothesis import strategies as st

from haven_billing.domain.estimate import CostShare, Item, estimate, round_half_up
from haven_billing.domain.payers import Benefit, ServiceLine

DAYS = ServiceLine.PROGRAM_DAY
shares = st.builds(
    CostShare,
    copay_per_day=st.integers(0, 10_000),
    coinsurance_basis_points=st.integers(0, 10_000),
    deductible_left=st.integers(0, 500_000),
    out_of_pocket_left=st.integers(0, 900_000),
)
items = st.lists(
    st.builds(
        Item,
        line=st.sampled_from(list(ServiceLine)),
        units=st.integers(1, 60),
        price=st.integers(0, 60_000),
        allowed=st.integers(0, 60_000),
        benefit=st.sampled_from(list(Benefit)),
    ),
    max_size=6,
)


@given(items, st.none() | shares, st.booleans())
def test_nobody_owes_more_than_the_price_nor_less_than_nothing(asked, share, in_network):
    for line in estimate(asked, share, in_network=in_network):
        assert min(line.copay, line.deductible, line.coinsurance, line.not_covered) >= 0
        assert 0 <= line.likely_to_owe <= line.price
        assert line.plan_covers + line.likely_to_owe == line.price
        assert line.plain


@given(items, shares)
def test_the_plans_own_limits_hold(asked, share):
    lines = estimate(asked, share, in_network=True)
    assert sum(line.copay + line.deductible + line.coinsurance for line in lines) <= share.out_of_pocket_left
    assert sum(line.deductible for line in lines) <= share.deductible_left


@given(st.integers(1, 40), shares)
def test_another_day_never_costs_less(days, share):
    def owe(units):
        return estimate([Item(DAYS, units, 45000, 36000, Benefit.COVERED)], share, in_network=True)[0].likely_to_owe

    assert owe(days) <= owe(days + 1)


def test_a_worked_example():
    share = CostShare(
        copay_per_day=2000, coinsurance_basis_points=2000, deductible_left=50_000, out_of_pocket_left=400_000
    )
    (line,) = estimate([Item(DAYS, 12, 45000, 36000, Benefit.WITH_AUTHORIZATION)], share, in_network=True)
    # 12 days: price 5,400; allowed 4,320; copay 240; deductible 500; a fifth of the remaining 3,580 is 716.
    assert (line.price, line.copay, line.deductible, line.coinsurance) == (540_000, 24_000, 50_000, 71_600)
    assert line.likely_to_owe == 145_600


def test_out_of_network_the_rest_of_the_price_is_owed_too():
    share = CostShare(0, 0, 0, 0)
    (line,) = estimate([Item(DAYS, 2, 45000, 40000, Benefit.COVERED)], share, in_network=False)
    assert line.likely_to_owe == line.not_covered == 10_000


def test_without_a_plan_the_price_is_owed():
    (line,) = estimate([Item(DAYS, 3, 45000, 45000, Benefit.NOT_COVERED)], None, in_network=True)
    assert line.likely_to_owe == 135_000


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_halves_round_up(numerator, denominator):
    rounded = round_half_up(numerator, denominator)
    assert -denominator <= 2 * (numerator - rounded * denominator) < denominator
