"""Which clinicians fit a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from haven_scheduling.domain.availability import Availability, shared_minutes
from haven_scheduling.domain.intervals import Interval

ENOUGH_MINUTES = 180
"""Shared free minutes a week beyond which more do not make a better fit."""


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence to treat, where it holds (empty: everywhere) and the last day it is in force."""

    credential: str
    jurisdiction: str
    expires_on: date

    def holds(self, on: date, jurisdiction: str = "") -> bool:
        """Whether it is in force that day, there."""
        return self.expires_on >= on and (not jurisdiction or self.jurisdiction in ("", jurisdiction))


@dataclass(frozen=True, slots=True)
class Clinician:
    """What matching knows about a member of staff. `licences` holds licences to treat only."""

    principal_id: str
    specialties: frozenset[str]
    modalities: frozenset[str]
    languages: frozenset[str]
    licences: tuple[Licence, ...]
    availability: Availability
    booked: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom a person looks for."""

    specialties: frozenset[str]
    modalities: frozenset[str]
    language: str
    jurisdiction: str
    availability: Availability


@dataclass(frozen=True, slots=True)
class Match:
    """A clinician who fits, from 0 to 100."""

    principal_id: str
    fit: int
    specialties: tuple[str, ...]
    modalities: tuple[str, ...]
    shared_minutes: int


def rank(clinicians: Iterable[Clinician], wanted: Wanted, week: Interval, today: date) -> list[Match]:
    """Those licensed, who speak the language and share some free time and some of what is asked for; best first."""
    found = [match for each in clinicians if (match := _match(each, wanted, week, today))]
    return sorted(found, key=lambda each: (-each.fit, -each.shared_minutes, each.principal_id))


def speaks(languages: Iterable[str], wanted: str) -> bool:
    """Whether one of the BCP 47 tags is the wanted language; a plain "es" is met by every "es-…"."""
    return not wanted or any(
        each.lower() == wanted.lower() or ("-" not in wanted and each.lower().split("-")[0] == wanted.lower())
        for each in languages
    )


def _match(one: Clinician, wanted: Wanted, week: Interval, today: date) -> Match | None:
    if not any(licence.holds(today, wanted.jurisdiction) for licence in one.licences):
        return None
    if not speaks(one.languages, wanted.language):
        return None
    minutes = shared_minutes(one.availability, wanted.availability, week, one.booked)
    specialties = tuple(sorted(one.specialties & wanted.specialties))
    modalities = tuple(sorted(one.modalities & wanted.modalities))
    nothing_in_common = (wanted.specialties or wanted.modalities) and not (specialties or modalities)
    if minutes == 0 or nothing_in_common:
        return None
    fit = 60 * _part(len(specialties), len(wanted.specialties)) + 25 * _part(len(modalities), len(wanted.modalities))
    fit += 15 * min(1.0, minutes / ENOUGH_MINUTES)
    return Match(one.principal_id, round(fit), specialties, modalities, minutes)


def _part(has: int, of: int) -> float:
    return has / of if of else 1.0
