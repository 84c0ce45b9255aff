"""Whether the on-call plan holds together: rotations without gaps, policies and people that can be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from haven_crisis.domain import coverage
from haven_crisis.domain.escalation import Book, Policy, Target, Team
from haven_crisis.domain.rotation import Rotation


def of_rotation(book: Book, rotation: Rotation, now: datetime) -> list[str]:
    """All that is wrong with a rotation, each with what would mend it."""
    return _named(rotation, [*coverage.problems(rotation, book.away, book.names, now), *_people(book, rotation, now)])


def of_draft(before: Book, after: Book, drafted: Rotation, now: datetime) -> list[str]:
    """Why a rotation may not be saved, each with what would mend it; empty when it may. What is wrong with it as the
    plan holds it before the change, whatever its name is then, does not count. `after` is the plan that it is to be in.
    """
    before = _with_names_of(before, after)
    held = before.rotations.get(drafted.rotation_id)
    if held is None:
        return of_rotation(after, drafted, now)
    known = set(_people(before, held, now))
    times = coverage.newly_wrong(held, before.away, drafted, after.away, after.names, now)
    return _named(drafted, [*times, *(each for each in _people(after, drafted, now) if each not in known)])


def _named(rotation: Rotation, problems: Sequence[str]) -> list[str]:
    return [f"{rotation.name or 'The rotation'}: {each}" for each in problems]


def _people(book: Book, rotation: Rotation, now: datetime) -> Iterator[str]:
    ahead = [each for each in rotation.overrides if each.ends_at > now]
    on_call = dict.fromkeys(
        [*(who for layer in rotation.layers for who in layer.responders), *(each.responder_id for each in ahead)]
    )
    team = book.teams.get(rotation.team_id)
    if rotation.team_id and team is None:
        yield "Its team does not exist. Save the team first."
    for each in on_call:
        if missing := unready(book, each):
            yield missing
        if team is not None and each not in team.members:
            yield f"{book.names.get(each, each)} is not in {team.name}. Add them to the team, or take them out here."
    for watcher in dict.fromkeys(each.responder_id for each in rotation.shadows if each.ends_at > now):
        if watcher not in book.reachable:
            yield f"{book.names.get(watcher, watcher)} watches and cannot be paged. Save them with a channel first."


def unready(book: Book, responder_id: str) -> str:
    """Why somebody may not be put on call, and what would help. Empty when they may."""
    if responder_id in book.verified:
        return ""
    who = book.names.get(responder_id, responder_id)
    if responder_id not in book.reachable:
        return f"{who} cannot be paged. Save them as a responder with two channels first."
    return f"{who} has no two verified channels of different providers. Add one, and give the code that comes there."


def of_policy(book: Book, policy: Policy, now: datetime) -> list[str]:
    """Why a policy may not be saved, each with what would mend it. Empty when it may."""
    named = f"{policy.name}: " if policy.name else ""
    steps = [(f"Step {index}", step) for index, step in enumerate(policy.steps, 1)]
    found = []
    for name, step in [*steps, ("The last resort", policy.last_resort)]:
        missing = [each for target in step.targets for each in _target(book, target)]
        found += [f"{named}{name} {each}" for each in missing]
        if not missing and not book.paged_by(step, now):
            found.append(f"{named}{name} reaches nobody now. Put somebody on call or name a responder.")
    if not any(target.responder_id for target in policy.last_resort.targets):
        found.append(f"{named}The last resort names no supervisor. Name a responder beside everyone on duty.")
    return found


def _target(book: Book, target: Target) -> Iterator[str]:
    if target.rotation_id and target.rotation_id not in book.rotations:
        yield "names a rotation that does not exist. Save the rotation first."
    if target.team_id and not any(each.team_id == target.team_id for each in book.rotations.values()):
        yield "names a team that has no rotation. Save one for it first."
    if target.responder_id and (missing := unready(book, target.responder_id)):
        yield f"names somebody who may not be on call. {missing}"


def problems(book: Book, now: datetime) -> list[str]:
    """All that is wrong with the whole plan."""
    found = [each for rotation in book.rotations.values() for each in of_rotation(book, rotation, now)]
    found += [each for policy in book.policies.values() for each in of_policy(book, policy, now)]
    return list(dict.fromkeys(found))


def newly_wrong(before: Book, after: Book, now: datetime) -> list[str]:
    """What a change makes wrong that was not so before: what was wrong already must not keep anybody from mending."""
    found = [each for rotation in after.rotations.values() for each in of_draft(before, after, rotation, now)]
    before = _with_names_of(before, after)
    known = {each for policy in before.policies.values() for each in of_policy(before, policy, now)}
    found += [each for policy in after.policies.values() for each in of_policy(after, policy, now) if each not in known]
    return list(dict.fromkeys(found))


def _with_names_of(before: Book, after: Book) -> Book:
    """The plan before a change, its parts named as after it: what only reads otherwise is no news."""
    return replace(
        before,
        names={**before.names, **after.names},
        rotations=_renamed(before.rotations, after.rotations),
        policies=_renamed(before.policies, after.policies),
        teams=_renamed(before.teams, after.teams),
    )


P = TypeVar("P", Rotation, Policy, Team)


def _renamed(before: Mapping[str, P], after: Mapping[str, P]) -> dict[str, P]:
    return {key: replace(each, name=after[key].name) if key in after else each for key, each in before.items()}
