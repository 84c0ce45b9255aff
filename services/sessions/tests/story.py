"""A room and its story, for tests of the rules."""

from __future__ import annotations

from datetime import UTC, datetime

from haven_sessions.domain import audience, rules
from haven_sessions.domain.events import Event, Participation
from haven_sessions.domain.room import Happened, Room

START = datetime(2026, 3, 5, 14, tzinfo=UTC)
STAFF = "staff"
PEOPLE = ("ana", "ben", "cem", "dee")


class Story:
    """A room together with what happened in it."""

    def __init__(self) -> None:
        self.room = Room()
        self.happened: list[Happened] = []
        self.audiences: list[audience.Audience] = []
        self.now = START

    def let(self, decided: list[Event]) -> list[Event]:
        for event in decided:
            happened = Happened(len(self.happened) + 1, self.now, event)
            self.audiences.append(audience.of(event, self.room))
            self.happened.append(happened)
            self.room.apply(happened)
        return decided

    def opened(self) -> Story:
        self.let(rules.open_room(self.room))
        self.join(STAFF)
        return self

    def join(self, member_id: str, participation: Participation = Participation.SPEAK) -> None:
        staff = member_id == STAFF
        person_id = "" if staff else f"person-{member_id}"
        self.let(
            rules.join(
                self.room, member_id, person_id=person_id, staff=staff, camera=False, participation=participation
            )
        )
