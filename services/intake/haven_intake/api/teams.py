"""Care teams as rules and events see them."""

from __future__ import annotations

from collections.abc import Iterable

from haven.intake.v1 import people_pb2 as pb
from haven.options.v1 import options_pb2

from haven_intake.domain import care_team
from haven_kit import words
from haven_kit.errors import Refused


def members(team: pb.CareTeam) -> list[care_team.Member]:
    """Principal and role of each member; roles as tokens name them: "individual_therapist"."""
    return [(each.principal_id, words.word(options_pb2.Role, each.role)) for each in team.members]


def check_team(team: Iterable[care_team.Member], partners_team: Iterable[care_team.Member] = ()) -> None:
    """Raises Refused where one person would hold two roles that are kept apart (CAR-15)."""
    if found := care_team.clashes(team, partners_team):
        one, other = (role.replace("_", " ") for role in found[0])
        raise Refused(
            "separate_roles", f"One person may not be both {one} and {other}, for one person or for a couple."
        )
