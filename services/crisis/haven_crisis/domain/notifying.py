"""On which of a responder's channels they are paged, and when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from haven_crisis.domain.severity import Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """The responder's own wish: a further channel, `after_seconds` from the first page, while nobody has answered."""

    place: int
    after_seconds: int


def pages_of(channels: int, rules: Iterable[Rule], severity: int) -> list[tuple[int, int]]:
    """Pages to a responder with that many channels: the channel's place, and after how many seconds, in that order.

    The first channel is always paged at once, and where life is in danger each one is: a rule adds, it never delays.
    """
    at = {rule.place: rule.after_seconds for rule in sorted(rules, key=lambda each: -each.after_seconds)}
    pages = {place: after for place, after in at.items() if place < channels}
    pages |= {place: 0 for place in range(channels) if place == 0 or severity >= Severity.IMMEDIATE}
    return sorted(pages.items(), key=lambda page: (page[1], page[0]))
