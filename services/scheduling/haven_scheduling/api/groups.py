"""Groups."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from haven.scheduling.v1 import groups_pb2 as pb

from haven_kit import etags
from haven_kit.call import Call
from haven_kit.database import Tx
from haven_kit.errors import Invalid, Refused
from haven_kit.paging import Page
from haven_scheduling import booking, facts, patterns, planning, policy, views
from haven_scheduling.api.base import Base, may_see
from haven_scheduling.domain.matching import Licence
from haven_scheduling.store import calendar, groups, people

MOST_SERIES = 1000
UNLICENSED = frozenset({pb.GROUP_KIND_PEER_SUPPORT, pb.GROUP_KIND_ACTIVITY})
"""Kinds of groups that are no treatment, so that peers may lead them."""


class GroupsApi(Base):
    """Groups."""

    async def create_group(self, call: Call, request: pb.CreateGroupRequest) -> pb.Group:
        """Open a group."""
        await _check(call.tx, request.details)
        group_id = await groups.add_group(call.tx, request.details)
        return views.group(await groups.group(call.tx, group_id))

    async def get_group(self, call: Call, request: pb.GetGroupRequest) -> pb.Group:
        """One group."""
        return views.group(await groups.group(call.tx, request.group_id))

    async def list_groups(self, call: Call, request: pb.ListGroupsRequest) -> pb.ListGroupsResponse:
        """Groups by track, kind, challenges and free seats."""
        page = Page.of(request)
        found = await groups.groups(
            call.tx,
            track=request.track,
            kind=request.kind,
            challenges=request.challenges,
            with_free_seat=request.with_free_seat,
            after=page.after[0] if page.after else None,
            limit=page.size + 1,
        )
        shown, token = page.cut(found, lambda each: [each.group_id])
        return pb.ListGroupsResponse(
            groups=[views.group(each) for each in shown],
            next_page_token=token,
        )

    async def update_group(self, call: Call, request: pb.UpdateGroupRequest) -> pb.Group:
        """Describe a group anew."""
        row = await groups.lock_group(call.tx, request.group_id)
        policy.require_lead(call.principal, row.details.facilitator_id)
        etags.check(request.etag, row.version)
        await _check(call.tx, request.details)
        if request.details.capacity < row.seats_taken:
            raise Refused("capacity_below_enrolled", "More people are in the group than it would have seats.")
        await groups.write_group(call.tx, row.group_id, request.details)
        if request.details.facilitator_id != row.details.facilitator_id:
            await _hand_over(call, row.group_id, request.details.facilitator_id)
        if request.details.ends_on:
            await _end_by(call.tx, row.group_id, patterns.day("details.ends_on", request.details.ends_on))
        await booking.promote(call.tx, row.group_id)
        return views.group(await groups.group(call.tx, row.group_id))


async def _hand_over(call: Call, group_id: str, facilitator_id: str) -> None:
    await groups.hand_over_series(call.tx, group_id, facilitator_id)
    coming = await calendar.coming(call.tx, group_id=group_id)
    call.about(*(person for each in coming for person in each.person_ids))
    if coming:
        changed = [replace(each, facilitator_id=facilitator_id) for each in coming]
        await booking.move(call.tx, changed, may_see(call))


async def _end_by(tx: Tx, group_id: str, last: date) -> None:
    for row in await groups.series_of_group(tx, group_id, limit=MOST_SERIES):
        planned = patterns.pattern(row.pattern).last
        if planned is None or planned > last:
            await planning.finish(tx, row, last + timedelta(days=1))


async def _check(tx: Tx, details: pb.GroupDetails) -> None:
    facts.require_track("details", details.track, details.phase)
    facts.require_tags("details.challenges", "challenges", details.challenges)
    facts.require_tags("details.modalities", "modalities", details.modalities)
    starts = patterns.day("details.starts_on", details.starts_on) if details.starts_on else None
    ends = patterns.day("details.ends_on", details.ends_on) if details.ends_on else None
    if starts and ends and ends < starts:
        raise Invalid("details.ends_on", "not_before_start", "The last day must not be before the first.")
    if details.closed_cohort and starts is None:
        raise Invalid("details.starts_on", "required_for_closed", "A closed cohort needs its first day.")
    if details.format != pb.FORMAT_VIRTUAL and not details.place:
        raise Invalid("details.place", "required_in_person", "Say where people meet when not everyone is online.")
    if details.kind not in UNLICENSED:
        await require_licence(tx, details.facilitator_id, tx.now.date())


async def require_licence(tx: Tx, principal_id: str, on: date) -> None:
    """Raises Refused unless the member of staff has a licence to treat that is in force on the day."""
    found = await people.profile(tx, principal_id)
    held = found[0].credentials if found else ()
    licences = [
        Licence(each.credential, each.jurisdiction, date.fromisoformat(each.expires_on))
        for each in held
        if facts.treats(each.credential)
    ]
    if not any(each.holds(on) for each in licences):
        raise Refused(
            "facilitator_not_licensed",
            "Who leads treatment needs a licence in force in the staff profile; add it there first.",
        )
