"""The facts kept as data, and the rules about claims and statements that rest on them."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haven_billing import facts, provider
from haven_billing.domain import scrub, statement
from haven_billing.domain.ledger import Kind, charge, claim_payment, payment, reversal
from haven_billing.domain.payers import Benefit, ProgramKind, ServiceLine, covers

# HCPCS Level II and NUBC, as published: what each code is for.
PUBLISHED = {
    ProgramKind.PSYCHIATRIC: ("S9480", "0905"),
    ProgramKind.SUBSTANCE_USE: ("H0015", "0906"),
}
# X12 external code list 235 as the guide's data element 1032 allows it for these payers.
FILING_INDICATORS = {"12", "HM", "CI", "MA", "MC"}


@pytest.fixture(scope="module")
def known():
    return facts.load()


def test_per_diems_carry_the_published_codes(known):
    rules = [(kind, rule) for payer in known.payers.values() for kind, rule in payer.per_diems.items()]
    assert rules
    for kind, rule in rules:
        assert (rule.hcpcs, rule.revenue_code) == PUBLISHED[kind]
        assert 0 < rule.allowed <= rule.charge
        assert 1 <= rule.maximum_days_per_week <= 7
    # H0015 is defined as at least three hours a day.
    assert all(rule.minimum_minutes >= 180 for kind, rule in rules if kind is ProgramKind.SUBSTANCE_USE)


def test_every_payer_names_its_source_and_says_whether_it_is_made_up(known):
    for payer in known.payers.values():
        assert payer.source
        assert payer.version
        assert payer.fictional == payer.name.startswith("Example")
        assert set(payer.benefits) == set(ServiceLine)
        assert payer.claim_filing_indicator in FILING_INDICATORS
    assert known.program.source
    assert set(known.program.prices) == set(ServiceLine)


def test_medicare_is_never_billed_a_per_diem_code_it_does_not_pay(known):
    (medicare,) = (payer for payer in known.payers.values() if not payer.fictional)
    assert medicare.per_diems == {}
    assert medicare.condition_codes == ("92",)
    assert medicare.timely_filing_days == 365


def test_a_bad_payer_file_is_named(known):
    with pytest.raises(ValueError, match=r"x\.yaml"):
        facts._named("x.yaml", facts._payer, {"network": "sideways"})


def test_adjustment_labels_are_short(known):
    assert known.adjustment_labels["45"]
    assert all(len(label) <= 40 for label in known.adjustment_labels.values())


@pytest.mark.parametrize(
    ("number", "valid"), [("1234567893", True), ("1234567890", False), ("123456789", False), ("12345678ab", False)]
)
def test_provider_identifiers_carry_a_check_digit(number, valid):
    assert provider.is_npi(number) is valid


@given(st.dates(date(2025, 1, 1), date(2027, 1, 1)), st.integers(0, 300))
def test_a_period_covers_its_first_and_last_day(first, days):
    last = first + timedelta(days=days)
    assert covers(first, last, first)
    assert covers(first, last, last)
    assert not covers(first, last, last + timedelta(days=1))
    assert not covers(first, last, first - timedelta(days=1))
    assert covers(first, None, last)


CLEAN = scrub.Facts(
    days=(scrub.Day(date(2026, 3, 2), scrub.Authorized(date(2026, 3, 1), date(2026, 3, 31))),),
    today=date(2026, 3, 10),
    diagnoses=("F43.10", "F331"),
    has_name=True,
    has_birth_date=True,
    has_address=True,
    active_from=date(2026, 1, 1),
    active_to=None,
    authorization_required=True,
    timely_filing_days=90,
    billing_consent=True,
    part2_consent=True,
)


def changed(**facts):
    values = {name: getattr(CLEAN, name) for name in scrub.Facts.__dataclass_fields__}
    return scrub.Facts(**(values | facts))


def test_a_clean_claim_has_no_problem():
    assert scrub.problems(CLEAN) == []


@pytest.mark.parametrize(
    ("facts", "field", "rule"),
    [
        ({"diagnoses": ()}, "person.diagnoses", "missing_diagnosis"),
        ({"diagnoses": ("trauma",)}, "person.diagnoses", "diagnosis_code"),
        ({"has_name": False}, "person.family_name", "missing_name"),
        ({"has_birth_date": False}, "person.birth_date", "missing_birth_date"),
        ({"has_address": False}, "person.address", "missing_address"),
        ({"days": ()}, "lines", "nothing_to_bill"),
        ({"today": date(2026, 6, 1)}, "from", "timely_filing"),
        ({"active_to": date(2026, 3, 1)}, "coverage", "coverage_not_active"),
        ({"days": (scrub.Day(date(2026, 3, 2), None),)}, "authorization", "authorization_expired"),
        (
            {"days": (scrub.Day(date(2026, 3, 2), scrub.Authorized(date(2026, 1, 1), date(2026, 3, 1))),)},
            "authorization",
            "authorization_expired",
        ),
        ({"billing_consent": False}, "consent", "missing_billing_consent"),
        ({"part2_consent": False}, "consent", "missing_part2_consent"),
    ],
)
def test_what_a_payer_would_refuse_names_the_field(facts, field, rule):
    assert [(problem.field, problem.rule) for problem in scrub.problems(changed(**facts))] == [(field, rule)]


def test_the_last_day_of_timely_filing_still_counts():
    assert scrub.problems(changed(today=date(2026, 3, 2) + timedelta(days=90))) == []


def test_a_statement_adds_up_and_names_no_session():
    entries = [
        statement.Entry(Kind.CHARGE, Kind.CHARGE, date(2026, 3, 2), charge(45000)),
        statement.Entry(Kind.CHARGE, Kind.CHARGE, date(2026, 3, 3), charge(45000)),
        statement.Entry(Kind.REVERSAL, Kind.CHARGE, date(2026, 3, 3), reversal(charge(45000))),
        statement.Entry(
            Kind.REMITTANCE,
            Kind.REMITTANCE,
            date(2026, 4, 1),
            claim_payment(45000, 33000, [("CO", 9000), ("PR", 3000)], denied=False),
        ),
        statement.Entry(Kind.PAYMENT, Kind.PAYMENT, date(2026, 4, 5), payment(1000)),
        statement.Entry(Kind.REVERSAL, Kind.PAYMENT, date(2026, 4, 6), reversal(payment(400))),
    ]
    lines = statement.lines(entries)
    assert [line.date for line in lines] == sorted(line.date for line in lines)
    assert sum(line.charged for line in lines) == 45000
    assert sum(line.plan_covered for line in lines) == 42000
    assert sum(line.person_paid for line in lines) == 600
    words = " ".join(line.plain for line in lines).lower()
    assert not any(word in words for word in ("group", "individual", "couple", "family", "therapy", "session"))


def test_benefits_differ_between_payers_where_the_directory_says_so(known):
    retreat = {payer.name: payer.benefits[ServiceLine.RETREAT_MEALS] for payer in known.payers.values()}
    assert retreat["Example Employer Plan"] is Benefit.WITH_AUTHORIZATION
    assert retreat["Example PPO"] is Benefit.NOT_COVERED
