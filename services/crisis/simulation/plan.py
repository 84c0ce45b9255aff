"""The on-call plan of a schedule, and a replica's copy of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from haven_crisis.directory import Channel, Directory, Responder
from haven_crisis.domain.escalation import LAST_RESORT_ID, Book, Policy, Step, Target
from haven_crisis.domain.notifying import Rule
from haven_crisis.settings import CrisisSettings
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from simulation.database import memory

PROVIDERS = ("alpha", "beta", "gamma")
RESPONDERS = ("ada", "ben", "cleo", "dan")


@dataclass(slots=True)
class Plan:
    """What the database holds of the plan; every change has a version of its own."""

    random: Random
    version: int = 0
    book: Book = field(init=False)
    channels: dict[str, tuple[Channel, ...]] = field(default_factory=dict)
    responders: dict[str, Responder] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.change()

    def change(self) -> None:
        """Another plan."""
        random = self.random
        self.version += 1
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
        self.book = Book({"default": policy}, "default", {}, reachable)


def _step(random: Random) -> Step:
    round_robin = random.random() < 0.4
    targets = random.sample(RESPONDERS, random.choice((2, 3) if round_robin else (1, 1, 2)))
    wait = timedelta(seconds=random.choice((5, 8)))
    return Step(tuple(Target(responder_id=each) for each in targets), wait, round_robin)


def _channels(random: Random, count: int) -> tuple[Channel, ...]:
    return tuple(Channel("webhook", each) for each in random.sample(PROVIDERS, count))


def _rules(random: Random, channels: int) -> tuple[Rule, ...]:
    """Some ask for their second channel too, after some seconds."""
    return (Rule(1, random.choice((2, 4))),) if channels > 1 and random.random() < 0.3 else ()


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
            self.version, self.book, people = await memory(tx).statement(
                lambda _: (plan.version, plan.book, plan.responders)
            )
            self._responders = people
            self._last_resort = people[LAST_RESORT_ID]
        return self.book
