"""Who is paged when nobody answers, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from haven_crisis.domain.rotation import Duty, Rotation, Stretch, look, watching

NAMED_STAGE = -1
"""The stage of an alert that one responder was asked to take over."""
LAST_RESORT_ID = "last-resort"
"""The responder that stands for the channels in the service's own settings."""
WITHOUT_POLICY = timedelta(seconds=60)
"""How often the last resort is paged where no policy says so."""


@dataclass(frozen=True, slots=True)
class Target:
    """Exactly one of: a rotation, a responder, everyone on duty, everyone on duty in a team's rotations."""

    rotation_id: str = ""
    responder_id: str = ""
    everyone_on_duty: bool = False
    team_id: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """All targets are paged at once, or in a round robin one; `wait` for an acknowledgement before the next step."""

    targets: tuple[Target, ...]
    wait: timedelta
    round_robin: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Steps in order, gone through `repeats` more times, then the last resort again and again."""

    policy_id: str
    steps: tuple[Step, ...]
    repeats: int
    last_resort: Step
    name: str = ""

    @property
    def takes_turns(self) -> bool:
        """Whether any step is a round robin, so that alerts differ in where it begins."""
        return any(each.round_robin for each in self.steps)


@dataclass(frozen=True, slots=True)
class Team:
    """Responders who work together."""

    team_id: str
    name: str
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stage:
    """One moment of an escalation: who is paged, and how long until the next stage."""

    number: int
    responders: tuple[str, ...]
    wait: timedelta
    last_resort: bool
    observers: tuple[str, ...] = ()
    """Paged beside the responders; nothing depends on them."""

    @property
    def paged(self) -> tuple[str, ...]:
        """Responders and observers."""
        return (*self.responders, *self.observers)


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that decides who is paged: the policies, the rotations, and who can be reached at all."""

    policies: Mapping[str, Policy]
    default_policy_id: str
    rotations: Mapping[str, Rotation]
    reachable: frozenset[str]
    """Responders with at least one channel."""
    verified: frozenset[str] = frozenset()
    """Responders with two verified channels of different providers: who may be put on call."""
    teams: Mapping[str, Team] = field(default_factory=dict)
    away: Mapping[str, Sequence[Stretch]] = field(default_factory=dict)
    """The time off of responders."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The names that responders work under."""
    _known: dict[str, tuple[datetime, Duty]] = field(default_factory=dict, init=False, compare=False, repr=False)
    """The last look at each rotation: it holds from its moment until its duty ends."""

    def policy(self) -> Policy | None:
        """The default policy, which pages for every alert; None where there is none. All others are drafts."""
        return self.policies.get(self.default_policy_id)

    def duty(self, rotation_id: str, at: datetime) -> Duty | None:
        """Who is on call in a rotation at `at`; None for nobody, and for a rotation that does not exist."""
        rotation = self.rotations.get(rotation_id)
        if rotation is None:
            return None
        known = self._known.get(rotation_id)
        if known is None or not known[0] <= at < known[1].until:
            known = self._known[rotation_id] = at, look(rotation, at)
        return known[1] if known[1].responder_id else None

    def on_duty(self, at: datetime) -> tuple[str, ...]:
        """Everyone who is on call at `at` in any rotation and can be reached, each once."""
        return self._reachable(self._on_call(self.rotations, at))

    def paged_by(self, step: Step, at: datetime, turn: int = 0) -> tuple[str, ...]:
        """Whom a step pages at `at`, each once, in the order of its targets.

        A round robin pages its target number `turn`, or the next one that reaches somebody.
        """
        if not step.round_robin:
            return self._reachable(who for target in step.targets for who in self._who(target, at))
        for place in range(len(step.targets)):
            found = self._reachable(self._who(step.targets[(turn + place) % len(step.targets)], at))
            if found:
                return found
        return ()

    def observers(self, step: Step, at: datetime) -> tuple[str, ...]:
        """Who watches the rotations that a step pages, each once."""
        rotations = (self.rotations.get(key) for target in step.targets for key in self._rotations(target))
        return self._reachable(who for each in rotations if each is not None for who in watching(each, at))

    def observes(self, responder_id: str, at: datetime) -> bool:
        """Whether somebody only watches at `at`: shadows a rotation, has none, and is named by no policy."""
        if not any(responder_id in watching(each, at) for each in self.rotations.values()):
            return False
        steps = (step for each in self.policies.values() for step in (*each.steps, each.last_resort))
        named = any(target.responder_id == responder_id for step in steps for target in step.targets)
        return not named and responder_id not in self.on_duty(at)

    def _who(self, target: Target, at: datetime) -> Iterable[str]:
        return (target.responder_id,) if target.responder_id else self._on_call(self._rotations(target), at)

    def _rotations(self, target: Target) -> Iterable[str]:
        if target.everyone_on_duty:
            return self.rotations
        if target.team_id:
            return [key for key, each in self.rotations.items() if each.team_id == target.team_id]
        return (target.rotation_id,) if target.rotation_id else ()

    def _on_call(self, rotations: Iterable[str], at: datetime) -> Iterable[str]:
        duties = (self.duty(each, at) for each in rotations)
        return (duty.responder_id for duty in duties if duty is not None)

    def _reachable(self, responders: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each for each in responders if each in self.reachable))


def stage_from(book: Book, policy: Policy | None, number: int, at: datetime, turn: int = 0) -> Stage:
    """The first stage at or after `number` that pages somebody at `at`. A step that reaches nobody is skipped at once.

    `turn` is where round robins begin; each time the steps are gone through again they go on by one. The last resort
    always pages everyone on duty too and, whoever else it reaches, the channels of the service's own settings.
    """
    if policy is None:
        return Stage(number, (LAST_RESORT_ID,), WITHOUT_POLICY, last_resort=True)
    count = len(policy.steps) * (policy.repeats + 1)
    for each in range(number, count):
        step = policy.steps[each % len(policy.steps)]
        responders = book.paged_by(step, at, turn + each // len(policy.steps))
        if responders:
            return _stage(each, responders, step.wait, book.observers(step, at), last_resort=False)
    everyone = Target(everyone_on_duty=True)
    last = Step((*policy.last_resort.targets, everyone), policy.last_resort.wait)
    responders = (*book.paged_by(last, at), LAST_RESORT_ID)
    return _stage(max(number, count), responders, last.wait, book.observers(last, at), last_resort=True)


def stages_from(book: Book, policy: Policy | None, number: int, at: datetime) -> tuple[Stage, ...]:
    """What `stage_from` gives, for each turn in order, which then repeats; one, where the step is no round robin."""
    first = stage_from(book, policy, number, at)
    if policy is None or first.last_resort:
        return (first,)
    step = policy.steps[first.number % len(policy.steps)]
    turns = range(1, len(step.targets) if step.round_robin else 1)
    return (first, *(stage_from(book, policy, first.number, at, turn) for turn in turns))


def _stage(
    number: int, responders: tuple[str, ...], wait: timedelta, observers: tuple[str, ...], *, last_resort: bool
) -> Stage:
    watching_only = tuple(each for each in observers if each not in responders)
    return Stage(number, responders, wait, last_resort, watching_only)


def turn_of(alert_id: str, taken: int | None) -> int:
    """Where the round robins of an alert begin: the turn that it has taken; without one its id says it to everybody."""
    return taken if taken is not None else int(alert_id.replace("-", "")[-8:], 16)
