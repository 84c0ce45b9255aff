"""Whether two records are one person.

Evidence is weighed as in the CDC and ONC patient-matching guidance: one shared identifier from the same system is
certain; name and birth date together are probable; less is possible, and waits for a person to decide.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from rapidfuzz.distance import JaroWinkler

NEAR_NAME = 0.92
"""Least Jaro-Winkler similarity of two names that count as near (Winkler 1990)."""

_PREFIXES = frozenset({"mr", "mrs", "ms", "miss", "dr", "mx", "prof"})


class Strength(IntEnum):
    """How sure it is."""

    NONE = 0
    POSSIBLE = 1
    PROBABLE = 2
    CERTAIN = 3


@dataclass(frozen=True, slots=True)
class Who:
    """What is known of a person for matching."""

    given_name: str
    family_name: str
    birth_date: str = ""
    identifiers: frozenset[tuple[str, str]] = frozenset()
    """System and value."""
    phones: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How sure it is, and what agrees."""

    strength: Strength
    agrees: tuple[str, ...] = field(default=())


def name_key(given_name: str, family_name: str) -> str:
    """A name without case, accents, punctuation, digits and titles."""
    return f"{_plain(given_name)} {_plain(family_name)}".strip()


def phone_key(number: str) -> str:
    """The last ten digits of a telephone number; empty where there are fewer than seven."""
    digits = "".join(each for each in number if each.isdecimal())
    return digits[-10:] if len(digits) >= 7 else ""


def email_key(address: str) -> str:
    """An e-mail address as it is compared."""
    return address.strip().casefold()


def compare(one: Who, other: Who) -> Verdict:
    """Weigh two records. The order of the two makes no difference."""
    agrees = tuple(_agreements(one, other))
    found = set(agrees)
    if "identifier" in found:
        return Verdict(Strength.CERTAIN, agrees)
    same_day = "birth date" in found
    reached = bool(found & {"phone", "email"})
    if same_day and "name" in found:
        return Verdict(Strength.PROBABLE, agrees)
    if same_day and "near name" in found:
        return Verdict(Strength.PROBABLE if reached else Strength.POSSIBLE, agrees)
    if reached and found & {"name", "near name"} and not _days_differ(one, other):
        return Verdict(Strength.POSSIBLE, agrees)
    return Verdict(Strength.NONE, agrees)


def _agreements(one: Who, other: Who) -> Iterable[str]:
    if one.identifiers & other.identifiers:
        yield "identifier"
    mine, theirs = name_key(one.given_name, one.family_name), name_key(other.given_name, other.family_name)
    if mine and mine == theirs:
        yield "name"
    elif mine and theirs and _near(mine, theirs):
        yield "near name"
    if one.birth_date and one.birth_date == other.birth_date:
        yield "birth date"
    if _keys(one.phones, phone_key) & _keys(other.phones, phone_key):
        yield "phone"
    if _keys(one.emails, email_key) & _keys(other.emails, email_key):
        yield "email"


def _near(mine: str, theirs: str) -> bool:
    # The measure weighs the beginning of its first argument, so both orders are tried.
    return max(JaroWinkler.similarity(mine, theirs), JaroWinkler.similarity(theirs, mine)) >= NEAR_NAME


def _days_differ(one: Who, other: Who) -> bool:
    return bool(one.birth_date and other.birth_date and one.birth_date != other.birth_date)


def _keys(values: Iterable[str], key: Callable[[str], str]) -> set[str]:
    return {found for each in values if (found := key(each))}


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name).casefold()
    words = "".join(
        each if each.isalpha() or each.isspace() else " " if each in "-." else "" for each in letters
    ).split()
    return " ".join(word for word in words if word not in _PREFIXES)


def search_keys(who: Who) -> frozenset[tuple[str, str]]:
    """Purpose and text of everything that a record of the same person would share with this one."""
    keys = {("identifier", f"{system}|{value}") for system, value in who.identifiers}
    if who.birth_date:
        keys.add(("birth", who.birth_date))
        keys.add(("name+birth", f"{name_key(who.given_name, who.family_name)}|{who.birth_date}"))
    keys |= {("phone", key) for key in _keys(who.phones, phone_key)}
    keys |= {("email", key) for key in _keys(who.emails, email_key)}
    return frozenset(keys)
