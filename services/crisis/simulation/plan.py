"""The on-call plan of a schedule, and a replica's copy of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import cast
from zoneinfo import ZoneInfo

from haven_crisis.directory import Channel, Directory, Responder
from haven_crisis.domain.escalation import LAST_RESORT_ID, Book, Policy, Step, Target
from haven_crisis.domain.notifying import Rule
from haven_crisis.domain.rotation import Layer, Override, Rotation, Window
from haven_crisis.settings import CrisisSettings
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from simulation.database import memory
from simulation.loop import START

PROVIDERS = ("alpha", "beta", "gamma")
RESPONDERS = ("ada", "ben", "cleo", "dan")
ROTATIONS = ("days", "nights")
ZONE = cast(ZoneInfo, UTC)
NEVER_S, ALWAYS_S = float("-inf"), float("inf")
Duty = tuple[float, float, str]
"""From when up to when, in seconds since the start, and who."""


@dataclass(frozen=True, slots=True)
class Version:
    """One plan, as the service has it and as whoever checks the service has it."""

    number: int
    book: Book
    duties: Mapping[str, tuple[Duty, ...]]
    """Who is on call in each rotation, told without the service's own rules: the first duty that holds counts."""

    def stage_from(self, number: int, at: float, turn: int) -> tuple[int, frozenset[str]]:
        """The first stage from `number` on that reaches somebody, and whom, in an alert of that turn: the last resort
        after all others."""
        policy = self.book.policies["default"]
        rounds = policy.steps * (policy.repeats + 1)
        for place in range(number, len(rounds)):
            found = self._paged_by(rounds[place], at, turn + place // len(policy.steps))
            if found:
                return place, found
        everyone = (*policy.last_resort.targets, Target(everyone_on_duty=True))
        return max(number, len(rounds)), self.whom(everyone, at) | {LAST_RESORT_ID}

    def _paged_by(self, step: Step, at: float, turn: int) -> frozenset[str]:
        if not step.round_robin:
            return self.whom(step.targets, at)
        begin = turn % len(step.targets)
        in_turn = (self.whom((each,), at) for each in step.targets[begin:] + step.targets[:begin])
        return next((found for found in in_turn if found), frozenset())

    def whom(self, targets: tuple[Target, ...], at: float) -> frozenset[str]:
        """Whom targets reach at a moment."""
        found = set()
        for each in targets:
            rotations = tuple(self.duties) if each.everyone_on_duty else (each.rotation_id,)
            found |= {each.responder_id} | {self._on_call(rotation, at) for rotation in rotations}
        return frozenset(found & self.book.reachable)

    def _on_call(self, rotation: str, at: float) -> str:
        return next((who for starts, ends, who in self.duties.get(rotation, ()) if starts <= at < ends), "")


@dataclass(slots=True)
class Plan:
    """What the database holds of the plan; every change has a version of its own."""

    random: Random
    now: Callable[[], float]
    version: int = 0
    book: Book = field(init=False)
    channels: dict[str, tuple[Channel, ...]] = field(default_factory=dict)
    responders: dict[str, Responder] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    until: dict[int, float] = field(default_factory=dict)
    """Version → until when it was the plan, or a replica's copy of it, of those that neither is."""

    def __post_init__(self) -> None:
        self.change()

    def change(self) -> None:
        """Another plan."""
        random = self.random
        self.channels = {each: _channels(random, random.choice((0, 1, 2, 2, 3))) for each in RESPONDERS}
        self.channels["boss"] = _channels(random, 2)
        self.channels[LAST_RESORT_ID] = _channels(random, 2)
        self.responders = {
            each: Responder(each, each, ways, _rules(random, len(ways))) for each, ways in self.channels.items()
        }
        steps = tuple(_step(random) for _ in range(random.choice((1, 2, 2, 3))))
        last = Step((Target(responder_id="boss"),), timedelta(seconds=10))
        policy = Policy("default", steps, random.choice((0, 0, 1)), last)
        reachable = frozenset(each for each, ways in self.channels.items() if ways and each != LAST_RESORT_ID)
        rotations, duties = {}, {}
        for key in ROTATIONS:
            rotations[key], duties[key] = _rotation(random, key)
        self._save(Book({"default": policy}, "default", rotations, reachable), duties)

    def override(self) -> None:
        """Somebody takes a stretch of somebody else's duty, from now on or soon."""
        random, now = self.random, self.now()
        key, who = random.choice(ROTATIONS), random.choice(RESPONDERS)
        starts = float(int(now) + random.choice((0, 0, 3)))
        ends = starts + random.choice((4, 20, 3600))
        old = self.book.rotations[key]
        new = Override(START + timedelta(seconds=starts), START + timedelta(seconds=ends), who)
        rotation = Rotation(key, old.layers, (new, *old.overrides))
        duties = self.versions[self.version].duties
        book = Book(
            self.book.policies, "default", {**self.book.rotations, key: rotation}, reachable=self.book.reachable
        )
        self._save(book, {**duties, key: ((starts, ends, who), *duties[key])})

    def _save(self, book: Book, duties: Mapping[str, tuple[Duty, ...]]) -> None:
        self.let_go(self.version)
        self.version += 1
        self.book = book
        self.versions[self.version] = Version(self.version, book, duties)

    def let_go(self, version: int) -> None:
        """A version is no longer the plan, or no longer what a replica has."""
        self.until[version] = self.now()


def _step(random: Random) -> Step:
    round_robin = random.random() < 0.4
    targets = tuple(_target(random) for _ in range(random.choice((2, 3) if round_robin else (1, 1, 2))))
    return Step(targets, timedelta(seconds=random.choice((5, 8))), round_robin)


def _channels(random: Random, count: int) -> tuple[Channel, ...]:
    return tuple(Channel("webhook", each) for each in random.sample(PROVIDERS, count))


def _rules(random: Random, channels: int) -> tuple[Rule, ...]:
    """Some ask for their second channel too, after some seconds."""
    return (Rule(1, random.choice((2, 4))),) if channels > 1 and random.random() < 0.3 else ()


def _target(random: Random) -> Target:
    draw = random.random()
    if draw < 0.5:
        return Target(responder_id=random.choice(RESPONDERS))
    return Target(everyone_on_duty=True) if draw > 0.9 else Target(rotation_id=random.choice(ROTATIONS))


def _rotation(random: Random, key: str) -> tuple[Rotation, tuple[Duty, ...]]:
    """Somebody hands over to somebody else, goes off duty, or comes on duty, at some second of the schedule."""
    second = random.randrange(1, 50)
    edge = time(START.hour, 0, second)
    one, other = random.sample(RESPONDERS, 2)
    today = START.date()
    match random.choice(("hands over", "hands over", "goes", "comes")):
        case "hands over":
            layer = Layer((one, other), 24, ZONE, edge, today - timedelta(days=1))
            duties: tuple[Duty, ...] = ((NEVER_S, second, one), (second, ALWAYS_S, other))
        case "goes":
            layer = _alone(one, today, (Window(frozenset(), time(0), edge),))
            duties = ((NEVER_S, second, one),)
        case _:
            layer = _alone(one, today, (Window(frozenset(), edge, time(0)),))
            duties = ((second, ALWAYS_S, one),)
    return Rotation(key, (layer,)), duties


def _alone(who: str, first_day: date, windows: tuple[Window, ...]) -> Layer:
    return Layer((who,), 24, ZONE, time(0), first_day, windows)


class Copy(Directory):
    """A replica's copy, renewed as the real one is: whenever the version that a transaction sees is another."""

    def __init__(self, plan: Plan, cipher: Cipher, settings: CrisisSettings) -> None:
        super().__init__(cipher, settings)
        self._plan = plan

    def problems(self, now: datetime) -> list[str]:
        """None that matter here."""
        return []

    async def read(self, tx: Tx) -> Book:
        """As the real one."""
        version = await memory(tx).look(lambda _: self._plan.version)
        if version != self.version:
            plan = self._plan
            plan.let_go(self.version)
            self.version, self.book, people = await memory(tx).statement(
                lambda _: (plan.version, plan.book, plan.responders)
            )
            self._responders = people
            self._last_resort = people[LAST_RESORT_ID]
        return self.book
