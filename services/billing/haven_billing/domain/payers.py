"""What a payer covers and how it pays for a day in the program. Amounts are minor units of the payer's currency."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class ServiceLine(StrEnum):
    """What a plan may cover."""

    PROGRAM_DAY = "program_day"
    GROUP = "group"
    INDIVIDUAL = "individual"
    COUPLES = "couples"
    MEDICATION_MANAGEMENT = "medication_management"
    THERAPEUTIC_ACTIVITY = "therapeutic_activity"
    RETREAT_MEALS = "retreat_meals"
    RETREAT_ACCOMMODATION = "retreat_accommodation"


class Benefit(StrEnum):
    """How a plan covers a service."""

    IN_PROGRAM_DAY = "in_program_day"
    COVERED = "covered"
    WITH_AUTHORIZATION = "with_authorization"
    NOT_COVERED = "not_covered"


class ProgramKind(StrEnum):
    """What kind of program a day belongs to; decides its codes."""

    PSYCHIATRIC = "psychiatric"
    SUBSTANCE_USE = "substance_use"


@dataclass(frozen=True, slots=True)
class PerDiemRule:
    """How a payer pays for one day."""

    hcpcs: str
    revenue_code: str
    charge: int
    allowed: int
    minimum_minutes: int
    maximum_days_per_week: int
    authorization_required: bool


@dataclass(frozen=True, slots=True)
class Payer:
    """A payer and its rules."""

    payer_id: str
    name: str
    fictional: bool
    in_network: bool
    plan_kinds: tuple[str, ...]
    currency: str
    x12_id: str
    """The payer's identifier in claims (NM109) and remittances (N104)."""
    claim_filing_indicator: str
    """X12 data element 1032: 12 PPO, HM HMO, CI commercial, MA Medicare Part A, MC Medicaid."""
    benefits: Mapping[ServiceLine, Benefit]
    per_diems: Mapping[ProgramKind, PerDiemRule]
    timely_filing_days: int
    condition_codes: tuple[str, ...]
    bill_facility: str
    interim_bills: bool
    """The payer wants first, continuing and last bills told apart in the type of bill."""
    source: str
    version: str


@dataclass(frozen=True, slots=True)
class Program:
    """The program's own facts: prices, and which tracks are for substance use."""

    currency: str
    prices: Mapping[ServiceLine, int]
    substance_use_tracks: frozenset[str]
    authorization_warning_days: int
    source: str
    version: str

    def kind(self, track: str) -> ProgramKind:
        """The kind of program a track belongs to."""
        return ProgramKind.SUBSTANCE_USE if track in self.substance_use_tracks else ProgramKind.PSYCHIATRIC


def covers(active_from: date | None, active_to: date | None, day: date) -> bool:
    """Whether a period with an open end covers a day. A period without a start covers nothing."""
    return active_from is not None and active_from <= day and (active_to is None or day <= active_to)
