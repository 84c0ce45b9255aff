"""The institutional claim: ASC X12N 837, 005010X223A2. Loops and segments are named as in its implementation guide."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from haven_billing.domain.x12.segments import Envelope, Segment, amount, composite, day, text, write

GUIDE = "005010X223A2"


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address in the United States."""

    line: str
    city: str
    state: str
    postal_code: str


@dataclass(frozen=True, slots=True)
class Person:
    """A patient or subscriber. `sex` is F, M or U (X12 data element 1068)."""

    family_name: str
    given_name: str
    birth_date: date
    sex: str
    address: Address | None


@dataclass(frozen=True, slots=True)
class Provider:
    """The program that bills, and who answers for its claims."""

    name: str
    npi: str
    tax_id: str
    address: Address
    contact_name: str
    contact_phone: str
    attending_family_name: str
    attending_given_name: str
    attending_npi: str
    submitter_id: str


@dataclass(frozen=True, slots=True)
class Insurance:
    """Whose plan with which payer. `relationship` is PAT01 (01 spouse, 19 child, G8 other); empty when the patient
    subscribes."""

    payer_name: str
    payer_id: str
    filing_indicator: str
    member_id: str
    group_number: str
    relationship: str
    subscriber: Person


@dataclass(frozen=True, slots=True)
class Line:
    """One program day."""

    service_date: date
    revenue_code: str
    hcpcs: str
    charge: int
    units: int = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """All that one claim says. The principal diagnosis comes first; `patient_status` is 30 while in the program, else
    01."""

    control_number: str
    bill_facility: str
    bill_frequency: str
    patient_status: str
    patient: Person
    insurance: Insurance
    diagnoses: tuple[str, ...]
    condition_codes: tuple[str, ...]
    authorization_number: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> int:
        """The sum of the lines, in minor units."""
        return sum(line.charge for line in self.lines)


def frequency(*, interim: bool, first: bool, discharged: bool) -> str:
    """The last digit of the type of bill (NUBC): 1 admit through discharge, 2 first, 3 continuing, 4 last of several
    bills."""
    if not interim or (first and discharged):
        return "1"
    if discharged:
        return "4"
    return "2" if first else "3"


def document(envelope: Envelope, provider: Provider, claim: Claim) -> str:
    """The claim as X12. Raises RuleBroken naming the field that X12 cannot carry."""
    return write(envelope, "HC", "837", GUIDE, _body(envelope, provider, claim))


def _body(envelope: Envelope, provider: Provider, claim: Claim) -> Iterator[Segment]:
    at = envelope.written_at
    reference = f"{envelope.control_number:09d}"
    yield ("BHT", "0019", "00", reference, day(at.date()), at.strftime("%H%M"), "CH")
    yield from _submitter(provider, claim.insurance)
    yield from _billing_provider(provider)
    dependent = bool(claim.insurance.relationship)
    yield from _subscriber(claim, dependent=dependent)
    if dependent:
        yield from _patient(claim)
    yield from _claim(provider, claim)
    for number, line in enumerate(claim.lines, start=1):
        yield from _line(number, line)


def _submitter(provider: Provider, insurance: Insurance) -> Iterator[Segment]:
    name = text("provider.name", provider.name, 60)
    yield ("NM1", "41", "2", name, "", "", "", "", "46", text("provider.submitter_id", provider.submitter_id, 80))
    phone = text("provider.contact_phone", provider.contact_phone, 20)
    yield ("PER", "IC", text("provider.contact_name", provider.contact_name, 60), "TE", phone)
    payer = text("payer.name", insurance.payer_name, 60)
    yield ("NM1", "40", "2", payer, "", "", "", "", "46", text("payer.payer_id", insurance.payer_id, 80))


