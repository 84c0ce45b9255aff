"""What every change of the on-call plan shares: it is checked against the whole plan, which is locked meanwhile, kept
in the history, and refused where it would leave a call for help without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from google.protobuf.message import Message
from haven.crisis.v1 import on_call_service_pb2 as pb
from haven.crisis.v1 import team_service_pb2 as team_pb

from haven_crisis.api.desk import Desk
from haven_crisis.directory import channel_id
from haven_crisis.domain import plan
from haven_crisis.domain.escalation import Book
from haven_crisis.domain.rotation import Rotation
from haven_crisis.messages import policy_of, rotation_of, team_of
from haven_crisis.store import feeds, on_call, plan_changes, time_off
from haven_kit.database import Tx
from haven_kit.errors import Refused

BREAKS = "breaks_the_plan"
"""The rule of what is wrong elsewhere after a change."""


class Planning:
    """Changes parts of the plan. Each function raises Refused, naming what would be wrong and how to mend it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cipher = desk.parts.cipher

    async def responder(self, tx: Tx, responder: pb.Responder, etag: str, reason: str) -> int:
        """Save a responder; returns the version. Channels keep the ids that their addresses have."""
        before, version = await self._begin(tx, "responder", responder.responder_id, etag)
        for each in responder.channels:
            each.channel_id = channel_id(responder.responder_id, each)
        sealed = self._cipher.seal(responder, f"responder/{responder.responder_id}")
        await on_call.put(tx, "responder", responder.responder_id, version, sealed)
        await self._end(tx, before, [])
        await plan_changes.note(tx, "responder", responder.responder_id, responder.name, sealed, reason)
        return version

    async def rotation(self, tx: Tx, rotation: pb.Rotation, etag: str, reason: str) -> int:
        """Save a rotation; returns the version."""
        [version] = await self.rotations(tx, [(rotation, etag)], reason)
        return version

    async def rotations(self, tx: Tx, drafts: Sequence[tuple[pb.Rotation, str]], reason: str) -> list[int]:
        """Save rotations with their etags, checked once all of them are; returns their versions."""
        before: Book | None = None
        drafted, versions = [], []
        for rotation, etag in drafts:
            rotation.ClearField("etag")
            drafted.append(rotation_of(rotation))
            begun, version = await self._begin(tx, "rotation", rotation.rotation_id, etag)
            before = before or begun
            await on_call.put(tx, "rotation", rotation.rotation_id, version, rotation)
            versions.append(version)
        if before is not None:
            await self._end(tx, before, [], drafted)
        for rotation, _ in drafts:
            await self._note(tx, "rotation", rotation.rotation_id, rotation.name, rotation, reason)
        return versions

    async def policy(self, tx: Tx, policy: pb.Policy, etag: str, reason: str) -> int:
        """Save a policy; returns the version."""
        policy.ClearField("etag")
        before, version = await self._begin(tx, "policy", policy.policy_id, etag)
        _refuse("unreachable_step", plan.of_policy(before, policy_of(policy), tx.now))
        if not policy.is_default and before.default_policy_id in ("", policy.policy_id):
            raise Refused(
                "no_default_policy", "One policy has to be the default. Make this one the default, or another first."
            )
        await on_call.put(tx, "policy", policy.policy_id, version, policy)
        await on_call.make_default(tx, policy.policy_id, policy.is_default)
        await self._note(tx, "policy", policy.policy_id, policy.name, policy, reason)
        return version

    async def team(self, tx: Tx, team: team_pb.Team, etag: str, reason: str) -> int:
        """Save a team; returns the version."""
        team.ClearField("etag")
        before, version = await self._begin(tx, "team", team.team_id, etag)
        drafted = team_of(team)
        unknown = sorted(drafted.members - before.reachable)
        _refuse("no_such_responder", [f"{each} cannot be paged. Save them as a responder first." for each in unknown])
        await on_call.put(tx, "team", team.team_id, version, team)
        await self._end(tx, before, [])
        await self._note(tx, "team", team.team_id, team.name, team, reason)
        return version

    async def delete(self, tx: Tx, part: str, key: str) -> str:
        """Take a part out; returns the id of the change. Raises NotFound."""
        row = await on_call.get(tx, part, key)
        before, _ = await self._begin(tx, part, key, "")
        name, in_the_way = self._held(before, part, key)
        await on_call.drop(tx, part, key)
        if part == "responder":
            await time_off.drop_all(tx, key)
            await feeds.drop_all(tx, key)
        await self._end(tx, before, in_the_way)
        return await plan_changes.note(tx, part, key, name, bytes(row["body"]), "deleted", deleted=True)

    @asynccontextmanager
    async def time_off(self, tx: Tx) -> AsyncIterator[None]:
        """A change of somebody's time off, which is refused where they are on call in it."""
        self._desk.directory.renew(tx)
        await on_call.count_up(tx)
        before = await self._desk.directory.plan(tx)
        yield
        after = await self._desk.directory.plan(tx)
        _refuse("time_off_on_duty", await asyncio.to_thread(plan.newly_wrong, before, after, tx.now))

    async def _begin(self, tx: Tx, part: str, key: str, etag: str) -> tuple[Book, int]:
        self._desk.directory.renew(tx)
        version = await on_call.version(tx, part, key, etag)
        return await self._desk.directory.plan(tx), version

    async def _end(self, tx: Tx, before: Book, more: Sequence[str], drafted: Sequence[Rotation] = ()) -> None:
        """Raises Refused for what the change makes wrong: in the rotations that were drafted, then elsewhere."""
        after = await self._desk.directory.plan(tx)
        # Beside the loop that takes calls for help: 90 days of a plan of many layers take a while to look through.
        for each in drafted:
            wrong = await asyncio.to_thread(plan.of_draft, before, after, each, tx.now)
            _refuse("rotation_gap", wrong)
        _refuse(BREAKS, [*more, *await asyncio.to_thread(plan.newly_wrong, before, after, tx.now)])

    async def _note(self, tx: Tx, part: str, key: str, name: str, body: Message, reason: str) -> None:
        await plan_changes.note(tx, part, key, name, body.SerializeToString(), reason)

    def _held(self, book: Book, part: str, key: str) -> tuple[str, list[str]]:
        """The part's name, and what else than the checks of the plan keeps it from being taken out."""
        if part == "responder":
            teams = [each.name for each in book.teams.values() if key in each.members]
            return book.names.get(key, ""), [
                f"They are in the team {name}. Take them out of it first." for name in teams
            ]
        if part == "team":
            team = book.teams.get(key)
            owned = [each for each in book.rotations.values() if each.team_id == key]
            return team.name if team else "", [
                f"{each.name} is its rotation. Save it without the team." for each in owned
            ]
        if part == "policy":
            policy = book.policies.get(key)
            default = ["It is the default policy. Make another the default first."]
            return policy.name if policy else "", default if key == book.default_policy_id else []
        rotation = book.rotations.get(key)
        return rotation.name if rotation else "", []


def _refuse(rule: str, problems: Sequence[str]) -> None:
    if problems:
        raise Refused(rule, " ".join(problems))
