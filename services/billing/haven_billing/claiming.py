"""Puts together what a claim says, from the person's profile, coverage, authorization and days."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from haven.billing.v1 import coverage_pb2
from haven.intake.v1 import people_pb2
from sqlalchemy import Row

from haven_billing.domain import scrub
from haven_billing.domain.payers import Payer, ProgramKind
from haven_billing.domain.x12 import claim_837i as x12

_SEX = {people_pb2.SEX_FEMALE: "F", people_pb2.SEX_MALE: "M"}
_RELATIONSHIP = {
    coverage_pb2.RELATIONSHIP_SELF: "",
    coverage_pb2.RELATIONSHIP_SPOUSE: "01",
    coverage_pb2.RELATIONSHIP_CHILD: "19",
    coverage_pb2.RELATIONSHIP_OTHER: "G8",
}


@dataclass(frozen=True, slots=True)
class Material:
    """What a claim is made of. `coverage_row` and `charges` and `authorizations` are rows, the rest is opened."""

    profile: people_pb2.BillingProfile
    payer: Payer
    coverage_row: Row[Any]
    coverage: coverage_pb2.Coverage
    charges: Sequence[Row[Any]]
    authorizations: dict[str, Row[Any]]
    authorization_numbers: dict[str, str]
    consents: frozenset[str]
    """Kinds of consent in force."""


def facts(material: Material, today: date) -> scrub.Facts:
    """What the scrubbing rules look at."""
    profile, address = material.profile, material.profile.address
    codes = {charge.hcpcs for charge in material.charges}
    return scrub.Facts(
        days=tuple(_day(material, charge) for charge in material.charges),
        today=today,
        diagnoses=tuple(profile.diagnoses),
        has_name=bool(profile.family_name),
        has_birth_date=_is_day(profile.birth_date),
        has_address=bool(address.lines and address.city and len(address.state) == 2 and address.postal_code)
        and address.country in ("", "US"),
        active_from=material.coverage_row.active_from,
        active_to=material.coverage_row.active_to,
        authorization_required=any(
            rule.authorization_required for rule in material.payer.per_diems.values() if rule.hcpcs in codes
        ),
        timely_filing_days=material.payer.timely_filing_days,
        billing_consent="billing" in material.consents,
        part2_consent="part2_disclosure" in material.consents or codes.isdisjoint(_substance_use(material.payer)),
    )


def claim(material: Material, control_number: str, bill_frequency: str) -> x12.Claim:
    """The claim as X12 has it. The material must have been found clean."""
    profile = material.profile
    patient = _patient(profile)
    number = next((material.authorization_numbers[charge.authorization_id] for charge in material.charges
                   if charge.authorization_id is not None), "")  # fmt: skip
    return x12.Claim(
        control_number=control_number,
        bill_facility=material.payer.bill_facility,
        bill_frequency=bill_frequency,
        patient_status="30" if bill_frequency in "23" or not profile.discharged_on else "01",
        patient=patient,
        insurance=_insurance(material, patient),
        diagnoses=tuple(profile.diagnoses),
        condition_codes=material.payer.condition_codes,
        authorization_number=number,
        lines=tuple(
            x12.Line(charge.service_date, charge.revenue_code, charge.hcpcs, charge.amount)
            for charge in material.charges
        ),
    )


def attending(provider: x12.Provider, profile: people_pb2.BillingProfile) -> x12.Provider:
    """The provider with the clinician who directs this person's care, where intake knows one with an NPI."""
    if not profile.attending_npi or not profile.attending_name.strip():
        return provider
    *given, family = profile.attending_name.split()
    return replace(
        provider,
        attending_family_name=family,
        attending_given_name=" ".join(given),
        attending_npi=profile.attending_npi,
    )


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _substance_use(payer: Payer) -> set[str]:
    return {rule.hcpcs for kind, rule in payer.per_diems.items() if kind is ProgramKind.SUBSTANCE_USE}


def _day(material: Material, charge: Row[Any]) -> scrub.Day:
    used = material.authorizations.get(charge.authorization_id)
    authorized = scrub.Authorized(used.valid_from, used.valid_to) if used is not None else None
    return scrub.Day(charge.service_date, authorized)


def _patient(profile: people_pb2.BillingProfile) -> x12.Person:
    return x12.Person(
        family_name=profile.family_name,
        given_name=profile.given_name,
        birth_date=date.fromisoformat(profile.birth_date),
        sex=_SEX.get(profile.sex, "U"),
        address=x12.Address(
            line=profile.address.lines[0],
            city=profile.address.city,
            state=profile.address.state,
            postal_code=profile.address.postal_code,
        ),
    )


def _insurance(material: Material, patient: x12.Person) -> x12.Insurance:
    coverage, payer = material.coverage, material.payer
    subscriber = patient
    if coverage.relationship != coverage_pb2.RELATIONSHIP_SELF:
        subscriber = x12.Person(
            family_name=coverage.subscriber.family_name,
            given_name=coverage.subscriber.given_name,
            birth_date=date.fromisoformat(coverage.subscriber.birth_date),
            sex="U",
            address=None,
        )
    return x12.Insurance(
        payer_name=payer.name,
        payer_id=payer.x12_id,
        filing_indicator=payer.claim_filing_indicator,
        member_id=coverage.member_id,
        group_number=coverage.group_number,
        relationship=_RELATIONSHIP[coverage.relationship],
        subscriber=subscriber,
    )
