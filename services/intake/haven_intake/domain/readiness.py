"""Whether a person can take part from where they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Needs:
    """What a session needs of a connection, in kilobits a second."""

    download_kbps: int
    upload_kbps: int


@dataclass(frozen=True, slots=True)
class Check:
    """What was measured and told."""

    download_kbps: int
    upload_kbps: int
    camera_works: bool
    microphone_works: bool
    private_place: bool
    state: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether it is enough, and what would help."""

    technology_ready: bool
    location_eligible: bool
    suggestions: tuple[str, ...]


def judge(check: Check, needs: Needs, licensed_states: Collection[str]) -> Outcome:
    """Connection and microphone carry a session; a camera is a choice. The licence follows the place."""
    connected = check.download_kbps >= needs.download_kbps and check.upload_kbps >= needs.upload_kbps
    suggestions = []
    if not connected:
        suggestions.append("A steadier connection would help: closer to the router, or by telephone if you prefer.")
    if not check.microphone_works:
        suggestions.append("Your microphone did not answer. Allow it in the browser, or join by telephone.")
    if not check.camera_works:
        suggestions.append("Your camera did not answer. You may take part without it.")
    if not check.private_place:
        suggestions.append(
            "A place where you are not overheard helps; headphones do too. We can look for one together."
        )
    eligible = check.state in licensed_states
    if not eligible:
        suggestions.append("We are not licensed where you would be. We will help you find a program there.")
    return Outcome(connected and check.microphone_works, eligible, tuple(suggestions))
