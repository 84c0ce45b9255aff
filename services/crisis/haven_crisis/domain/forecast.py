"""Who would be paged, and when, if nobody answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from haven_crisis.domain.escalation import Book, Policy, stage_from


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One page."""

    after: timedelta
    """From the signal."""
    stage: int
    step: str
    responder_id: str
    place: int
    """Of the channel among the responder's."""
    shadow: bool


def pages(
    book: Book, policy: Policy, at: datetime, pages_of: Callable[[str], list[tuple[int, int]]], turn: int = 0
) -> list[Foreseen]:
    """Every page of an alert raised at `at` up to and with the last resort, in order of time.

    `pages_of` gives a responder's channels with the seconds after which each is paged.
    """
    found: list[Foreseen] = []
    number, later = 0, timedelta(0)
    while True:
        stage = stage_from(book, policy, number, at + later, turn)
        step = "Last resort" if stage.last_resort else _step(stage.number, len(policy.steps))
        for who in stage.paged:
            found += [
                Foreseen(later + timedelta(seconds=after), stage.number, step, who, place, who in stage.observers)
                for place, after in pages_of(who)
            ]
        if stage.last_resort:
            return sorted(found, key=lambda each: (each.after, each.stage))
        number, later = stage.number + 1, later + stage.wait


def _step(number: int, steps: int) -> str:
    name = f"Step {number % steps + 1}"
    return f"{name}, again" if number >= steps else name
