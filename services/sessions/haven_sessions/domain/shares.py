"""Speaking shares: who has had how much of the floor, so that a facilitator can help everyone be heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from haven_sessions.domain.events import Participation
from haven_sessions.domain.room import Member, Room

_INVITE_BELOW = 0.5
"""Part of an even share under which somebody who would speak has had little."""


@dataclass(frozen=True, slots=True)
class Share:
    """One participant's part of the speaking time."""

    member_id: str
    seconds: int
    share: float
    invite: bool


def of(room: Room, now: datetime) -> tuple[Share, ...]:
    """The shares of the participants who are in the room, staff left out. Nobody who only listens is named as quiet."""
    people = [each for each in room.present() if not each.staff]
    seconds = room.speaking_seconds(now)
    total = sum(seconds.get(each.member_id, 0.0) for each in people)
    speakers = sum(each.participation is Participation.SPEAK for each in people)
    return tuple(_share(each, seconds, total, speakers) for each in people)


def _share(member: Member, seconds: Mapping[str, float], total: float, speakers: int) -> Share:
    own = seconds.get(member.member_id, 0.0)
    share = own / total if total else 0.0
    quiet = total > 0 and member.participation is Participation.SPEAK and share < _INVITE_BELOW / speakers
    return Share(member.member_id, int(own), share, quiet)
