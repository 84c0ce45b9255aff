"""A call for help from a room, and what became of it."""

from __future__ import annotations

from haven.sessions.v1 import events_pb2 as told
from haven.sessions.v1 import help_service_pb2 as rpc

from .conftest import Group, Neighbours, Person


async def call(person: Person, **given: str) -> rpc.CallForHelpResponse:
    answer: rpc.CallForHelpResponse = await person.help.CallForHelp(
        rpc.CallForHelpRequest(session_id=person.session_id, **given)
    )
    return answer


async def signalled(neighbours: Neighbours, signal_id: str) -> list[told.DistressSignalled]:
    return [e for e in await neighbours.running.told(told.DistressSignalled) if e.signal_id == signal_id]


async def shown(group: Group) -> dict[str, int]:
    return {each.person_id: each.state for each in (await group.staff.room()).help}
