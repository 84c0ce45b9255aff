"""What an assessment suggests for the plan (INT-02, INT-04)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Needs:
    """What an assessment found."""

    trauma: bool = False
    triggers: bool = False
    anxiety: bool = False
    depression: bool = False
    substance_use: bool = False
    transport: bool = False


def suggestions(needs: Needs, texts: Mapping[str, str]) -> tuple[str, ...]:
    """What the plan could hold, in the order of the texts."""
    mental = needs.trauma or needs.anxiety or needs.depression
    found = {
        "trauma": needs.trauma,
        "triggers": needs.triggers,
        "anxiety": needs.anxiety,
        "depression": needs.depression,
        "substance_use": needs.substance_use,
        "co_occurring": needs.substance_use and mental,
        "transport": needs.transport,
    }
    return tuple(text for key, text in texts.items() if found.get(key))
