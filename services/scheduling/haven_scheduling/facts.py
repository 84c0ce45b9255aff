"""The program's facts kept in `data/`: tracks, tags, outlines. Read once at start."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from haven.scheduling.v1 import calendar_pb2, groups_pb2

from haven_kit import words
from haven_kit.errors import Invalid
from haven_kit.facts import read
from haven_scheduling.domain.week import Bounds

PACKAGE = "haven_scheduling"


def load() -> None:
    """Read all files: a bad one ends the start."""
    catalogue()
    agenda_templates()


@cache
def catalogue() -> groups_pb2.Catalogue:
    """The whole catalogue, to be read and not changed."""
    facts = read(PACKAGE, "program.yaml")
    return groups_pb2.Catalogue(
        version=facts["version"],
        tracks=[
            groups_pb2.Track(
                **each, weeks=sum(phase["weeks"] for phase in each["phases"]), source=facts["source"].strip()
            )
            for each in facts["tracks"]
        ],
        challenges=_terms(facts["challenges"]),
        modalities=_terms(facts["modalities"]),
        specialties=_terms(facts["specialties"]),
        credentials=_terms({tag: each["label"] for tag, each in facts["credentials"].items()}),
    )


def _terms(labels: dict[str, str]) -> list[groups_pb2.Term]:
    return [groups_pb2.Term(tag=tag, label=label) for tag, label in labels.items()]


def bounds(track: str) -> Bounds | None:
    """What a week of the track may look like; None for a track that is not in the catalogue."""
    found = next((each for each in catalogue().tracks if each.track == track), None)
    if found is None:
        return None
    return Bounds(
        found.min_days_per_week,
        found.max_days_per_week,
        found.min_minutes_per_day,
        found.max_minutes_per_day,
        found.min_hours_per_week,
    )


def treats(credential: str) -> bool:
    """Whether the credential is a licence to treat."""
    return bool(read(PACKAGE, "program.yaml")["credentials"].get(credential, {}).get("treats"))


def require_track(field: str, track: str, phase: str = "") -> None:
    """Raises Invalid for a track, or a phase of it, that is not in the catalogue."""
    found = next((each for each in catalogue().tracks if each.track == track), None)
    if found is None:
        raise Invalid(f"{field}.track", "known_track", "The track is not in the program's catalogue.")
    if phase and phase not in {each.phase for each in found.phases}:
        raise Invalid(f"{field}.phase", "known_phase", "The phase is not one of the track's.")


def require_tags(field: str, kind: str, tags: Iterable[str]) -> None:
    """Raises Invalid for a tag that is not among the catalogue's of this kind: "challenges", "modalities", …"""
    known = {each.tag for each in getattr(catalogue(), kind)}
    if not known.issuperset(tags):
        raise Invalid(field, "known_tag", f"A tag is not among the catalogue's {kind}.")


@cache
def agenda_templates() -> calendar_pb2.ListAgendaTemplatesResponse:
    """Outlines to start an agenda from."""
    return calendar_pb2.ListAgendaTemplatesResponse(
        templates=[_template(each) for each in read(PACKAGE, "agenda_templates.yaml")["templates"]]
    )


def _template(facts: dict[str, Any]) -> calendar_pb2.AgendaTemplate:
    items = [
        calendar_pb2.TemplateItem(**{**each, "kind": words.number(calendar_pb2.AgendaItemKind, each["kind"])})
        for each in facts["items"]
    ]
    return calendar_pb2.AgendaTemplate(**{**facts, "items": items}, total_minutes=sum(each.minutes for each in items))
