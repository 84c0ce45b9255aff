"""Who is paged when nobody answers, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from haven_crisis.domain.rotation import Rotation, who_is_on_call

NAMED_STAGE = -1
"""The stage of an alert that one responder was asked to take over."""
LAST_RESORT_ID = "last-resort"
"""The responder that stands for the channels in the service's own settings."""
WITHOUT_POLICY = timedelta(seconds=60)
"""How often the last resort is paged where no policy says so."""


@dataclass(frozen=True, slots=True)
class Target:
    """Exactly one of: a rotation, a responder, everyone on duty."""

    rotation_id: str = ""
    responder_id: str = ""
    everyone_on_duty: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """All targets are paged at once; `wait` for an acknowledgement before the next step."""

    targets: tuple[Target, ...]
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """Steps in order, gone through `repeats` more times, then the last resort again and again."""

    policy_id: str
    steps: tuple[Step, ...]
    repeats: int
    last_resort: Step


@dataclass(frozen=True, slots=True)
class Stage:
    """One moment of an escalation: who is paged, and how long until the next stage."""

    number: int
    responders: tuple[str, ...]
    wait: timedelta
    last_resort: bool


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that decides who is paged: the policies, the rotations, and who can be reached at all."""

    policies: Mapping[str, Policy]
    default_policy_id: str
    rotations: Mapping[str, Rotation]
    reachable: frozenset[str]
    """Responders with at least one channel."""

    def policy(self, policy_id: str = "") -> Policy | None:
        """The named policy, or the default one; None where there is neither."""
        return self.policies.get(policy_id) or self.policies.get(self.default_policy_id)

    def on_duty(self, at: datetime) -> tuple[str, ...]:
        """Everyone who is on call at `at` in any rotation and can be reached, each once."""
        duties = (who_is_on_call(each, at) for each in self.rotations.values())
        return self._reachable(duty.responder_id for duty in duties if duty is not None)

    def paged_by(self, step: Step, at: datetime) -> tuple[str, ...]:
        """Whom a step pages at `at`, each once, in the order of its targets."""
        return self._reachable(who for target in step.targets for who in self._who(target, at))

    def _who(self, target: Target, at: datetime) -> tuple[str, ...]:
        if target.everyone_on_duty:
            return self.on_duty(at)
        if target.responder_id:
            return (target.responder_id,)
        rotation = self.rotations.get(target.rotation_id)
        duty = who_is_on_call(rotation, at) if rotation is not None else None
        return (duty.responder_id,) if duty is not None else ()

    def _reachable(self, responders: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each for each in responders if each in self.reachable))


def stage_from(book: Book, policy: Policy | None, number: int, at: datetime) -> Stage:
    """The first stage at or after `number` that pages somebody at `at`. A step that reaches nobody is skipped at once.

    The last resort always pages, whoever else it reaches, the channels of the service's own settings.
    """
    if policy is None:
        return Stage(number, (LAST_RESORT_ID,), WITHOUT_POLICY, last_resort=True)
    count = len(policy.steps) * (policy.repeats + 1)
    for each in range(number, count):
        step = policy.steps[each % len(policy.steps)]
        responders = book.paged_by(step, at)
        if responders:
            return Stage(each, responders, step.wait, last_resort=False)
    responders = (*book.paged_by(policy.last_resort, at), LAST_RESORT_ID)
    return Stage(max(number, count), responders, policy.last_resort.wait, last_resort=True)


def problems(book: Book, policy: Policy, now: datetime) -> Sequence[str]:
    """Why the policy may not be saved: sentences that say how to mend it. Empty when it may."""
    named = [(f"Step {index}", step) for index, step in enumerate(policy.steps, 1)]
    found: list[str] = []
    for name, step in [*named, ("The last resort", policy.last_resort)]:
        for target in step.targets:
            if target.rotation_id and target.rotation_id not in book.rotations:
                found.append(f"{name} names a rotation that does not exist. Save the rotation first.")
            elif target.responder_id and target.responder_id not in book.reachable:
                found.append(f"{name} names a responder who cannot be paged. Give the responder a channel first.")
        if not book.paged_by(step, now) and not found:
            found.append(f"{name} reaches nobody now. Put somebody on call or name a responder.")
    return found
