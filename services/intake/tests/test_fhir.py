import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haven_intake import facts
from haven_intake.domain import fhir

RULES = facts.safety_rules()
SNOMED = "http://snomed.info/sct"


def patient(**given_elements):
    return {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [
            {"system": "urn:hospital", "value": "src-1"},
            {"type": {"coding": [{"code": "MR"}]}, "system": "urn:mrn", "value": "00017"},
            {"type": {"coding": [{"code": "SS"}]}, "system": "http://hl7.org/fhir/sid/us-ssn", "value": "999-00-0000"},
        ],
        "name": [
            {"use": "maiden", "family": "Older", "given": ["Ada"]},
            {"use": "official", "family": "Lane", "given": ["Ada", "May"]},
        ],
        "gender": "female",
        "birthDate": "1987-03-04",
        "telecom": [{"system": "phone", "value": "555-0101", "use": "home"}],
        "address": [{"line": ["1 Elm"], "city": "Salina", "state": "KS", "postalCode": "67401", "country": "US"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en-US"}]}}],
    } | given_elements


def condition(code, text="Something", status="active", **more):
    return {
        "resourceType": "Condition",
        "code": {"coding": [{"system": SNOMED, "code": code, "display": text}]},
        "clinicalStatus": {"coding": [{"code": status}]},
        "subject": {"reference": "Patient/p1"},
        "onsetDateTime": "2024-02-03T10:00:00Z",
    } | more


def visit(day, reason=None):
    return {
        "resourceType": "Encounter",
        "class": {"code": "AMB"},
        "type": [{"text": "Office visit"}],
        "period": {"start": f"{day}T10:00:00Z"},
        "subject": {"reference": "Patient/p1"},
        "participant": [
            {"individual": {"reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|1234567893"}}
        ],
        "serviceProvider": {"reference": "Organization/o1"},
        "reasonCode": [{"coding": [{"system": SNOMED, "code": reason, "display": "A reason"}]}] if reason else [],
    }


def medication(text, status="active"):
    return {
        "resourceType": "MedicationRequest",
        "status": status,
        "medicationCodeableConcept": {"text": text, "coding": [{"code": str(len(text)), "display": text}]},
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2025-01-02T00:00:00Z",
    }


DOCTOR = {
    "resourceType": "Practitioner",
    "id": "d1",
    "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}],
    "name": [{"family": "Moss", "given": ["Ines"]}],
}
HOSPITAL = {
    "resourceType": "Organization",
    "id": "o1",
    "name": "Plains Hospital",
    "telecom": [{"system": "phone", "value": "555-9"}],
}


def bundle(*resources):
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources]}


def read(*resources):
    return fhir.read(bundle(*resources), RULES)


def test_a_patient_becomes_a_person_without_numbers_that_are_not_needed():
    found = read(patient()).patient
    assert (found.given_name, found.family_name, found.birth_date) == ("Ada May", "Lane", "1987-03-04")
    assert found.key == ("urn:mrn", "00017")
    assert "999-00-0000" not in str(found)
    assert found.languages == ("en-US",)


def test_findings_that_matter_for_safety_stand_among_the_flags_alone():
    found = read(
        patient(),
        condition("706893006"),
        condition("361055000"),
        condition("73595000"),
        condition("44054006", "Diabetes"),
        visit("2025-01-02", reason="706893006"),
    )
    assert {(each.kind, each.audience) for each in found.flags} == {
        ("intimate_partner_abuse", fhir.Audience.PARTNER_PRIVATE),
        ("drug_misuse", fhir.Audience.SUBSTANCE_USE),
        ("stress", fhir.Audience.HEALTH),
    }
    assert [each.text for each in found.conditions] == ["Diabetes"]
    assert [each.reason for each in found.visits] == [""]


def test_a_past_finding_is_named_as_past_unless_it_stands_again():
    past = condition("424393004", status="resolved")
    assert [each.label for each in read(patient(), past).flags] == [
        "Reports of violence in the environment, in the past"
    ]
    both = read(patient(), past, condition("424393004"))
    assert [each.label for each in both.flags] == ["Reports of violence in the environment"]


def test_what_was_refuted_or_has_passed_is_no_condition():
    refuted = condition("73595000", verificationStatus={"coding": [{"code": "refuted"}]})
    found = read(patient(), refuted, condition("44054006", status="resolved"))
    assert found.flags == ()
    assert found.conditions == ()


def test_current_medications_and_those_for_substance_use_apart():
    found = read(
        patient(), medication("Sertraline 50 MG"), medication("Buprenorphine 8 MG"), medication("Old", "stopped")
    )
    assert [each.text for each in found.medications] == ["Sertraline 50 MG"]
    assert found.substance_use_medications == ("Buprenorphine 8 MG",)


def test_who_refers_is_found_by_identifier_and_by_id():
    found = read(patient(), visit("2025-01-02"), visit("2024-01-02"), DOCTOR, HOSPITAL).referrer
    assert (found.practitioner, found.practitioner_npi) == ("Ines Moss", "1234567893")
    assert (found.organization, found.phone) == ("Plains Hospital", "555-9")


@pytest.mark.parametrize(
    ("given_bundle", "rule"),
    [
        ([], "bundle"),
        ({"resourceType": "Patient"}, "bundle"),
        (bundle(), "one_patient"),
        (bundle(patient(), patient(id="p2")), "one_patient"),
        (bundle(patient(name=[])), "present"),
        (bundle(patient(birthDate="1987")), "full_date"),
        (bundle(patient(identifier=[])), "present"),
        (bundle(patient(), condition("1", subject={"reference": "Patient/other"})), "same_patient"),
    ],
)
def test_a_bundle_that_cannot_be_used_is_named_without_its_content(given_bundle, rule):
    with pytest.raises(fhir.Unusable) as unusable:
        fhir.read(given_bundle, RULES)
    assert unusable.value.rule == rule
    assert "1987" not in str(unusable.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RESOURCES = [
    patient(),
    condition("706893006"),
    visit("2025-01-02", "73595000"),
    medication("Sertraline"),
    DOCTOR,
    HOSPITAL,
]


@given(st.data())
def test_any_element_may_be_wrong_and_nothing_breaks(source):
    resources = json.loads(json.dumps(RESOURCES))
    for _ in range(source.draw(st.integers(1, 4))):
        resource = source.draw(st.sampled_from(resources))
        name = source.draw(st.sampled_from(sorted(resource)))
        resource[name] = source.draw(json_values)
    with contextlib.suppress(fhir.Unusable):
        assert fhir.read(bundle(*resources), RULES).patient.identifiers
