"""Who may see and do what.

A session is opened by having a seat in it, leading it, or caring for somebody in it. Links between people open nothing
here, so that what one partner does in private stays unseen by the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from haven.options.v1 import options_pb2

from haven_kit import relations
from haven_kit.call import Call
from haven_kit.errors import Denied, NotFound
from haven_kit.identity import Principal
from haven_scheduling.store.rows import SeriesRow, SessionRow

OFFICE_ROLES = frozenset({options_pb2.ROLE_CARE_COORDINATOR, options_pb2.ROLE_ADMINISTRATOR})
NO_LEADER = "Only the one who leads it, or the office, may do this."


def is_office(principal: Principal) -> bool:
    """Whether the caller's role covers the whole calendar."""
    return not principal.roles.isdisjoint(OFFICE_ROLES)


def leads(principal: Principal, facilitator_id: str) -> bool:
    """Whether the caller, as a member of staff, leads it."""
    return principal.is_staff and principal.id == facilitator_id


def sees_all(principal: Principal, facilitator_id: str) -> bool:
    """Whether the caller sees everyone in a session led by the facilitator."""
    return principal.is_service or is_office(principal) or leads(principal, facilitator_id)


def visible_people(principal: Principal, row: SessionRow, cared_for: Collection[str] = ()) -> tuple[str, ...]:
    """Those in a session whom the caller may see: everyone, or themselves and those they care for."""
    if sees_all(principal, row.facilitator_id):
        return row.person_ids
    return tuple(each for each in row.person_ids if each == principal.person_id or each in cared_for)


async def cared_for(call: Call, person_ids: Iterable[str]) -> frozenset[str]:
    """Those of the people on whose care team the caller is."""
    if not call.principal.is_staff:
        return frozenset()
    found = [(each, await relations.of(call.tx, call.principal, each)) for each in person_ids]
    return frozenset(each for each, held in found if options_pb2.RELATION_CARE_TEAM in held)


async def may_see(call: Call, row: SessionRow) -> bool:
    """Whether the session exists for the caller."""
    if sees_all(call.principal, row.facilitator_id):
        return True
    return bool(visible_people(call.principal, row, await cared_for(call, row.person_ids)))


async def require_session(call: Call, row: SessionRow) -> tuple[str, ...]:
    """The people in a session whom the caller may see. Raises NotFound when the session is not the caller's to see."""
    visible = visible_people(call.principal, row, await cared_for(call, row.person_ids))
    if not visible and not sees_all(call.principal, row.facilitator_id):
        raise NotFound("session")
    return visible


async def require_manage(call: Call, row: SessionRow) -> None:
    """Raises NotFound or Denied unless the caller leads the session, is the office, or, outside groups, cares for
    everyone in it."""
    visible = await require_session(call, row)
    if sees_all(call.principal, row.facilitator_id):
        return
    if row.group_id or len(visible) < len(row.person_ids):
        raise Denied(NO_LEADER)


async def require_series(call: Call, row: SeriesRow) -> None:
    """Raises NotFound unless the caller may see the series; one of a group is open to staff."""
    if row.group_id or sees_all(call.principal, row.facilitator_id):
        return
    if not await cared_for(call, row.person_ids):
        raise NotFound("series")


def require_lead(principal: Principal, facilitator_id: str) -> None:
    """Raises Denied unless the caller leads it or is the office."""
    if not sees_all(principal, facilitator_id):
        raise Denied(NO_LEADER)


async def require_people(call: Call, person_ids: Iterable[str]) -> None:
    """Raises NotFound unless the caller cares for each of the people."""
    for each in person_ids:
        await relations.require(call, each)


def is_self(principal: Principal, person_id: str) -> bool:
    """Whether the caller acts for themselves and not as a member of staff."""
    return not principal.is_staff and principal.person_id == person_id
