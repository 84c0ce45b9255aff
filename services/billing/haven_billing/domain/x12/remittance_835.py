"""The payer's explanation of a payment: ASC X12N 835, 005010X221A1. Reads what posting needs and checks that it
balances."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from haven_billing.domain.rules import broken
from haven_billing.domain.x12.segments import Segment, component_separator, element, minor_units, read, read_day

GROUPS = frozenset({"CO", "PR", "OA", "PI"})
DENIED, REVERSAL, PREDETERMINED = "4", "22", "25"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One reason why less was paid than charged (CAS)."""

    group: str
    reason: str
    amount: int


@dataclass(slots=True)
class ClaimPayment:
    """What the payer says about one claim (CLP with its service lines). Amounts are minor units."""

    control_number: str
    status: str
    charged: int
    paid: int
    person_owes: int
    payer_claim_number: str
    adjustments: list[Adjustment] = field(default_factory=list)
    lines: int = 0
    lines_charged: int = 0
    lines_paid: int = 0
    claim_level: int = 0
    """Sum of the adjustments given for the claim as a whole, before its first line."""

    @property
    def denied(self) -> bool:
        """The whole claim was denied."""
        return self.status == DENIED

    @property
    def informs_only(self) -> bool:
        """The payer says what it would pay; nothing was decided and nothing is posted."""
        return self.status == PREDETERMINED

    @property
    def reversed(self) -> bool:
        """An earlier payment is taken back; the amounts are negative."""
        return self.status == REVERSAL


@dataclass(frozen=True, slots=True)
class ProviderAdjustment:
    """Something taken from the payment as a whole; negative when added (PLB)."""

    reason: str
    reference: str
    amount: int


@dataclass(frozen=True, slots=True)
class Remittance:
    """One payment explained."""

    payer_identifier: str
    trace_number: str
    paid_on: date
    total: int
    claims: tuple[ClaimPayment, ...]
    provider_adjustments: tuple[ProviderAdjustment, ...]


def parse(text: str) -> Remittance:
    """The remittance in an interchange.

    Raises RuleBroken naming segment and rule: envelope, missing segments, amounts, or sums that do not balance
    (005010X221A1, section 1.10.2: service line, claim and transaction balancing).
    """
    segments = read(text)
    separator = component_separator(text)
    bpr = _only(segments, "BPR")
    trn = _only(segments, "TRN")
    total = minor_units("BPR02", element(bpr, 2))
    if element(bpr, 3) == "D":
        total = -total
    trace, payer = element(trn, 2), element(trn, 3)
    if not trace or not payer:
        raise broken("TRN", "required", "This names no payment number or no payer.")
    if not (trace + payer).isprintable():
        raise broken("TRN", "x12_characters", "This holds characters that X12 does not allow.")
    remittance = Remittance(
        payer_identifier=payer,
        trace_number=trace,
        paid_on=read_day("BPR16", element(bpr, 16)),
        total=total,
        claims=tuple(_claims(segments)),
        provider_adjustments=tuple(_provider_adjustments(segments, separator)),
    )
    _check(remittance)
    return remittance


def _claims(segments: list[Segment]) -> list[ClaimPayment]:
    found: list[ClaimPayment] = []
    for segment in segments:
        match segment[0]:
            case "CLP":
                found.append(_claim(segment, len(found)))
            case "CAS" if found:
                adjustments = list(_adjustments(segment, len(found) - 1))
                found[-1].adjustments.extend(adjustments)
                if not found[-1].lines:
                    found[-1].claim_level += sum(adjustment.amount for adjustment in adjustments)
            case "SVC" if found:
                found[-1].lines += 1
                found[-1].lines_charged += minor_units(f"CLP[{len(found) - 1}].SVC02", element(segment, 2))
                found[-1].lines_paid += minor_units(f"CLP[{len(found) - 1}].SVC03", element(segment, 3) or "0")
    return found


def _claim(segment: Segment, index: int) -> ClaimPayment:
    where = f"CLP[{index}]"
    if not element(segment, 1) or not element(segment, 2):
        raise broken(where, "required", "This names no claim or no status.")
    if not element(segment, 1).isprintable():
        raise broken(where, "x12_characters", "This holds characters that X12 does not allow.")
    return ClaimPayment(
        control_number=element(segment, 1),
        status=element(segment, 2),
        charged=minor_units(f"{where}.CLP03", element(segment, 3)),
        paid=minor_units(f"{where}.CLP04", element(segment, 4)),
        person_owes=minor_units(f"{where}.CLP05", element(segment, 5) or "0"),
        payer_claim_number=element(segment, 7),
    )


def _adjustments(segment: Segment, index: int) -> Iterable[Adjustment]:
    where, group = f"CLP[{index}].CAS", element(segment, 1)
    if group not in GROUPS:
        raise broken(where, "group", "The adjustment group is not CO, PR, OA or PI.")
    for position in range(2, len(segment), 3):
        reason, value = element(segment, position), element(segment, position + 1)
        if reason or value:
            yield Adjustment(group, reason, minor_units(where, value))


def _provider_adjustments(segments: list[Segment], separator: str) -> Iterable[ProviderAdjustment]:
    for segment in segments:
        if segment[0] != "PLB":
            continue
        for position in range(3, len(segment), 2):
            reason, _, reference = element(segment, position).partition(separator)
            if reason:
                yield ProviderAdjustment(reason, reference, minor_units("PLB", element(segment, position + 1)))


def _check(remittance: Remittance) -> None:
    for index, claim in enumerate(remittance.claims):
        if claim.charged - sum(adjustment.amount for adjustment in claim.adjustments) != claim.paid:
            raise broken(f"CLP[{index}]", "balance", "Charged less adjustments is not what was paid.")
        on_lines = (claim.lines_charged, claim.lines_paid - claim.claim_level)
        if claim.lines and on_lines != (claim.charged, claim.paid):
            raise broken(f"CLP[{index}].SVC", "balance", "The service lines do not add up to the claim.")
    paid = sum(claim.paid for claim in remittance.claims)
    taken = sum(adjustment.amount for adjustment in remittance.provider_adjustments)
    if paid - taken != remittance.total:
        raise broken("BPR02", "balance", "The payment is not the sum of its claims less its adjustments.")


def _only(segments: list[Segment], name: str) -> Segment:
    found = [segment for segment in segments if segment[0] == name]
    if len(found) != 1:
        raise broken(name, "required", "This is needed exactly once.")
    return found[0]
