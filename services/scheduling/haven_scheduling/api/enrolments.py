"""Enrolments and waiting lists."""

from __future__ import annotations

from haven.scheduling.v1 import groups_pb2 as pb

from haven_kit import relations
from haven_kit.call import Call
from haven_kit.errors import Conflict, Denied, Refused
from haven_kit.paging import Page
from haven_scheduling import booking, policy, views
from haven_scheduling.api.base import Base, may_see
from haven_scheduling.store import groups, people


class EnrolmentsApi(Base):
    """Enrolments and waiting lists."""

    async def enrol(self, call: Call, request: pb.EnrolRequest) -> pb.Enrolment:
        """Give a person a place in a group, or on its waiting list."""
        await relations.require(call, request.person_id)
        group = await groups.lock_group(call.tx, request.group_id)
        if await groups.current_enrolment(call.tx, group.group_id, request.person_id):
            raise Conflict("already_enrolled", "The person is in this group, or on its waiting list, already.")
        plan = await people.plan(call.tx, request.person_id)
        if plan is not None and plan.discharged:
            raise Refused("discharged", "The person has left the program.")
        if booking.has_begun(group.details, call.now):
            raise Refused("cohort_started", "This cohort has begun and is closed; another group may have a seat.")
        return views.enrolment(await booking.enrol(call.tx, group.group_id, request.person_id, may_see(call)))

    async def end_enrolment(self, call: Call, request: pb.EndEnrolmentRequest) -> pb.Enrolment:
        """Give up a place in a group, or on its waiting list."""
        found = await groups.enrolment(call.tx, request.enrolment_id)
        await relations.require(call, found.person_id, "enrolment")
        call.about(found.person_id)
        await groups.lock_group(call.tx, found.group_id)
        row = await groups.enrolment(call.tx, found.enrolment_id)
        if row.state == groups.ENDED:
            raise Refused("enrolment_ended", "This enrolment has ended already.")
        await booking.end_enrolment(call.tx, row)
        return views.enrolment(await groups.enrolment(call.tx, row.enrolment_id))

    async def list_enrolments(self, call: Call, request: pb.ListEnrolmentsRequest) -> pb.ListEnrolmentsResponse:
        """The roster of a group and its waiting list."""
        group = await groups.group(call.tx, request.group_id)
        if not policy.sees_all(call.principal, group.details.facilitator_id):
            raise Denied(policy.NO_LEADER)
        page = Page.of(request)
        found = await groups.enrolments(
            call.tx,
            group_id=group.group_id,
            ended=request.include_ended,
            after=page.after[0] if page.after else None,
            limit=page.size + 1,
        )
        shown, token = page.cut(found, lambda each: [each.enrolment_id])
        call.about(*(each.person_id for each in shown))
        return pb.ListEnrolmentsResponse(
            enrolments=[views.enrolment(each) for each in shown],
            next_page_token=token,
        )

    async def list_person_enrolments(
        self, call: Call, request: pb.ListPersonEnrolmentsRequest
    ) -> pb.ListPersonEnrolmentsResponse:
        """A person's groups, with the place on a waiting list."""
        await relations.require(call, request.person_id)
        page = Page.of(request)
        found = await groups.enrolments(
            call.tx,
            person_id=request.person_id,
            ended=True,
            after=page.after[0] if page.after else None,
            limit=page.size + 1,
        )
        shown, token = page.cut(found, lambda each: [each.enrolment_id])
        return pb.ListPersonEnrolmentsResponse(
            enrolments=[views.enrolment(each) for each in shown],
            next_page_token=token,
        )
