"""Reading FHIR data types (hl7.org/fhir/R4/datatypes.html) from JSON that may be wrong anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

NPI = "http://hl7.org/fhir/sid/us-npi"
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def mapped(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    """The value if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """The value if it is a string, without blanks around it, else an empty one."""
    return value.strip() if isinstance(value, str) else ""


def date_part(value: object) -> str:
    """The day of a date or dateTime as precise as it is given: "2024-05-01", "2024-05" or "2024"."""
    found = _DATE.match(text(value))
    return found.group() if found else ""


def codings(concept: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """System, code and display of each coding of a CodeableConcept."""
    for each in map(mapped, listed(concept.get("coding"))):
        yield (
            text(each.get("system"))[:200],
            text(each.get("code"))[:50],
            (text(each.get("display")) or text(concept.get("text")))[:300],
        )


def concept_text(value: object) -> str:
    """How a CodeableConcept reads."""
    concept = mapped(value)
    return text(concept.get("text"))[:300] or next((display for _, _, display in codings(concept) if display), "")


def human_name(value: object) -> tuple[str, str]:
    """Given and family name: the official one, else the first."""
    names = [mapped(each) for each in listed(value)]
    best = next((each for each in names if each.get("use") == "official"), names[0] if names else {})
    given = " ".join(filter(None, map(text, listed(best.get("given")))))
    return given[:100], text(best.get("family"))[:100]


def telecoms(raw: Mapping[str, Any], system: str) -> tuple[tuple[str, str], ...]:
    """Value and use of each ContactPoint of a system, such as "phone"; at most ten."""
    points = (mapped(each) for each in listed(raw.get("telecom")))
    return tuple(
        (text(each.get("value"))[:200], text(each.get("use"))[:20])
        for each in points
        if each.get("system") == system and text(each.get("value"))
    )[:10]


def address_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The first Address: `lines`, `city`, `state`, `postal_code`, `country`."""
    first = mapped(next(iter(listed(raw.get("address"))), {}))
    return {
        "lines": [text(each)[:200] for each in listed(first.get("line"))[:4]],
        "city": text(first.get("city"))[:100],
        "state": text(first.get("state"))[:50],
        "postal_code": text(first.get("postalCode"))[:20],
        "country": text(first.get("country"))[:2].upper(),
    }


def npi_of(raw: Mapping[str, Any]) -> str:
    """The national provider identifier, ten digits, or nothing."""
    values = (
        text(each.get("value")) for each in map(mapped, listed(raw.get("identifier"))) if each.get("system") == NPI
    )
    return next((value for value in values if re.fullmatch(r"\d{10}", value)), "")
