"""What several of billing's tests share."""

import io
import json
from collections.abc import Callable
from datetime import date, datetime

import pyx12.params
import pyx12.x12n_document
import pytest
from haven_billing.domain.x12 import claim_837i as x12
from haven_billing.domain.x12.segments import Envelope


@pytest.fixture(scope="session")
def pyx12_findings() -> Callable[[str], list[str]]:
    """Everything that pyx12, an independent validator, has to say against an interchange; empty for an accepted one."""

    def findings(text: str) -> list[str]:
        report = io.StringIO()
        accepted = pyx12.x12n_document.x12n_document(
            pyx12.params.params(), io.StringIO(text), None, None, None, report
        )
        found = [error["err_str"] for error in _errors(json.loads(report.getvalue()))]
        return found if found or accepted else ["not accepted"]

    return findings


def _errors(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "errors":
                yield from value
            else:
                yield from _errors(value)
    elif isinstance(node, list):
        for each in node:
            yield from _errors(each)


@pytest.fixture
def address() -> x12.Address:
    return x12.Address("12 Maple Street", "Boston", "MA", "02108-1234")


@pytest.fixture
def person(address) -> Callable[..., x12.Person]:
    def make(family_name="Example", given_name="Robin", **changed) -> x12.Person:
        return x12.Person(family_name, given_name, date(1990, 2, 28), changed.pop("sex", "F"), address)

    return make


@pytest.fixture
def provider() -> x12.Provider:
    return x12.Provider(
        name="Haven Example Program",
        npi="1234567893",
        tax_id="000000000",
        address=x12.Address("1 Example Street", "Boston", "MA", "021080001"),
        contact_name="Billing Office",
        contact_phone="6175550100",
        attending_family_name="Example",
        attending_given_name="Alex",
        attending_npi="1245319599",
        submitter_id="HAVENEX",
    )


@pytest.fixture
def claim(person) -> Callable[..., x12.Claim]:
    def make(**changed) -> x12.Claim:
        patient = changed.pop("patient", person())
        insurance = changed.pop("insurance", None) or x12.Insurance(
            "Example PPO", "EXPPO", "12", "MEM123456", "GRP 9", "", patient
        )
        values = {
            "control_number": "HVN0000000001",
            "bill_facility": "13",
            "bill_frequency": "1",
            "patient_status": "30",
            "patient": patient,
            "insurance": insurance,
            "diagnoses": ("F43.10", "F33.1"),
            "condition_codes": ("92",),
            "authorization_number": "AUTH 77",
            "lines": (
                x12.Line(date(2026, 3, 3), "0905", "S9480", 45000),
                x12.Line(date(2026, 3, 2), "0905", "S9480", 45050),
            ),
        }
        return x12.Claim(**(values | changed))

    return make


@pytest.fixture
def envelope() -> Envelope:
    return Envelope("HAVENEX", "EXPPO", 42, datetime(2026, 3, 4, 12, 30), production=False)  # noqa: DTZ001 - local time
