"""Signs of distress, and what they suggest (data/distress_signs.yaml)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Suggestion(IntEnum):
    """What may help. Numbers of haven.sessions.v1.Suggestion."""

    GROUNDING = 1
    CHECK_IN = 2
    CALL_HELP = 3


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign that can be observed."""

    sign_id: str
    label: str
    looks_like: str
    suggestion: Suggestion
    source: str
    level: str = ""
    """With CALL_HELP: "high" or "immediate"."""


@dataclass(frozen=True, slots=True)
class HowIAm:
    """From which number on, of 0 to 4, what is suggested to, and about, who says how they are."""

    grounding_from: int
    check_in_from: int

    def suggestions(self, number: int) -> tuple[Suggestion, ...]:
        """What may help, the nearest first."""
        found = []
        if number >= self.check_in_from:
            found.append(Suggestion.CHECK_IN)
        if number >= self.grounding_from:
            found.append(Suggestion.GROUNDING)
        return tuple(found)


def suggestions(signs: Iterable[Sign], *, call_help: bool) -> tuple[Suggestion, ...]:
    """What may help after these signs, the nearest first; `call_help`: who saw them wants help called."""
    found = {each.suggestion for each in signs}
    if call_help:
        found.add(Suggestion.CALL_HELP)
    return tuple(sorted(found, reverse=True))


def level(signs: Iterable[Sign], *, call_help: bool) -> str:
    """How soon somebody is needed: "", "high" or "immediate". Empty: nobody is called."""
    levels = {each.level for each in signs}
    if "immediate" in levels:
        return "immediate"
    return "high" if call_help or "high" in levels else ""
