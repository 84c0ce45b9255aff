"""Remittances are read, checked and balanced. The 835s are written by the development clearinghouse, which pyx12
checks."""

import contextlib
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haven_billing.domain.rules import RuleBroken
from haven_billing.domain.x12 import claim_837i, remittance_835
from haven_dev import clearinghouse

DAY = date(2026, 4, 1)


@pytest.fixture
def billed(claim, provider, envelope):
    return clearinghouse.read_claim(claim_837i.document(envelope, provider, claim()))


def payment(*answers, **given):
    return clearinghouse.remittance(clearinghouse.Payment("TRACE1", DAY, answers, **given))


def answer(billed, **facts):
    return clearinghouse.Answer(billed, **facts)


def test_a_partial_payment(billed, pyx12_findings):
    text = payment(answer(billed, contractual=9000, copay=3000))
    assert pyx12_findings(text) == []
    read = remittance_835.parse(text)
    assert (read.trace_number, read.payer_identifier, read.paid_on) == ("TRACE1", "1999999999", DAY)
    assert read.total == 90050 - 2 * 12000
    (claim,) = read.claims
    assert (claim.control_number, claim.charged, claim.paid) == ("HVN0000000001", 90050, 66050)
    assert [(a.group, a.reason, a.amount) for a in claim.adjustments] == [("CO", "45", 9000), ("PR", "3", 3000)] * 2
    assert not claim.denied


def test_a_denial(billed, pyx12_findings):
    text = payment(answer(billed, deny="197"))
    assert pyx12_findings(text) == []
    (claim,) = remittance_835.parse(text).claims
    assert claim.denied
    assert claim.paid == 0
    assert sum(adjustment.amount for adjustment in claim.adjustments) == claim.charged


def test_a_reversal_and_its_correction(billed, pyx12_findings):
    wrong = answer(billed, contractual=9000, reverse=True)
    text = payment(wrong, answer(billed, contractual=8000))
    assert pyx12_findings(text) == []
    taken, given_again = remittance_835.parse(text).claims
    assert taken.reversed
    assert taken.paid == -72050
    assert given_again.paid == 74050


def test_adjustments_of_the_claim_and_of_the_payment(billed, pyx12_findings):
    text = payment(
        answer(billed, contractual=9000, coinsurance=100),
        adjustments=(("WO", "OLD1", 500), ("L6", "", -20)),
        lines_given=False,
    )
    assert pyx12_findings(text) == []
    read = remittance_835.parse(text)
    assert [(each.reason, each.reference, each.amount) for each in read.provider_adjustments] == [
        ("WO", "OLD1", 500),
        ("L6", "", -20),
    ]
    assert read.total == read.claims[0].paid - 480


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contractual=st.integers(0, 10000),
    copay=st.integers(0, 10000),
    deductible=st.integers(0, 10000),
    coinsurance=st.integers(0, 10000),
    lines_given=st.booleans(),
)
def test_whatever_is_paid_reads_back(billed, pyx12_findings, lines_given, **facts):
    text = payment(answer(billed, **facts), lines_given=lines_given)
    assert pyx12_findings(text) == []
    (claim,) = remittance_835.parse(text).claims
    assert claim.paid == 90050 - 2 * sum(facts.values())


@pytest.mark.parametrize(
    ("old", "new", "field", "rule"),
    [
        ("BPR*I*660.50", "BPR*I*660.51", "BPR02", "balance"),
        ("*900.50*660.50*", "*900.50*660.40*", "CLP[0]", "balance"),
        ("CAS*CO*45*90.00~", "CAS*XX*45*90.00~", "CLP[0].CAS", "group"),
        ("CAS*CO*45*90.00", "CAS*CO*45*abc", "CLP[0].CAS", "amount"),
        ("SVC*HC:S9480*450.00", "SVC*HC:S9480*451.00", "CLP[0].SVC", "balance"),
        ("TRN*1*TRACE1*1999999999~\n", "", "TRN", "required"),
        ("20260401~\nTRN", "20261301~\nTRN", "BPR16", "date"),
        ("TRN*1*TRACE1", "TRN*1*TR\x00CE1", "TRN", "x12_characters"),
        ("CLP*HVN", "CLP*H\x00N", "CLP[0]", "x12_characters"),
        ("SE*", "SE*9", "SE", "segment_count"),
        ("GE*1*1~", "GE*1*2~", "GS", "control_number"),
        ("IEA*1*000000001~", "", "ISA", "envelope"),
        ("ISA*", "XSA*", "ISA", "envelope"),
        ("ST*835*0001~", "ST*835*0001~\nST*835*0001~", "ST", "one_payment"),
    ],
)
def test_what_does_not_hold_together_is_refused_by_name(billed, old, new, field, rule):
    good = payment(answer(billed, contractual=9000, copay=3000))
    assert old in good
    bad = good.replace(old, new, 1)
    if rule == "required":
        bad = bad.replace("SE*21", "SE*20")
    with pytest.raises(RuleBroken) as refused:
        remittance_835.parse(bad)
    assert (refused.value.problems[0].field, refused.value.problems[0].rule) == (field, rule)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_but_never_crashes(billed, data):
    good = payment(answer(billed, contractual=9000, copay=3000))
    at = data.draw(st.integers(0, len(good) - 1))
    cut = data.draw(st.integers(0, 30))
    bad = good[:at] + data.draw(st.text(max_size=10)) + good[at + cut :]
    with contextlib.suppress(RuleBroken):
        read = remittance_835.parse(bad)
        paid = sum(claim.paid for claim in read.claims)
        assert read.total == paid - sum(adjustment.amount for adjustment in read.provider_adjustments)
