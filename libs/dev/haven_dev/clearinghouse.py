"""Plays the payer: reads an institutional claim (X12 837I) and writes the remittance (X12 835, 005010X221A1) that
answers it.

Knows nothing of Haven's own X12 code, so that the two check each other. For development and tests only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

GUIDE = "005010X221A1"
_ISA_WIDTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_DENIED, _REVERSED = "4", "22"

Segment = Sequence[str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What an answer needs of a claim. Amounts are cents."""

    control_number: str
    total: int
    payer_name: str
    payer_id: str
    provider_name: str
    provider_npi: str
    patient_family: str
    patient_given: str
    member_id: str
    bill_facility: str
    bill_frequency: str
    lines: tuple[tuple[str, str, int, str], ...]
    """(revenue code, HCPCS, cents, CCYYMMDD)"""


@dataclass(frozen=True, slots=True)
class Answer:
    """How the payer answers one claim. Amounts are cents, for each line.

    `contractual` goes to CO 45, `copay` to PR 3, `deductible` to PR 1, `coinsurance` to PR 2; what is left is paid.
    `deny` is the reason code of a denial of the whole claim. `reverse` takes an earlier, same answer back.
    """

    claim: Claim
    contractual: int = 0
    copay: int = 0
    deductible: int = 0
    coinsurance: int = 0
    deny: str = ""
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Payment:
    """One check or transfer. `adjustments` are (PLB reason, reference, cents); positive cents are taken away."""

    trace_number: str
    paid_on: date
    answers: tuple[Answer, ...]
    adjustments: tuple[tuple[str, str, int], ...] = ()
    payer_identifier: str = "1999999999"
    control_number: int = 1
    lines_given: bool = field(default=True)
    """Give service lines, as most payers do; without them adjustments stand at the claim."""


def read_claim(x12_837: str) -> Claim:
    """The claim in an 837I. Raises ValueError when it holds none."""
    separator, component, terminator = x12_837[3], x12_837[104], x12_837[105]
    segments = [part.strip().split(separator) for part in x12_837.split(terminator) if part.strip()]
    names = {segment[1]: segment for segment in segments if segment[0] == "NM1"}
    claim = next((segment for segment in segments if segment[0] == "CLM"), None)
    if claim is None:
        raise ValueError("there is no claim in this interchange")
    dates = [segment[3] for segment in segments if segment[:2] == ["DTP", "472"]]
    services = [segment for segment in segments if segment[0] == "SV2"]
    facility, _, frequency = claim[5].split(component)
    patient = names.get("QC", names["IL"])
    return Claim(
        control_number=claim[1],
        total=_cents(claim[2]),
        payer_name=names["PR"][3],
        payer_id=names["PR"][9],
        provider_name=names["85"][3],
        provider_npi=names["85"][9],
        patient_family=patient[3],
        patient_given=patient[4] if len(patient) > 4 else "",
        member_id=names["IL"][9],
        bill_facility=facility,
        bill_frequency=frequency,
        lines=tuple(
            (service[1], service[2].split(component)[1], _cents(service[3]), on)
            for service, on in zip(services, dates, strict=True)
        ),
    )


def remittance(payment: Payment) -> str:
    """The 835 for a payment."""
    first = payment.answers[0].claim
    on = payment.paid_on.strftime("%Y%m%d")
    total = sum(_paid(answer) for answer in payment.answers) - sum(cents for _, _, cents in payment.adjustments)
    body: list[Segment] = [
        ("BPR", "I" if total else "H", _amount(total), "C", *_bank(on, total)),
        ("TRN", "1", payment.trace_number, payment.payer_identifier),
        ("DTM", "405", on),
        ("N1", "PR", first.payer_name, "XV", first.payer_id),
        ("N3", "1 PAYER SQUARE"),
        ("N4", "BOSTON", "MA", "02110"),
        ("PER", "BL", "PROVIDER SERVICES", "TE", "6175550199"),
        ("N1", "PE", first.provider_name, "XX", first.provider_npi),
        ("LX", "1"),
    ]
    for number, answer in enumerate(payment.answers, start=1):
        body.extend(_answer(answer, number, lines_given=payment.lines_given))
    pairs = [part for reason, reference, cents in payment.adjustments
             for part in (f"{reason}:{reference}".rstrip(":"), _amount(cents))]  # fmt: skip
    if pairs:
        body.append(("PLB", first.provider_npi, f"{payment.paid_on.year}1231", *pairs))
    return _interchange(payment, body)


