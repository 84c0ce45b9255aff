"""What a FHIR bundle says, as messages of our contracts."""

from __future__ import annotations

from haven.intake.v1 import people_pb2
from haven.intake.v1 import referral_service_pb2 as pb

from haven_intake.domain import fhir

# HL7 administrative-gender; "other" is told in the preferences, where there is room for it.
_SEX = {"female": people_pb2.SEX_FEMALE, "male": people_pb2.SEX_MALE}


def person_of(patient: fhir.Patient) -> people_pb2.Person:
    """A Patient as a person."""
    person = people_pb2.Person(
        given_name=patient.given_name,
        family_name=patient.family_name,
        birth_date=patient.birth_date,
        sex=_SEX.get(patient.gender, people_pb2.SEX_UNKNOWN),
        address=people_pb2.Address(**patient.address),
        languages=[each[:35] for each in patient.languages],
    )
    for system, kind, value in patient.identifiers:
        person.identifiers.add(system=system, type=kind[:20], value=value)
    for value, use in patient.phones:
        person.phones.add(value=value, use=use)
    for value, use in patient.emails:
        person.emails.add(value=value, use=use)
    return person


def referral_of(facts: fhir.Referral, kind: pb.ReferralKind.ValueType) -> pb.Referral:
    """The clinical part as a referral."""
    referrer = facts.referrer
    referral = pb.Referral(
        kind=kind or pb.REFERRAL_KIND_HOSPITAL,
        referrer=pb.Referrer(
            organization=referrer.organization,
            organization_npi=referrer.organization_npi,
            practitioner=referrer.practitioner,
            practitioner_npi=referrer.practitioner_npi,
            phone=referrer.phone,
            specialty=referrer.specialty,
        ),
    )
    summary = referral.summary
    summary.conditions.extend(_coded(each) for each in facts.conditions)
    summary.medications.extend(_coded(each) for each in facts.medications)
    summary.substance_use_medications.extend(facts.substance_use_medications)
    for visit in facts.visits:
        summary.visits.add(date=visit.date, class_code=visit.class_code, text=visit.text, reason=visit.reason)
    for flag in facts.flags:
        _add_flag(summary, flag)
    return referral


def _coded(each: fhir.Coded) -> pb.CodedStatement:
    return pb.CodedStatement(system=each.system, code=each.code, text=each.text, since=each.since)


def _add_flag(summary: pb.ClinicalSummary, flag: fhir.Flag) -> None:
    source = flag.source
    if flag.audience is fhir.Audience.HEALTH:
        summary.flags.add(kind=flag.kind, label=flag.label, source=_coded(source))
    elif flag.audience is fhir.Audience.SUBSTANCE_USE:
        summary.substance_use_flags.add(kind=flag.kind, label=flag.label, code=source.code, since=source.since)
    else:
        summary.partner_flags.add(kind=flag.kind, label=flag.label, code=source.code, since=source.since)
