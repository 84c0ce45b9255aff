"""Sessions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from haven.scheduling.v1 import calendar_pb2 as pb
from haven.scheduling.v1 import groups_pb2

from haven_kit import etags, times
from haven_kit.call import Call
from haven_kit.errors import Invalid, Refused
from haven_kit.ids import new_id
from haven_scheduling import booking, patterns, planning, policy
from haven_scheduling.api.base import Base, may_see
from haven_scheduling.api.groups import UNLICENSED, require_licence
from haven_scheduling.booking import Holder
from haven_scheduling.domain.intervals import Interval
from haven_scheduling.store import calendar, groups
from haven_scheduling.store.rows import STAFF, SessionRow


class SessionsApi(Base):
    """Sessions."""

    async def plan_session(self, call: Call, request: pb.PlanSessionRequest) -> pb.Session:
        """Put one session on the calendar."""
        await self._check_plan(call, request)
        zone = times.zone("time_zone", request.time_zone)
        starts = patterns.moment("starts_at", request.starts_at)
        if starts <= call.now:
            raise Invalid("starts_at", "in_future", "A session is planned ahead of its start.")
        row = SessionRow(
            session_id=new_id(),
            series_id="",
            group_id=request.group_id,
            kind=request.kind,
            day=starts.astimezone(zone).date(),
            when=Interval(starts, starts + timedelta(minutes=request.minutes)),
            time_zone=request.time_zone,
            facilitator_id=request.facilitator_id,
            state=calendar.PLANNED,
            format=request.format,
            optional=request.optional,
            capacity=max(request.capacity, len(request.person_ids), 1),
            sealed=None,
        )
        row = replace(row, sealed=self._words.seal_session(row.session_id, request.title, request.place))
        await calendar.add_sessions(call.tx, [row])
        booking.tell(call.tx, [row])
        holders = {Holder(STAFF, row.facilitator_id), *(Holder.person(each) for each in request.person_ids)}
        if request.group_id:
            enrolled = await groups.active(call.tx, request.group_id)
            holders -= {Holder.person(person) for _, person in enrolled}
            holders |= {Holder.person(person, enrolment) for enrolment, person in enrolled}
        for holder in sorted(holders):
            await booking.seat_or_refuse(call.tx, holder, [row], may_see(call))
        return await self._shown(call, row.session_id)

    async def _check_plan(self, call: Call, request: pb.PlanSessionRequest) -> None:
        treats = True
        if request.kind == pb.SESSION_KIND_GROUP and request.group_id:
            group = await groups.lock_group(call.tx, request.group_id)
            policy.require_lead(call.principal, group.details.facilitator_id)
            treats = group.details.kind not in UNLICENSED
        elif request.group_id:
            raise Invalid("group_id", "group_kind_only", "Only a session of kind group belongs to a group.")
        if request.optional and request.kind != pb.SESSION_KIND_GROUP:
            raise Invalid("optional", "group_kind_only", "Only a session of kind group can be optional.")
        if request.format != groups_pb2.FORMAT_VIRTUAL and not request.place:
            raise Invalid("place", "required_in_person", "Say where people meet when not everyone is online.")
        check_people(request.kind, request.person_ids)
        await policy.require_people(call, request.person_ids)
        if treats and not request.optional:
            await require_licence(call.tx, request.facilitator_id, call.now.date())

    async def get_session(self, call: Call, request: pb.GetSessionRequest) -> pb.Session:
        """One session."""
        return await self._shown(call, request.session_id, request.time_zone)

    async def cancel_session(self, call: Call, request: pb.CancelSessionRequest) -> pb.Session:
        """Cancel one session."""
        row = await _coming(call, request.session_id, request.etag)
        await booking.cancel(call.tx, row)
        return await self._shown(call, row.session_id)

    async def reschedule_session(self, call: Call, request: pb.RescheduleSessionRequest) -> pb.Session:
        """Move one session, or give it to somebody else to lead."""
        row = await _coming(call, request.session_id, request.etag)
        starts = patterns.moment("starts_at", request.starts_at)
        if starts <= call.now:
            raise Invalid("starts_at", "in_future", "A session is moved to a time ahead.")
        length = timedelta(minutes=request.minutes) if request.minutes else row.when.end - row.when.start
        leader = request.facilitator_id or row.facilitator_id
        if leader != row.facilitator_id and not row.optional and not (row.group and row.group.kind in UNLICENSED):
            await require_licence(call.tx, leader, call.now.date())
        await self._check_agenda_fits(call, row, length)
        changed = replace(row, when=Interval(starts, starts + length), facilitator_id=leader)
        await booking.move(call.tx, [changed], may_see(call))
        return await self._shown(call, row.session_id)

    async def _check_agenda_fits(self, call: Call, row: SessionRow, length: timedelta) -> None:
        kept = await calendar.agenda(call.tx, row.session_id)
        if kept is None:
            return
        agenda = self._cipher.open(pb.Agenda, kept[0], context=f"agenda/{row.session_id}")
        if timedelta(minutes=sum(each.minutes for each in agenda.items)) > length:
            raise Refused("agenda_longer", "The agenda is longer than the session would be; shorten it first.")


async def _coming(call: Call, session_id: str, etag: str) -> SessionRow:
    row = await calendar.lock_session(call.tx, session_id)
    await policy.require_manage(call, row)
    etags.check(etag, row.version)
    if row.state == calendar.CANCELLED:
        raise Refused("session_cancelled", "The session has been cancelled already.")
    if row.when.start <= call.now:
        raise Refused("session_begun", "The session has begun.")
    call.about(*row.person_ids)
    return row


def check_people(kind: int, person_ids: Collection[str]) -> None:
    """Raises Invalid unless as many people are named as a session of the kind has."""
    needed: dict[int, bool] = {
        pb.SESSION_KIND_INDIVIDUAL: len(person_ids) == 1,
        pb.SESSION_KIND_CHECK_IN: len(person_ids) == 1,
        pb.SESSION_KIND_COUPLES: len(person_ids) == planning.FEWEST[pb.SESSION_KIND_COUPLES],
        pb.SESSION_KIND_FAMILY: len(person_ids) >= planning.FEWEST[pb.SESSION_KIND_FAMILY],
    }
    if not needed.get(kind, True):
        raise Invalid(
            "person_ids",
            "people_of_kind",
            "An individual session or check-in has one person, a couples session two, a family session two or more.",
        )
