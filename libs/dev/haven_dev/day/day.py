"""The day: who takes part, when it is, and the eight steps in order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from haven_dev.day.actor import Actor, Web
from haven_dev.day.stage import Stage

ZONE = ZoneInfo("America/Chicago")
MORNING = 8
Say = Callable[[str], None]


def next_monday(now: datetime) -> datetime:
    """Eight in the morning of the next Monday, where the program is."""
    local = now.astimezone(ZONE)
    day = (local + timedelta(days=7 - local.weekday())).date()
    return datetime(day.year, day.month, day.day, MORNING, tzinfo=ZONE)


class Clock:
    """The platform's time of day, which the day sets forward."""

    def __init__(self, platform: Stage) -> None:
        self._platform = platform
        self._ahead = 0.0
        self.set(next_monday(datetime.now(UTC)))

    def now(self) -> datetime:
        """The time it is in the story."""
        return datetime.fromtimestamp(time.time() + self._ahead, ZONE)

    def set(self, to: datetime) -> None:
        """Make it this time of day; never earlier than it is."""
        self._ahead = max(self._ahead, to.timestamp() - time.time())
        self._platform.turn_clock(self._ahead)


@dataclass(frozen=True)
class Who:
    """Who is referred. A test puts its own words in."""

    given: str = "Rosa"
    family: str = "Alvarez"
    record_number: str = "LH-204881"
    birth_date: str = "1991-04-17"
    phone: str = "312-555-0142"
    email: str = "rosa@example.org"
    language: str = "en"
    """Of the group that is found: a test takes one that no other test's groups are in."""

    @classmethod
    def anyone(cls) -> Who:
        """Someone nobody was ever mistaken for."""
        word = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(20)).capitalize()
        born = date(1950, 1, 1) + timedelta(days=secrets.randbelow(19_000))
        phone = f"{secrets.randbelow(800) + 200}-555-{secrets.randbelow(10_000):04}"
        return cls(
            word[:10], word[10:], word, born.isoformat(), phone, f"{word}@example.org", f"qaa-{word[:8].lower()}"
        )


@dataclass
class Day:
    """A day under way: the people, and what they have made so far."""

    platform: Stage
    web: Web
    say: Say
    clock: Clock
    who: Who = field(default_factory=Who)
    made: dict[str, Any] = field(default_factory=dict)
    """Ids that later steps need, by name."""
    undisturbed: bool = True
    """Whether every part runs all the time. A test that ends parts says no: some answers then go another way."""
    people: dict[str, Actor] = field(default_factory=dict)

    @classmethod
    def begin(cls, platform: Stage, session: aiohttp.ClientSession, say: Say, who: Who | None = None) -> Day:
        """Set the clock to Monday morning and sign the staff in."""
        clock = Clock(platform)
        day = cls(platform, Web(platform, session, clock.now), say, clock, who or Who())
        for name, roles in STAFF.items():
            day.sign_in(name, *roles)
        return day

    def sign_in(self, name: str, *roles: str, person_id: str | None = None) -> Actor:
        """Give someone an account and a token."""
        self.people[name] = Actor(self.web, name, *roles, person_id=person_id)
        return self.people[name]

    def __getattr__(self, name: str) -> Actor:
        """`day.rosa`: the person of that name."""
        try:
            return self.people[name]
        except KeyError:
            raise AttributeError(name) from None


STAFF = {
    "coordinator": ("care_coordinator",),
    "therapist": ("individual_therapist",),
    "facilitator": ("facilitator",),
    "first_responder": ("on_call_responder",),
    "second_responder": ("on_call_responder",),
    "biller": ("biller",),
    "administrator": ("administrator",),
}
"""The staff of the story, with the roles that their tokens carry."""

Step = Callable[[Day], Awaitable[None]]