def answer(
    x12_837: str,
    *,
    trace_number: str,
    paid_on: date,
    contractual: int = 0,
    copay: int = 0,
    deductible: int = 0,
    coinsurance: int = 0,
    deny: str = "",
) -> str:
    """The 835 that answers one 837I; amounts as in `Answer`, cents for each line."""
    facts = Answer(read_claim(x12_837), contractual, copay, deductible, coinsurance, deny)
    return remittance(Payment(trace_number, paid_on, (facts,)))


def _answer(answer: Answer, number: int, *, lines_given: bool) -> Iterable[Segment]:
    claim, sign = answer.claim, -1 if answer.reverse else 1
    status = _DENIED if answer.deny else _REVERSED if answer.reverse else "1"
    owes = 0 if answer.deny else (answer.copay + answer.deductible + answer.coinsurance) * len(claim.lines)
    own_number = f"P{claim.control_number}{number}"
    yield (
        "CLP", claim.control_number, status, _amount(sign * claim.total), _amount(_paid(answer)),
        _amount(sign * owes), "12", own_number, claim.bill_facility, claim.bill_frequency,
    )  # fmt: skip
    if not lines_given:
        yield from _adjusted(answer, claim.total, len(claim.lines))
    yield ("NM1", "QC", "1", claim.patient_family, claim.patient_given, "", "", "", "MI", claim.member_id)
    if not lines_given:
        return
    for revenue, hcpcs, cents, on in claim.lines:
        paid = cents - sum(value for _, _, value in _reasons(answer, cents, 1))
        yield ("SVC", f"HC:{hcpcs}", _amount(sign * cents), _amount(sign * paid), revenue, "1")
        yield ("DTM", "472", on)
        yield from _adjusted(answer, cents, 1)


def _reasons(answer: Answer, cents: int, lines: int) -> list[tuple[str, str, int]]:
    if answer.deny:
        return [("CO", answer.deny, cents)]
    reasons = [
        ("CO", "45", answer.contractual),
        ("PR", "1", answer.deductible),
        ("PR", "2", answer.coinsurance),
        ("PR", "3", answer.copay),
    ]
    return [(group, reason, value * lines) for group, reason, value in reasons if value]


def _adjusted(answer: Answer, cents: int, lines: int) -> Iterable[Segment]:
    sign = -1 if answer.reverse else 1
    reasons = _reasons(answer, cents, lines)
    for group in ("CO", "PR"):
        flat = [
            part for each, reason, value in reasons if each == group for part in (reason, _amount(sign * value), "")
        ]
        if flat:
            yield ("CAS", group, *flat)


def _paid(answer: Answer) -> int:
    paid = sum(
        cents - sum(value for _, _, value in _reasons(answer, cents, 1)) for _, _, cents, _ in answer.claim.lines
    )
    return -paid if answer.reverse else paid


def _bank(on: str, total: int) -> tuple[str, ...]:
    if not total:
        return ("NON", "", "", "", "", "", "", "", "", "", "", "", on)
    return ("CHK", "", "", "", "", "", "", "", "", "", "", "", on)


def _interchange(payment: Payment, body: Sequence[Segment]) -> str:
    at, control = payment.paid_on.strftime("%Y%m%d"), f"{payment.control_number:09d}"
    isa = ("00", "", "00", "", "ZZ", payment.answers[0].claim.payer_id, "ZZ", "HAVENEX", at[2:], "0600", "^", "00501",
           control, "0", "T", ":")  # fmt: skip
    segments: list[Segment] = [
        ("ISA", *(value.ljust(width) for value, width in zip(isa, _ISA_WIDTHS, strict=True))),
        ("GS", "HP", payment.answers[0].claim.payer_id, "HAVENEX", at, "0600", "1", "X", GUIDE),
        ("ST", "835", "0001"),
        *body,
        ("SE", str(len(body) + 2), "0001"),
        ("GE", "1", "1"),
        ("IEA", "1", control),
    ]
    return "".join(("*".join(s) if s[0] == "ISA" else "*".join(s).rstrip("*")) + "~\n" for s in segments)


def _cents(text: str) -> int:
    whole, _, cents = text.partition(".")
    return int(whole) * 100 + int(cents.ljust(2, "0") or "0")


def _amount(cents: int) -> str:
    sign, (whole, rest) = ("-" if cents < 0 else ""), divmod(abs(cents), 100)
    return f"{sign}{whole}.{rest:02d}"
