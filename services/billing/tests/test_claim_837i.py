"""The claim as X12: accepted by an independent validator, whatever people are called."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haven_billing.domain.rules import RuleBroken
from haven_billing.domain.x12 import claim_837i as x12
from haven_billing.domain.x12 import segments

SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def test_pyx12_accepts_the_claim_of_a_subscriber(claim, provider, envelope, pyx12_findings):
    assert pyx12_findings(x12.document(envelope, provider, claim())) == []


@pytest.mark.parametrize("relationship", ["01", "19", "G8"])
def test_pyx12_accepts_the_claim_of_a_dependent(claim, person, provider, envelope, pyx12_findings, relationship):
    subscriber = replace(person("Holder"), address=None)
    insurance = x12.Insurance("Example PPO", "EXPPO", "12", "MEM1", "", relationship, subscriber)
    text = x12.document(envelope, provider, claim(insurance=insurance))
    assert "NM1*QC*1*EXAMPLE*ROBIN~" in text
    assert pyx12_findings(text) == []


def test_pyx12_accepts_many_days_and_diagnoses_and_no_authorization(claim, provider, envelope, pyx12_findings):
    lines = tuple(x12.Line(date(2026, 3, day), "0906", "H0015", 42000) for day in range(1, 29))
    diagnoses = ("F10.20", *(f"F3{n % 4}.{n % 10}" for n in range(20)))
    built = claim(lines=lines, diagnoses=diagnoses, authorization_number="", condition_codes=(), bill_frequency="3")
    assert pyx12_findings(x12.document(envelope, provider, built)) == []


def test_the_validator_does_refuse(claim, provider, envelope, pyx12_findings):
    text = x12.document(envelope, provider, claim())
    assert pyx12_findings(text.replace("CLM*", "CLX*"))
    assert pyx12_findings(text.replace("*005010X223A2~\nBHT*0019", "*005010X223A2~\nBHT*0099"))
    assert pyx12_findings(text.replace("DTP*434*RD8*20260302-20260303~\n", ""))


def test_what_a_claim_says(claim, provider, envelope):
    lines = x12.document(envelope, provider, claim()).splitlines()
    assert lines[0] == (
        "ISA*00*          *00*          *ZZ*HAVENEX        *ZZ*EXPPO          *260304*1230*^*00501*000000042*0*T*:~"
    )
    assert len(lines[0]) == 106
    for expected in (
        "CLM*HVN0000000001*900.5***13:A:1**A*Y*Y~",
        "DTP*434*RD8*20260302-20260303~",
        "CL1*3*1*30~",
        "REF*G1*AUTH 77~",
        "HI*ABK:F4310~",
        "HI*ABF:F331~",
        "HI*BG:92~",
        "SV2*0905*HC:S9480*450*UN*1~",
        "SV2*0905*HC:S9480*450.5*UN*1~",
        "N4*BOSTON*MA*021081234~",
        "NM1*IL*1*EXAMPLE*ROBIN****MI*MEM123456~",
        "IEA*1*000000042~",
    ):
        assert expected in lines


def written(envelope, provider, claim):
    """The document, or the problems that stand in its way."""
    try:
        return x12.document(envelope, provider, claim), ()
    except RuleBroken as refused:
        return "", refused.problems


names = st.text(
    st.one_of(st.sampled_from("*~:^\n\r\t'-. "), st.characters(min_codepoint=0x20, max_codepoint=0x24F)),
    min_size=1,
    max_size=80,
)


@settings(max_examples=25, deadline=None, suppress_health_check=SUPPRESSED)
@given(family=names, given_name=names)
def test_no_name_breaks_the_claim(claim, person, provider, envelope, pyx12_findings, family, given_name):
    text, problems = written(envelope, provider, claim(patient=person(family, given_name)))
    if problems:
        assert {problem.field for problem in problems} <= {"person.family_name", "person.given_name"}
        assert {problem.rule for problem in problems} <= {"required", "x12_characters"}
        return
    assert pyx12_findings(text) == []
    plain = x12.document(envelope, provider, claim())
    assert [line.split("*")[0] for line in text.splitlines()] == [line.split("*")[0] for line in plain.splitlines()]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("Núñez*~GS", "NUNEZ GS"),
        ("O’Brien", "O'BRIEN"),
        ("Łukasz Größe", "LUKASZ GROSSE"),
        ("  two   spaces ", "TWO SPACES"),
        ("a:b^c", "A B C"),
        ("zero\u200bwidth", "ZEROWIDTH"),
    ],
)
def test_names_as_x12_can_carry_them(written, sent):
    assert segments.text("name", written, 60) == sent


@pytest.mark.parametrize(
    ("written", "rule"), [("李雷", "x12_characters"), ("*~", "required"), ("a\x00b", "x12_characters")]
)
def test_what_x12_cannot_carry_names_the_field(written, rule):
    with pytest.raises(RuleBroken) as refused:
        segments.text("person.family_name", written, 60)
    assert [(problem.field, problem.rule) for problem in refused.value.problems] == [("person.family_name", rule)]
    assert written not in str(refused.value)


@given(st.integers(-(10**12), 10**12))
def test_amounts_survive_the_way_there_and_back(units):
    written = segments.amount(units)
    assert segments.minor_units("x", written) == units
    assert "." not in written or not written.endswith("0")


@given(st.lists(st.lists(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -.", max_size=12), max_size=8), max_size=20))
def test_segments_survive_the_way_there_and_back(body):
    inner = [("ZZ", *(element.strip() for element in each), "END") for each in body]
    envelope = segments.Envelope("A", "B", 7, segments_time(), production=True)
    assert segments.read(segments.write(envelope, "HC", "837", x12.GUIDE, inner)) == inner


def segments_time():
    from datetime import datetime

    return datetime(2026, 1, 2, 3, 4)  # noqa: DTZ001 - X12 has local times


@pytest.mark.parametrize(
    ("interim", "first", "discharged", "frequency"),
    [
        (False, True, False, "1"),
        (False, False, True, "1"),
        (True, True, True, "1"),
        (True, True, False, "2"),
        (True, False, False, "3"),
        (True, False, True, "4"),
    ],
)
def test_bill_frequency(interim, first, discharged, frequency):
    assert x12.frequency(interim=interim, first=first, discharged=discharged) == frequency
