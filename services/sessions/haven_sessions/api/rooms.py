"""SessionsService: the room's life, coming and going, agenda and pauses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from haven.crisis.v1 import people_pb2
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.scheduling.v1 import calendar_pb2
from haven.scheduling.v1.scheduling_service_pb2_grpc import SchedulingServiceStub
from haven.sessions.v1 import rooms_pb2 as pb
from haven.sessions.v1 import sessions_service_pb2 as rpc

from haven_kit import logs, times, words
from haven_kit.call import Call
from haven_kit.errors import HavenError, Invalid, NotFound, Refused
from haven_kit.ids import new_id
from haven_kit.paging import Page
from haven_sessions import live, policy
from haven_sessions.api.desk import Desk
from haven_sessions.api.watching import Watch
from haven_sessions.bells import Bells
from haven_sessions.domain import rules
from haven_sessions.domain.events import Participation
from haven_sessions.domain.room import Place
from haven_sessions.store import locations, people, rooms
from haven_sessions.store.rooms import Member
from haven_sessions.view import seal_agenda, seal_member

_log = logs.get(__name__)


class RoomsApi:
    """Answers SessionsService."""

    def __init__(self, desk: Desk, bells: Bells) -> None:
        self._desk = desk
        self._bells = bells
        self._crisis = desk.parts.client("crisis", CrisisServiceStub)
        self._scheduling = desk.parts.client("scheduling", SchedulingServiceStub)

    async def open_room(self, call: Call, request: rpc.OpenRoomRequest) -> pb.Room:
        session_id = request.session_id
        standing = await self._desk.staff(call.tx, call.principal, session_id)
        policy.require_may_open(call.principal, standing.session, self._desk.facts.leaders)
        agenda = await rooms.agenda(call.tx, session_id)
        asked = await self._ask_agenda(session_id) if agenda is None else None
        room = await rooms.lock(call.tx, session_id)
        with live.told():
            decided = rules.open_room(room)
        if asked is not None:
            await rooms.put_agenda(call.tx, session_id, seal_agenda(self._desk.parts.cipher, session_id, asked))
            decided += rules.learn_agenda(room, len(asked))
        await live.happen(call.tx, standing.session, room, decided)
        return await self._desk.show(call, standing, room)

    async def _ask_agenda(self, session_id: str) -> list[pb.AgendaItem] | None:
        """The agenda; an empty one where none was written; None where scheduling does not answer."""
        request = calendar_pb2.GetAgendaRequest(session_id=session_id)
        try:
            agenda = await self._scheduling.GetAgenda(request, timeout=self._desk.settings.scheduling_timeout_seconds)
        except NotFound:
            return []
        except HavenError as error:
            _log.warning("agenda.not_known", session_id=session_id, reason=error.reason)
            return None
        return [pb.AgendaItem(title=each.title, minutes=each.minutes) for each in agenda.items]

    async def close_room(self, call: Call, request: rpc.CloseRoomRequest) -> pb.Room:
        standing = await self._desk.staff(call.tx, call.principal, request.session_id)
        seen_before = call.now - timedelta(seconds=self._desk.settings.lapse_seconds)
        room = await live.close(call.tx, standing.session, seen_before=seen_before)
        return await self._desk.show(call, standing, room)

    async def get_room(self, call: Call, request: rpc.GetRoomRequest) -> pb.Room:
        standing = await self._desk.standing(call.tx, call.principal, request.session_id)
        return await self._desk.show(call, standing, await rooms.load(call.tx, request.session_id))

    async def watch_room(self, call: Call, request: rpc.WatchRoomRequest) -> AsyncIterator[pb.RoomEvent]:
        watch = Watch(self._desk, call, request.session_id)
        await watch.begin(request.last_event_id)
        with self._bells.watching(request.session_id) as rung:
            while not watch.over:
                rung.clear()
                for event in await watch.look():
                    yield event
                if not watch.more and not watch.over:
                    await rung.wait()

    async def get_agreement(self, call: Call, request: rpc.GetAgreementRequest) -> pb.Agreement:
        await self._desk.standing(call.tx, call.principal, request.session_id)
        return await self._agreement(call)

    async def accept_agreement(self, call: Call, request: rpc.AcceptAgreementRequest) -> pb.Agreement:
        await self._desk.standing(call.tx, call.principal, request.session_id)
        in_force = self._desk.facts.agreement.agreement_id
        if request.agreement_id != in_force:
            raise Refused("agreement_version", f"The group agreement has changed. Please read {in_force}.")
        await people.accept(call.tx, call.principal.id, in_force)
        return await self._agreement(call)

    async def _agreement(self, call: Call) -> pb.Agreement:
        agreement = pb.Agreement()
        agreement.CopyFrom(self._desk.facts.agreement)
        agreement.accepted = await people.accepted(call.tx, call.principal.id, agreement.agreement_id)
        return agreement

    async def join(self, call: Call, request: rpc.JoinRequest) -> pb.Room:
        session_id, principal = request.session_id, call.principal
        standing = await self._desk.standing(call.tx, principal, session_id)
        if not await people.accepted(call.tx, principal.id, self._desk.facts.agreement.agreement_id):
            raise Refused("group_agreement", "Please read and accept the group agreement first.")
        located = await self._confirm_location(call, request)
        room = await rooms.lock(call.tx, session_id)
        known = await rooms.member_of(call.tx, session_id, principal.id)
        member_id = known.member_id if known else new_id()
        how = Participation.SPEAK if standing.staff else Participation.LISTEN
        if request.participation:
            how = Participation(words.word(pb.Participation, request.participation))
        with live.told():
            decided = rules.join(
                room,
                member_id,
                person_id=principal.person_id or "",
                staff=standing.staff,
                camera=request.camera,
                participation=how,
            )
        member = Member(
            member_id=member_id,
            principal_id=principal.id,
            person_id=principal.person_id or "",
            place=known.place if known else Place.OUT,
            since_seq=room.last_seq + 1,
            seen_at=call.now,
            sealed=seal_member(self._desk.parts.cipher, member_id, request.display_name),
        )
        await rooms.put_member(call.tx, session_id, member)
        await live.happen(call.tx, standing.session, room, decided)
        answer = await self._desk.show(call, standing, room)
        answer.location_confirmed = located
        return answer

    async def _confirm_location(self, call: Call, request: rpc.JoinRequest) -> bool:
        """Tell crisis where the person is. Joining does not wait for it for long, and never fails for it: while crisis
        does not answer, the place is kept here and brought later."""
        person_id = call.principal.person_id or ""
        if not person_id or not request.HasField("location"):
            return False
        place = people_pb2.Location(
            address=request.location.address,
            region=request.location.region,
            country=request.location.country,
            access_note=request.location.access_note,
            confirmed_at=times.stamp(call.now),
        )
        confirm = people_pb2.ConfirmLocationRequest(person_id=person_id, location=place)
        try:
            await self._crisis.ConfirmLocation(confirm, timeout=self._desk.settings.location_timeout_seconds)
        except HavenError as error:
            _log.warning("location.not_confirmed", session_id=request.session_id, reason=error.reason)
            await locations.keep(call.tx, self._desk.parts.cipher, confirm)
            return False
        locations.forget(call.tx, person_id)
        return True

    async def leave(self, call: Call, request: rpc.LeaveRequest) -> pb.Room:
        return await self._desk.act(call, request.session_id, rules.leave)

    async def heartbeat(self, call: Call, request: rpc.HeartbeatRequest) -> rpc.HeartbeatResponse:
        if not await rooms.see(call.tx, request.session_id, call.principal.id):
            raise Refused("not_joined", "Join the room first.")
        call.about()
        settings = self._desk.settings
        return rpc.HeartbeatResponse(every_seconds=settings.heartbeat_seconds, lapse_seconds=settings.lapse_seconds)

    async def move_agenda(self, call: Call, request: rpc.MoveAgendaRequest) -> pb.Room:
        return await self._desk.act_as_staff(
            call, request.session_id, lambda room, _: rules.move_agenda(room, request.agenda_position)
        )

    async def start_pause(self, call: Call, request: rpc.StartPauseRequest) -> pb.Room:
        exercise_id = ""
        if request.kind == pb.PAUSE_KIND_GROUNDING:
            exercise_id = request.exercise_id or next(iter(self._desk.facts.exercises))
        elif request.exercise_id:
            raise Invalid("exercise_id", "grounding_only", "Only a grounding pause has an exercise.")
        if exercise_id and exercise_id not in self._desk.facts.exercises:
            raise Invalid("exercise_id", "known_exercise", "There is no such exercise.")
        kind = words.word(pb.PauseKind, request.kind)
        return await self._desk.act_as_staff(
            call, request.session_id, lambda room, _: rules.start_pause(room, kind, request.minutes, exercise_id)
        )

    async def end_pause(self, call: Call, request: rpc.EndPauseRequest) -> pb.Room:
        return await self._desk.act_as_staff(call, request.session_id, lambda room, _: rules.end_pause(room))

    async def list_grounding_exercises(
        self, call: Call, request: rpc.ListGroundingExercisesRequest
    ) -> rpc.ListGroundingExercisesResponse:
        call.about()
        page = Page.of(request)
        start = int(page.after[0]) if page.after else 0
        exercises = list(self._desk.facts.exercises.values())
        end = start + page.size
        return rpc.ListGroundingExercisesResponse(
            exercises=exercises[start:end], next_page_token=page.next_token([end]) if end < len(exercises) else ""
        )
