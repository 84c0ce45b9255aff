"""A referral as a hospital sends it: a FHIR R4 bundle about a person who does not exist."""

from __future__ import annotations

import json
from typing import Any

from haven_dev.day.day import Who

SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


def _coded(system: str, code: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def _condition(number: int, code: str, text: str) -> dict[str, Any]:
    clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    return {
        "resourceType": "Condition",
        "id": f"condition-{number}",
        "clinicalStatus": {"coding": [{"system": clinical, "code": "active"}]},
        "code": _coded(SNOMED, code, text),
        "subject": {"reference": "Patient/rosa"},
        "onsetDateTime": "2026-02-11T09:30:00-06:00",
    }


def bundle(who: Who) -> str:
    """The bundle as JSON text."""
    patient = {
        "resourceType": "Patient",
        "id": "rosa",
        "identifier": [
            {
                "type": _coded("http://terminology.hl7.org/CodeSystem/v2-0203", "MR", "Medical record number"),
                "system": "https://hospital.example/mrn",
                "value": who.record_number,
            }
        ],
        "name": [{"use": "official", "family": who.family, "given": [who.given]}],
        "telecom": [
            {"system": "phone", "value": who.phone, "use": "mobile"},
            {"system": "email", "value": who.email},
        ],
        "gender": "female",
        "birthDate": who.birth_date,
        "address": [
            {"line": ["18 Elm Street"], "city": "Chicago", "state": "IL", "postalCode": "60601", "country": "US"}
        ],
        "communication": [{"language": _coded("urn:ietf:bcp:47", "en-US", "English")}],
    }
    encounter = {
        "resourceType": "Encounter",
        "id": "stay",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "type": [_coded(SNOMED, "183452005", "Emergency hospital admission")],
        "subject": {"reference": "Patient/rosa"},
        "participant": [{"individual": {"reference": "Practitioner/attending", "display": "Dr. Ada Byron"}}],
        "serviceProvider": {"reference": "Organization/hospital", "display": "Lakeside Hospital"},
        "period": {"start": "2026-02-27T19:00:00-06:00", "end": "2026-03-03T11:00:00-06:00"},
    }
    medication = {
        "resourceType": "MedicationRequest",
        "id": "medication",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": _coded(RXNORM, "312941", "sertraline 50 MG Oral Tablet"),
        "subject": {"reference": "Patient/rosa"},
        "authoredOn": "2026-03-03T10:00:00-06:00",
    }
    organization = {
        "resourceType": "Organization",
        "id": "hospital",
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}],
        "name": "Lakeside Hospital",
    }
    practitioner = {
        "resourceType": "Practitioner",
        "id": "attending",
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1992999825"}],
        "name": [{"family": "Byron", "given": ["Ada"], "prefix": ["Dr."]}],
    }
    resources = [
        patient,
        _condition(1, "47505003", "Posttraumatic stress disorder"),
        _condition(2, "73595000", "Stress (finding)"),
        _condition(3, "706893006", "Victim of intimate partner abuse (finding)"),
        encounter,
        medication,
        organization,
        practitioner,
    ]
    return json.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources]}
    )
