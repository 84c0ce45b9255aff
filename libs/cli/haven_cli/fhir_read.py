"""Reading FHIR R4 resources from NDJSON and bundle files, and putting together what belongs to each patient.

Only what a referral needs is kept of each resource (hl7.org/fhir/R4), so that a large export fits into memory and no
more leaves this machine than is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEPT: Mapping[str, tuple[str, ...]] = {
    "Patient": (
        "id", "identifier", "name", "telecom", "gender", "birthDate", "address", "communication", "deceasedDateTime",
    ),
    "Condition": ("id", "clinicalStatus", "verificationStatus", "code", "subject", "onsetDateTime"),
    "Encounter": ("id", "status", "class", "type", "subject", "participant", "period", "reasonCode", "serviceProvider"),
    "MedicationRequest": ("id", "status", "medicationCodeableConcept", "subject", "authoredOn"),
    "Practitioner": ("id", "identifier", "name"),
    "PractitionerRole": ("id", "practitioner", "organization", "specialty", "telecom"),
    "Organization": ("id", "identifier", "name", "telecom"),
}  # fmt: skip
"""Elements kept of each kind of resource. Other kinds are passed over."""

SUFFIXES = frozenset({".json", ".ndjson", ".jsonl"})
MAX_VISITS = 20
MAX_CONDITIONS = 300
MAX_BUNDLE_BYTES = 500_000
_PATIENTS_OWN = ("Condition", "Encounter", "MedicationRequest")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was read. A line of 0 is the whole file."""

    file: Path
    line: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """What could not be imported, and why. The reason holds nothing of the content."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The bundle of one patient, as JSON text, and where the patient was read."""

    place: Place
    bundle: str


@dataclass(slots=True)
class Export:
    """What was read of all files."""

    patients: dict[str, tuple[Place, dict[str, Any]]] = field(default_factory=dict)
    owned: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What is about a patient, by the patient's id."""
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Practitioners and organizations, by `<kind>/<id>` and by `<kind>?identifier=<system>|<value>`."""
    roles: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def orphans(self) -> int:
        """Resources about patients that were not read."""
        return sum(len(each) for patient, each in self.owned.items() if patient not in self.patients)


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files to read: those named, and of folders all NDJSON and JSON files in them, in order of their names."""
    found: dict[Path, None] = {}
    for path in paths:
        inside = sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES) if path.is_dir() else [path]
        found.update(dict.fromkeys(inside))
    return list(found)


def read_into(export: Export, file: Path) -> Iterator[int]:
    """Read a file into the export; what cannot be read is noted, the rest goes on. Yields bytes read, for progress."""
    try:
        if file.suffix == ".json":
            yield from _read_whole(export, file)
        else:
            yield from _read_lines(export, file)
    except OSError as error:
        export.refusals.append(Refusal(Place(file, 0), error.strerror or "cannot be read"))


def _read_lines(export: Export, file: Path) -> Iterator[int]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                _take(export, Place(file, number), line)
            yield len(line)


def _read_whole(export: Export, file: Path) -> Iterator[int]:
    content = file.read_bytes()
    _take(export, Place(file, 0), content)
    yield len(content)


def _take(export: Export, place: Place, content: bytes) -> None:
    try:
        found = json.loads(content)
    except UnicodeDecodeError:
        export.refusals.append(Refusal(place, "not UTF-8"))
        return
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if place.line == 0 else f"column {error.colno}"
        export.refusals.append(Refusal(place, f"not JSON ({where})"))
        return
    except RecursionError:
        export.refusals.append(Refusal(place, "nested too deeply"))
        return
    if not isinstance(found, dict) or not isinstance(found.get("resourceType"), str):
        export.refusals.append(Refusal(place, "not a FHIR resource: resourceType is missing"))
    elif found["resourceType"] == "Bundle":
        entries = found.get("entry") if isinstance(found.get("entry"), list) else []
        for entry in entries or ():
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(resource, dict):
                _sort(export, place, resource)
    else:
        _sort(export, place, found)


