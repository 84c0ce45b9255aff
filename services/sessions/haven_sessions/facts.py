"""What is kept in `data/`: the group agreement, grounding exercises, who may lead what, texts. Read once at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from haven.sessions.v1 import rooms_pb2

from haven_kit.facts import read
from haven_kit.identity import role_numbers
from haven_sessions.domain.distress import HowIAm, Sign, Suggestion

PACKAGE = "haven_sessions"


@dataclass(frozen=True, slots=True)
class Texts:
    """What people read after a quiet act."""

    help_called: str
    help_unreached: str
    help_without_person: str
    help_withdrawn: str
    pause_asked: str
    how_i_am: str
    how_i_am_heavy: str
    rated: str


@dataclass(frozen=True, slots=True)
class Absence:
    """When a person with a seat counts as absent, and what began too long ago to be looked at."""

    after: timedelta
    look_back: timedelta


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything in `data/`."""

    agreement: rooms_pb2.Agreement
    exercises: Mapping[str, rooms_pb2.GroundingExercise]
    leaders: Mapping[str, frozenset[int]]
    texts: Texts
    signs: Mapping[str, Sign]
    how_i_am: HowIAm
    absence: Absence


def load() -> Facts:
    """Read all files. Raises ValueError, KeyError or TypeError for one that lacks something."""
    agreement, grounding = read(PACKAGE, "agreement.yaml"), read(PACKAGE, "grounding.yaml")
    exercises = [rooms_pb2.GroundingExercise(source=grounding["source"], **each) for each in grounding["exercises"]]
    texts = {name: text for name, text in read(PACKAGE, "texts.yaml").items() if name not in ("source", "version")}
    return Facts(
        agreement=rooms_pb2.Agreement(
            agreement_id=agreement["agreement_id"],
            title=agreement["title"],
            source=agreement["source"],
            rules=[rooms_pb2.AgreementRule(**each) for each in agreement["rules"]],
        ),
        exercises={each.exercise_id: each for each in exercises},
        leaders={kind: role_numbers(roles) for kind, roles in read(PACKAGE, "leaders.yaml")["kinds"].items()},
        texts=Texts(**texts),
        signs={each.sign_id: each for each in _signs()},
        how_i_am=HowIAm(**read(PACKAGE, "distress_signs.yaml")["how_i_am"]),
        absence=_absence(),
    )


def _signs() -> list[Sign]:
    return [
        Sign(
            sign_id=each["sign_id"],
            label=each["label"],
            looks_like=each["looks_like"],
            suggestion=Suggestion[each["suggests"].upper()],
            source=each["source"],
            level=each.get("level", ""),
        )
        for each in read(PACKAGE, "distress_signs.yaml")["signs"]
    ]


def _absence() -> Absence:
    raw = read(PACKAGE, "no_show.yaml")
    return Absence(timedelta(minutes=raw["minutes"]), timedelta(minutes=raw["look_back_minutes"]))