def _billing_provider(provider: Provider) -> Iterator[Segment]:
    yield ("HL", "1", "", "20", "1")
    yield ("NM1", "85", "2", text("provider.name", provider.name, 60), "", "", "", "", "XX", provider.npi)
    yield from _address("provider.address", provider.address)
    yield ("REF", "EI", text("provider.tax_id", provider.tax_id, 50))


def _subscriber(claim: Claim, *, dependent: bool) -> Iterator[Segment]:
    insurance, who = claim.insurance, claim.insurance.subscriber
    group = text("coverage.group_number", insurance.group_number, 50, required=False)
    yield ("HL", "2", "1", "22", "1" if dependent else "0")
    yield ("SBR", "P", "" if dependent else "18", group, "", "", "", "", "", insurance.filing_indicator)
    member = text("coverage.member_id", insurance.member_id, 80)
    yield _name("IL", "coverage.subscriber" if dependent else "person", who, "MI", member)
    if who.address is not None:
        yield from _address("person.address", who.address)
    if not dependent:
        yield ("DMG", "D8", day(who.birth_date), who.sex)
    payer = text("payer.name", insurance.payer_name, 60)
    yield ("NM1", "PR", "2", payer, "", "", "", "", "PI", text("payer.payer_id", insurance.payer_id, 80))


def _patient(claim: Claim) -> Iterator[Segment]:
    patient = claim.patient
    yield ("HL", "3", "2", "23", "0")
    yield ("PAT", claim.insurance.relationship)
    yield _name("QC", "person", patient)
    if patient.address is not None:
        yield from _address("person.address", patient.address)
    yield ("DMG", "D8", day(patient.birth_date), patient.sex)


def _claim(provider: Provider, claim: Claim) -> Iterator[Segment]:
    days = sorted(line.service_date for line in claim.lines)
    bill = composite(claim.bill_facility, "A", claim.bill_frequency)
    # A: the provider accepts assignment; Y: benefits are assigned, and release of information is consented to.
    yield ("CLM", claim.control_number, amount(claim.total), "", "", bill, "", "A", "Y", "Y")
    yield ("DTP", "434", "RD8", f"{day(days[0])}-{day(days[-1])}")
    # Admission type 3 elective, source 1 not from a health care facility.
    yield ("CL1", "3", "1", claim.patient_status)
    if claim.authorization_number:
        yield ("REF", "G1", text("authorization.payer_number", claim.authorization_number, 50))
    principal, *others = (code.replace(".", "") for code in claim.diagnoses)
    yield ("HI", composite("ABK", principal))
    for start in range(0, min(len(others), 24), 12):
        yield ("HI", *(composite("ABF", code) for code in others[start : start + 12]))
    if claim.condition_codes:
        yield ("HI", *(composite("BG", code) for code in claim.condition_codes))
    family = text("provider.attending_family_name", provider.attending_family_name, 60)
    given = text("provider.attending_given_name", provider.attending_given_name, 35, required=False)
    yield ("NM1", "71", "1", family, given, "", "", "", "XX", provider.attending_npi)


def _line(number: int, line: Line) -> Iterator[Segment]:
    yield ("LX", str(number))
    yield ("SV2", line.revenue_code, composite("HC", line.hcpcs), amount(line.charge), "UN", str(line.units))
    yield ("DTP", "472", "D8", day(line.service_date))
    yield ("REF", "6R", str(number))


def _name(entity: str, field: str, person: Person, qualifier: str = "", identifier: str = "") -> Segment:
    family = text(f"{field}.family_name", person.family_name, 60)
    given = text(f"{field}.given_name", person.given_name, 35, required=False)
    return ("NM1", entity, "1", family, given, "", "", "", qualifier, identifier)


def _address(field: str, address: Address) -> Iterator[Segment]:
    yield ("N3", text(f"{field}.line", address.line, 55))
    city = text(f"{field}.city", address.city, 30)
    state = text(f"{field}.state", address.state, 2)
    yield ("N4", city, state, text(f"{field}.postal_code", address.postal_code.replace("-", ""), 15))