def _sort(export: Export, place: Place, resource: dict[str, Any]) -> None:
    kind = str(resource.get("resourceType"))
    if kind not in KEPT:
        return
    kept = {"resourceType": kind} | {name: resource[name] for name in KEPT[kind] if name in resource}
    own_id = kept.get("id")
    if kind == "Patient":
        if isinstance(own_id, str) and own_id:
            export.patients[own_id] = (place, kept)
        else:
            export.refusals.append(Refusal(place, "Patient.id is missing"))
    elif kind in _PATIENTS_OWN:
        patient = last_part(_reference(kept.get("subject")))
        if patient:
            kept["subject"] = {"reference": f"Patient/{patient}"}
            export.owned.setdefault(patient, []).append(kept)
        else:
            export.refusals.append(Refusal(place, f"{kind}.subject names no patient"))
    elif kind == "PractitionerRole":
        export.roles.append(kept)
    else:
        export.known[f"{kind}/{own_id}"] = kept
        for identifier in _dicts(kept.get("identifier")):
            export.known[f"{kind}?identifier={identifier.get('system')}|{identifier.get('value')}"] = kept


def ready(export: Export) -> Iterator[Ready | Refusal]:
    """The bundle of each patient, in the order read."""
    for patient_id, (place, patient) in export.patients.items():
        entries = [patient, *_belongings(export, patient_id)]
        bundle = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": each} for each in entries],
        }
        text = json.dumps(bundle, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        if len(text.encode()) > MAX_BUNDLE_BYTES:
            yield Refusal(place, f"more than {MAX_BUNDLE_BYTES // 1000} kB belongs to this patient")
        else:
            yield Ready(place, text)


def _belongings(export: Export, patient_id: str) -> list[dict[str, Any]]:
    owned = export.owned.get(patient_id, [])
    conditions = _latest_of_each(each for each in owned if each["resourceType"] == "Condition")
    medications = [each for each in owned if each.get("status") in ("active", "on-hold") and "authoredOn" in each]
    visits = sorted((each for each in owned if each["resourceType"] == "Encounter"), key=_start, reverse=True)[
        :MAX_VISITS
    ]
    return [*conditions, *sorted(medications, key=_id), *visits, *_referrers(export, visits)]


def _latest_of_each(conditions: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of statements that say the same, the latest; those that stand now before past ones."""
    latest: dict[str, dict[str, Any]] = {}
    for each in conditions:
        says = json.dumps([each.get(name) for name in ("code", "clinicalStatus", "verificationStatus")], sort_keys=True)
        if says not in latest or _onset(each) > _onset(latest[says]):
            latest[says] = each
    ordered = sorted(latest.values(), key=lambda each: (_onset(each), _id(each)), reverse=True)
    return sorted(ordered, key=lambda each: '"active"' not in json.dumps(each.get("clinicalStatus")))[:MAX_CONDITIONS]


def _referrers(export: Export, visits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Practitioner, role and organization of the latest visit."""
    if not visits:
        return []
    doctor_ref = next((_reference(each.get("individual")) for each in _dicts(visits[0].get("participant"))), "")
    doctor, place = _find(export, doctor_ref), _find(export, _reference(visits[0].get("serviceProvider")))
    roles = [each for each in export.roles if doctor and _names(export, each.get("practitioner"), doctor)]
    return [each for each in (doctor, next(iter(roles), None), place) if each]


def _find(export: Export, reference: str) -> dict[str, Any] | None:
    if reference in export.known:
        return export.known[reference]
    kinds = ("Practitioner", "Organization")
    return next(
        (export.known[key] for kind in kinds if (key := f"{kind}/{last_part(reference)}") in export.known), None
    )


def _names(export: Export, value: object, wanted: dict[str, Any]) -> bool:
    """Whether a reference, literal or logical, names the practitioner."""
    pointer = value if isinstance(value, dict) else {}
    identifier = pointer.get("identifier")
    if isinstance(identifier, dict):
        key = f"Practitioner?identifier={identifier.get('system')}|{identifier.get('value')}"
        return export.known.get(key) is wanted
    return _find(export, _reference(pointer)) is wanted


def last_part(reference: str) -> str:
    """The id that a reference ends with: of "Patient/1", "urn:uuid:1" and "https://host/fhir/Patient/1" it is "1"."""
    return reference.removeprefix("urn:uuid:").rsplit("/", 1)[-1]


def _reference(value: object) -> str:
    found = value.get("reference") if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _start(visit: Mapping[str, Any]) -> str:
    period = visit.get("period")
    return str(period.get("start", "")) if isinstance(period, dict) else ""


def _onset(condition: Mapping[str, Any]) -> str:
    return str(condition.get("onsetDateTime", ""))


def _id(resource: Mapping[str, Any]) -> str:
    return str(resource.get("id", ""))
