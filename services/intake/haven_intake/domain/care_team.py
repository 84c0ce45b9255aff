"""Who may hold which role for whom (CAR-15).

The couples therapist is neither the individual therapist nor the substance-use counselor of either partner, and those
two are not one person: each of them holds confidences that the others must not.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

SEPARATE = ("couples_therapist", "individual_therapist", "substance_use_counselor")
"""Roles that nobody may hold together, for one person or across a couple."""

Member = tuple[str, str]
"""Principal and role."""


def clashes(team: Iterable[Member], partners_team: Iterable[Member] = ()) -> tuple[tuple[str, str], ...]:
    """Pairs of roles that one person would hold together. Individual therapists of both partners may be the same person
    only where the team has decided so; that is no clash here."""
    held: dict[str, set[str]] = {}
    for principal, role in [*team, *partners_team]:
        if role in SEPARATE:
            held.setdefault(principal, set()).add(role)
    found = {pair for roles in held.values() for pair in combinations(sorted(roles), 2)}
    return tuple(sorted(found))
