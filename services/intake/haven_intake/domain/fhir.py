"""A FHIR R4 bundle of one patient as a referral (hl7.org/fhir/R4: Patient, Condition, Encounter, MedicationRequest,
Practitioner, PractitionerRole, Organization).

Only what a referral needs is read; numbers of driving licences, passports and social security are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from haven_intake.domain.fhir_values import (
    address_of,
    codings,
    concept_text,
    date_part,
    human_name,
    listed,
    mapped,
    npi_of,
    telecoms,
    text,
)

MAX_VISITS = 10
_NOT_KEPT = frozenset({"SS", "DL", "PPN"})
_CURRENT = frozenset({"active", "recurrence", "relapse"})
_REFUTED = frozenset({"refuted", "entered-in-error"})


class Unusable(ValueError):
    """The bundle cannot be read as a referral. Names the element and the rule; holds no value from it."""

    def __init__(self, element: str, rule: str, message: str) -> None:
        super().__init__(f"{element}: {message}")
        self.element = element
        self.rule = rule
        self.message = message


class Audience(StrEnum):
    """Who may see a finding."""

    HEALTH = "health"
    SUBSTANCE_USE = "substance_use"
    PARTNER_PRIVATE = "partner_private"


@dataclass(frozen=True, slots=True)
class SafetyFinding:
    """A code that matters for safety."""

    kind: str
    label: str
    audience: Audience


@dataclass(frozen=True, slots=True)
class SafetyRules:
    """Findings by SNOMED CT code, and words in names of medications for substance use disorders."""

    findings: Mapping[str, SafetyFinding]
    substance_use_medications: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded statement with the day since when."""

    system: str
    code: str
    text: str
    since: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """A safety finding in this record."""

    kind: str
    label: str
    audience: Audience
    source: Coded


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit."""

    date: str
    class_code: str
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Patient:
    """Demographics. `identifiers` are system, type, value; `phones` and `emails` are value and use."""

    given_name: str
    family_name: str
    birth_date: str
    gender: str
    identifiers: tuple[tuple[str, str, str], ...]
    phones: tuple[tuple[str, str], ...] = ()
    emails: tuple[tuple[str, str], ...] = ()
    address: Mapping[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """System and value of the identifier by which a second import is known: the record number, else the first."""
        best = next((each for each in self.identifiers if each[1] == "MR"), self.identifiers[0])
        return best[0], best[2]


@dataclass(frozen=True, slots=True)
class Referrer:
    """Who refers."""

    organization: str = ""
    organization_npi: str = ""
    practitioner: str = ""
    practitioner_npi: str = ""
    phone: str = ""
    specialty: str = ""


@dataclass(frozen=True, slots=True)
class Referral:
    """What a bundle says."""

    patient: Patient
    referrer: Referrer
    conditions: tuple[Coded, ...]
    medications: tuple[Coded, ...]
    substance_use_medications: tuple[str, ...]
    visits: tuple[Visit, ...]
    flags: tuple[Flag, ...]


def read(bundle: object, rules: SafetyRules) -> Referral:
    """Read a bundle. Raises Unusable for one without exactly one usable patient, or that is about somebody else too."""
    resources = list(_resources(bundle))
    patients = [each for each in resources if each["resourceType"] == "Patient"]
    if len(patients) != 1:
        raise Unusable("entry", "one_patient", "A bundle holds exactly one Patient.")
    _about(resources, text(patients[0].get("id")))
    conditions = _of(resources, "Condition")
    encounters = _of(resources, "Encounter")
    medications = [each for each in _of(resources, "MedicationRequest") if each.get("status") in ("active", "on-hold")]
    su, other = _split_medications(medications, rules)
    return Referral(
        patient=_patient(patients[0]),
        referrer=_referrer(resources, encounters),
        conditions=tuple(_plain_conditions(conditions, rules)),
        medications=other,
        substance_use_medications=su,
        visits=_visits(encounters, rules),
        flags=tuple(_flags(conditions, rules)),
    )


def _resources(bundle: object) -> Iterator[dict[str, Any]]:
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Unusable("resourceType", "bundle", "This is not a FHIR Bundle.")
    for entry in listed(bundle.get("entry")):
        resource = mapped(mapped(entry).get("resource"))
        if isinstance(resource.get("resourceType"), str):
            yield resource


def _of(resources: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in resources if each["resourceType"] == kind]


def _about(resources: Sequence[dict[str, Any]], patient_id: str) -> None:
    for each in resources:
        reference = text(mapped(each.get("subject")).get("reference"))
        if reference.startswith("Patient/") and reference.removeprefix("Patient/") != patient_id:
            raise Unusable(f"{each['resourceType']}.subject", "same_patient", "A resource is about another patient.")


def _patient(raw: Mapping[str, Any]) -> Patient:
    given, family = human_name(raw.get("name"))
    if not given and not family:
        raise Unusable("Patient.name", "present", "A name is needed.")
    birth_date = date_part(raw.get("birthDate"))
    if len(birth_date) != 10:
        raise Unusable("Patient.birthDate", "full_date", "A birth date with year, month and day is needed.")
    identifiers = tuple(_identifiers(raw))
    if not identifiers:
        raise Unusable("Patient.identifier", "present", "An identifier with system and value is needed.")
    communication = (mapped(mapped(each).get("language")) for each in listed(raw.get("communication")))
    return Patient(
        given_name=given,
        family_name=family,
        birth_date=birth_date,
        gender=text(raw.get("gender")),
        identifiers=identifiers,
        phones=telecoms(raw, "phone"),
        emails=telecoms(raw, "email"),
        address=address_of(raw),
        languages=tuple(code for each in communication for _, code, _ in codings(each) if code)[:10],
    )


def _identifiers(raw: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for each in map(mapped, listed(raw.get("identifier"))[:50]):
        kind = next((code for _, code, _ in codings(mapped(each.get("type")))), "")
        system, value = text(each.get("system"))[:200], text(each.get("value"))[:200]
        if system and value and kind not in _NOT_KEPT:
            yield system, kind, value


def _finding(raw: Mapping[str, Any], rules: SafetyRules) -> tuple[SafetyFinding, Coded] | None:
    for system, code, display in codings(mapped(raw.get("code"))):
        if finding := rules.findings.get(code):
            return finding, Coded(system, code, display, date_part(raw.get("onsetDateTime")))
    return None


def _status(raw: Mapping[str, Any], element: str) -> str:
    return next((code for _, code, _ in codings(mapped(raw.get(element)))), "")


def _stands(raw: Mapping[str, Any]) -> bool:
    return _status(raw, "verificationStatus") not in _REFUTED


def _plain_conditions(conditions: Sequence[dict[str, Any]], rules: SafetyRules) -> Iterator[Coded]:
    seen: set[str] = set()
    for each in conditions:
        if _finding(each, rules) or not _stands(each) or _status(each, "clinicalStatus") not in _CURRENT:
            continue
        system, code, display = next(codings(mapped(each.get("code"))), ("", "", concept_text(each.get("code"))))
        if (code or display) not in seen and len(seen) < 200:
            seen.add(code or display)
            yield Coded(system, code, display, date_part(each.get("onsetDateTime")))


def _flags(conditions: Sequence[dict[str, Any]], rules: SafetyRules) -> Iterator[Flag]:
    """One flag a kind: the one that stands now, else the latest past one, named as past."""
    found: dict[str, tuple[bool, Flag]] = {}
    for each in conditions:
        if not _stands(each) or not (hit := _finding(each, rules)):
            continue
        finding, source = hit
        current = _status(each, "clinicalStatus") in _CURRENT
        label = finding.label if current else f"{finding.label}, in the past"
        flag = Flag(finding.kind, label, finding.audience, source)
        known = found.get(finding.kind)
        if known is None or (current, source.since) > (known[0], known[1].source.since):
            found[finding.kind] = (current, flag)
    yield from (flag for _, flag in sorted(found.values(), key=lambda each: each[1].kind))


def _split_medications(
    medications: Sequence[dict[str, Any]], rules: SafetyRules
) -> tuple[tuple[str, ...], tuple[Coded, ...]]:
    substance_use: list[str] = []
    other: dict[str, Coded] = {}
    for each in medications:
        concept = mapped(each.get("medicationCodeableConcept"))
        system, code, display = next(codings(concept), ("", "", concept_text(concept)))
        if any(word in display.lower() for word in rules.substance_use_medications):
            substance_use.append(display)
        elif display:
            other.setdefault(code or display, Coded(system, code, display, date_part(each.get("authoredOn"))))
    return tuple(dict.fromkeys(substance_use))[:20], tuple(other.values())[:100]


def _visits(encounters: Sequence[dict[str, Any]], rules: SafetyRules) -> tuple[Visit, ...]:
    dated = sorted(encounters, key=lambda each: text(mapped(each.get("period")).get("start")), reverse=True)
    return tuple(_visit(each, rules) for each in dated[:MAX_VISITS])


def _visit(raw: Mapping[str, Any], rules: SafetyRules) -> Visit:
    reasons = [each for reason in listed(raw.get("reasonCode")) for each in codings(mapped(reason))]
    # A reason that is a safety finding stands among the flags alone, where its audience is kept.
    reason = "" if any(code in rules.findings for _, code, _ in reasons) else next((d for _, _, d in reasons), "")
    kinds = [mapped(each) for each in listed(raw.get("type"))]
    hidden = any(code in rules.findings for kind in kinds for _, code, _ in codings(kind))
    return Visit(
        date=date_part(mapped(raw.get("period")).get("start")),
        class_code=text(mapped(raw.get("class")).get("code"))[:20],
        text="" if hidden or not kinds else concept_text(kinds[0]),
        reason=reason,
    )


def _referrer(resources: Sequence[dict[str, Any]], encounters: Sequence[dict[str, Any]]) -> Referrer:
    """The practitioner and organization of the latest encounter; without one, those of the bundle."""
    latest = max(encounters, key=lambda each: text(mapped(each.get("period")).get("start")), default={})
    doctor_ref = next((mapped(mapped(each).get("individual")) for each in listed(latest.get("participant"))), {})
    place_ref = mapped(latest.get("serviceProvider"))
    doctor = _pointed_at(resources, "Practitioner", doctor_ref)
    place = _pointed_at(resources, "Organization", place_ref)
    role = next(iter(_of(resources, "PractitionerRole")), {})
    given, family = human_name(doctor.get("name"))
    phones = telecoms(place, "phone") or telecoms(role, "phone")
    return Referrer(
        organization=(text(place.get("name")) or text(place_ref.get("display")))[:200],
        organization_npi=npi_of(place),
        practitioner=(f"{given} {family}".strip() or text(doctor_ref.get("display")))[:200],
        practitioner_npi=npi_of(doctor),
        phone=phones[0][0][:50] if phones else "",
        specialty=concept_text(next(iter(listed(role.get("specialty"))), {}))[:200],
    )


def _pointed_at(resources: Sequence[dict[str, Any]], kind: str, reference: Mapping[str, Any]) -> dict[str, Any]:
    """The resource a reference names, by id or by identifier (`Practitioner?identifier=system|value`)."""
    target = text(reference.get("reference"))
    candidates = _of(resources, kind)
    for each in candidates:
        values = {
            f"{kind}?identifier={text(i.get('system'))}|{text(i.get('value'))}"
            for i in map(mapped, listed(each.get("identifier")))
        }
        if target and (target == f"{kind}/{text(each.get('id'))}" or target in values):
            return each
    return candidates[0] if len(candidates) == 1 and not target else {}
