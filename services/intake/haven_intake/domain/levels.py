"""Levels of care: which ones the facts support (ASAM Criteria; CMS rules for intensive outpatient programs)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Level:
    """A level of care. Risks are those of the ASAM dimensions, 0 to 4."""

    id: str
    name: str
    order: int
    hours_from: int
    hours_to: int
    max_risk: int
    min_need: int
    around_the_clock: bool
    source: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides. `risks` are the six ASAM dimensions; `hours_per_week` is 0 where nothing is planned yet."""

    risks: tuple[int, ...]
    needs_24_hour_care: bool
    hours_per_week: int


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a level fits. Reasons are given for those that do not."""

    level: Level
    fits: bool
    reasons: tuple[str, ...]


def fits(level: Level, facts: Facts) -> Fit:
    """Whether the facts support the level."""
    worst = max(facts.risks, default=0)
    reasons = []
    if worst > level.max_risk:
        reasons.append("A dimension shows more risk than this level can carry.")
    if worst < level.min_need:
        reasons.append("No dimension shows a need for this level; a less intensive one is enough.")
    if facts.needs_24_hour_care and not level.around_the_clock:
        reasons.append("Care around the clock is needed, which this level does not give.")
    if facts.hours_per_week and not level.hours_from <= facts.hours_per_week <= level.hours_to:
        reasons.append(f"This level gives {level.hours_from} to {level.hours_to} hours a week.")
    return Fit(level, not reasons, tuple(reasons))


def all_fits(levels: Sequence[Level], facts: Facts) -> tuple[Fit, ...]:
    """Every level, the least intensive first."""
    return tuple(fits(level, facts) for level in sorted(levels, key=lambda each: each.order))


@dataclass(frozen=True, slots=True)
class AdmissionNeeds:
    """What must be there before an admission."""

    consents: tuple[str, ...]
    screenings: tuple[str, ...]
    screening_valid: timedelta
    care_team_roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is there. `screenings` are the times of the last scored one of each instrument."""

    consents: Collection[str]
    screenings: Mapping[str, datetime]
    technology_ready: bool
    location_eligible: bool
    care_team_roles: Collection[str]
    referral_accepted: bool
    duplicate_open: bool
    time_zone_known: bool


def missing_for_admission(needs: AdmissionNeeds, there: Preparation, now: datetime) -> tuple[str, ...]:
    """Names of what is missing: "consent treatment", "screening phq-9", "readiness check", …"""
    oldest = now - needs.screening_valid
    names = [f"consent {each}" for each in needs.consents if each not in there.consents]
    names += [
        f"screening {each}"
        for each in needs.screenings
        if each not in there.screenings or there.screenings[each] < oldest
    ]
    names += [f"care team {each}" for each in needs.care_team_roles if each not in there.care_team_roles]
    facts = {
        "technology check": there.technology_ready,
        "licensed location": there.location_eligible,
        "accepted referral": there.referral_accepted,
        "decision about the duplicate record": not there.duplicate_open,
        "time zone": there.time_zone_known,
    }
    return tuple(names + [name for name, holds in facts.items() if not holds])
