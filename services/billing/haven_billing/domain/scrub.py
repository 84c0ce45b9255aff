"""Claim scrubbing: what a payer would refuse is found before the claim goes out, with the field that needs another
look."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from haven_billing.domain.payers import covers
from haven_billing.domain.rules import Problem

# ICD-10-CM: a letter, a digit, a digit or letter, then up to four more after the point.
_DIAGNOSIS = re.compile(r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?")


@dataclass(frozen=True, slots=True)
class Authorized:
    """The authorization a day used."""

    valid_from: date
    valid_to: date


@dataclass(frozen=True, slots=True)
class Day:
    """A day to be billed."""

    service_date: date
    authorized: Authorized | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at."""

    days: tuple[Day, ...]
    today: date
    diagnoses: tuple[str, ...]
    has_name: bool
    has_birth_date: bool
    has_address: bool
    active_from: date | None
    active_to: date | None
    authorization_required: bool
    timely_filing_days: int
    billing_consent: bool
    """Whether the person allows us to send their plan what a claim needs."""
    part2_consent: bool
    """Whether the person agreed to tell the payer, where the law asks for it: substance-use care, 42 CFR 2.31."""


def problems(facts: Facts) -> list[Problem]:
    """Everything that would be refused, in the order a biller would mend it; empty for a clean claim."""
    return [*_days(facts), *_person(facts)]


def _person(facts: Facts) -> Iterator[Problem]:
    if not facts.has_name:
        yield Problem("person.family_name", "missing_name", "The person's name is needed on a claim.")
    if not facts.has_birth_date:
        yield Problem("person.birth_date", "missing_birth_date", "The birth date is needed on a claim.")
    if not facts.has_address:
        yield Problem("person.address", "missing_address", "A full postal address is needed on a claim.")
    if not facts.diagnoses:
        yield Problem("person.diagnoses", "missing_diagnosis", "A diagnosis is needed on a claim.")
    elif not all(_DIAGNOSIS.fullmatch(code) for code in facts.diagnoses):
        yield Problem("person.diagnoses", "diagnosis_code", "Each diagnosis must be an ICD-10-CM code.")
    if not facts.billing_consent:
        yield Problem("consent", "missing_billing_consent", "The person has not agreed to claims to their plan.")
    if not facts.part2_consent:
        yield Problem("consent", "missing_part2_consent", "Substance-use care needs a consent of its own.")


def _days(facts: Facts) -> Iterator[Problem]:
    if not facts.days:
        yield Problem("lines", "nothing_to_bill", "No day in this period is ready to be billed.")
        return
    if facts.today - min(day.service_date for day in facts.days) > timedelta(days=facts.timely_filing_days):
        yield Problem("from", "timely_filing", "The first day is older than the payer still accepts.")
    if not all(covers(facts.active_from, facts.active_to, day.service_date) for day in facts.days):
        yield Problem("coverage", "coverage_not_active", "The coverage is not in force on every day.")
    if facts.authorization_required and not all(_authorized(day) for day in facts.days):
        yield Problem("authorization", "authorization_expired", "No authorization in force covers every day.")


def _authorized(day: Day) -> bool:
    return day.authorized is not None and covers(day.authorized.valid_from, day.authorized.valid_to, day.service_date)
