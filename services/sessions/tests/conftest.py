"""A planned session with its people, on a running service, and a crisis and a scheduling to call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest_asyncio
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from haven.crisis.v1 import people_pb2, signals_pb2
from haven.scheduling.v1 import calendar_pb2
from haven.scheduling.v1 import events_pb2 as scheduling
from haven.sessions.v1 import rooms_pb2 as pb
from haven.sessions.v1 import sessions_service_pb2 as rpc
from haven.sessions.v1.attendance_service_pb2_grpc import AttendanceServiceStub
from haven.sessions.v1.help_service_pb2_grpc import HelpServiceStub
from haven.sessions.v1.moderation_service_pb2_grpc import ModerationServiceStub
from haven.sessions.v1.participation_service_pb2_grpc import ParticipationServiceStub
from haven.sessions.v1.sessions_service_pb2_grpc import SessionsServiceStub

from haven_kit.clock import FakeClock
from haven_kit.ids import new_id
from haven_kit.testing.module import Module
from haven_kit.testing.running import Caller, Running
from haven_kit.tls import Folder
from haven_sessions.__main__ import SPEC

AGREEMENT = "group-agreement/1"


class Crisis:
    """Takes signals and locations over the wire, and can be told to refuse or to hang."""

    service = "haven.crisis.v1.CrisisService"

    def __init__(self) -> None:
        self.signals: list[signals_pb2.RaiseSignalRequest] = []
        self.withdrawn: list[str] = []
        self.locations: list[people_pb2.ConfirmLocationRequest] = []
        self.down = False
        self.hanging: asyncio.Event | None = None

    def answers(self) -> dict[str, Any]:
        return {
            "RaiseSignal": _answer(signals_pb2.RaiseSignalRequest, self._raise_signal),
            "WithdrawSignal": _answer(signals_pb2.WithdrawSignalRequest, self._withdraw_signal),
            "ConfirmLocation": _answer(people_pb2.ConfirmLocationRequest, self._confirm_location),
        }

    async def _reached(self, context: Any) -> None:
        if self.hanging is not None:
            await self.hanging.wait()
        if self.down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "down")

    async def _raise_signal(self, request: signals_pb2.RaiseSignalRequest, context: Any) -> Message:
        await self._reached(context)
        self.signals.append(request)
        return signals_pb2.RaiseSignalResponse(signal_id=request.signal_id, alert_id=new_id())

    async def _withdraw_signal(self, request: signals_pb2.WithdrawSignalRequest, context: Any) -> Message:
        await self._reached(context)
        self.withdrawn.append(request.signal_id)
        return signals_pb2.WithdrawSignalResponse()

    async def _confirm_location(self, request: people_pb2.ConfirmLocationRequest, context: Any) -> Message:
        await self._reached(context)
        self.locations.append(request)
        return people_pb2.ConfirmLocationResponse()


class Scheduling:
    """Knows one agenda for every session, and can be down."""

    service = "haven.scheduling.v1.SchedulingService"

    def __init__(self) -> None:
        self.down = False

    def answers(self) -> dict[str, Any]:
        return {"GetAgenda": _answer(calendar_pb2.GetAgendaRequest, self._get_agenda)}

    async def _get_agenda(self, request: calendar_pb2.GetAgendaRequest, context: Any) -> Message:
        if self.down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "down")
        titles = ("Arriving", "Skills: distress tolerance", "Closing")
        items = [calendar_pb2.AgendaItem(title=title, minutes=20) for title in titles]
        return calendar_pb2.Agenda(session_id=request.session_id, items=items)


def _answer(request: type[Message], answer: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request.FromString, response_serializer=lambda reply: reply.SerializeToString()
    )


@dataclass
class Neighbours:
    """The two services that sessions calls."""

    crisis: Crisis
    scheduling: Scheduling
    running: Running
    clock: FakeClock


@asynccontextmanager
async def surroundings(haven: Module, **settings: Any) -> AsyncIterator[Neighbours]:
    """Sessions on a clock to turn, between a crisis and a scheduling."""
    crisis, scheduling = Crisis(), Scheduling()
    targets, servers = {}, []
    for name, neighbour in (("crisis", crisis), ("scheduling", scheduling)):
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(neighbour.service, neighbour.answers()),))
        credentials = Folder(haven._shared.authority.issue(name)).server_credentials()
        targets[name] = f"dns:///127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
        await server.start()
        servers.append(server)
    clock = FakeClock()
    running = await haven.serve(SPEC, clock=clock, targets=targets, scheduling_timeout_seconds=1, **settings)
    try:
        yield Neighbours(crisis, scheduling, running, clock)
    finally:
        await running.stop()
        await asyncio.gather(*(server.stop(None) for server in servers))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def neighbours(haven: Module) -> AsyncIterator[Neighbours]:
    async with surroundings(haven) as made:
        yield made


def stamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


@dataclass
class Person:
    """Somebody signed in, with the stubs they call."""

    caller: Caller
    session_id: str
    person_id: str = ""
    member_id: str = ""
    rooms: Any = field(init=False)
    taking_part: Any = field(init=False)
    moderation: Any = field(init=False)
    help: Any = field(init=False)
    attendance: Any = field(init=False)

    def __post_init__(self) -> None:
        self.rooms = self.caller.stub(SessionsServiceStub)
        self.taking_part = self.caller.stub(ParticipationServiceStub)
        self.moderation = self.caller.stub(ModerationServiceStub)
        self.help = self.caller.stub(HelpServiceStub)
        self.attendance = self.caller.stub(AttendanceServiceStub)

    async def room(self) -> pb.Room:
        answered: pb.Room = await self.rooms.GetRoom(rpc.GetRoomRequest(session_id=self.session_id))
        return answered

    async def accept(self) -> pb.Agreement:
        agreement: pb.Agreement = await self.rooms.AcceptAgreement(
            rpc.AcceptAgreementRequest(session_id=self.session_id, agreement_id=AGREEMENT)
        )
        return agreement

    async def join(self, name: str = "Robin", **given: Any) -> pb.Room:
        await self.accept()
        room: pb.Room = await self.rooms.Join(rpc.JoinRequest(session_id=self.session_id, display_name=name, **given))
        self.member_id = room.my_member_id
        return room

    async def leave(self) -> pb.Room:
        answered: pb.Room = await self.rooms.Leave(rpc.LeaveRequest(session_id=self.session_id))
        return answered


@dataclass
class Group:
    """A planned session: its facilitator, and people with a seat."""

    session_id: str
    staff: Person
    people: list[Person]
    neighbours: Neighbours

    async def open(self) -> pb.Room:
        answered: pb.Room = await self.staff.rooms.OpenRoom(rpc.OpenRoomRequest(session_id=self.session_id))
        return answered

    async def close(self) -> pb.Room:
        answered: pb.Room = await self.staff.rooms.CloseRoom(rpc.CloseRoomRequest(session_id=self.session_id))
        return answered

    async def start(self) -> None:
        """Open the room, and let everyone join."""
        await self.open()
        await self.staff.join("Sam")
        for index, person in enumerate(self.people):
            await person.join(f"Robin {index}")


async def plan(
    neighbours: Neighbours, people: int = 2, *, kind: str = "group", role: str = "facilitator", zone: str = "UTC"
) -> Group:
    """Plan a session of an hour that begins now, as scheduling would tell of it."""
    running, now = neighbours.running, neighbours.clock.now()
    session_id = new_id()
    leads = Person(running.as_role(role), session_id)
    planned = scheduling.SessionPlanned(
        session_id=session_id,
        kind=kind,
        starts_at=stamp(now),
        ends_at=stamp(now + timedelta(hours=1)),
        time_zone=zone,
        facilitator_id=leads.caller.principal.id,
        version=1,
    )
    await running.react(planned)
    seated = [await seat(neighbours, session_id) for _ in range(people)]
    return Group(session_id, leads, seated, neighbours)


async def seat(neighbours: Neighbours, session_id: str) -> Person:
    """Somebody with a seat in the session."""
    person_id = new_id()
    taken = scheduling.SeatTaken(enrolment_id=new_id(), person_id=person_id, session_ids=[session_id])
    await neighbours.running.react(taken)
    return stranger(neighbours, session_id, person_id)


def stranger(neighbours: Neighbours, session_id: str, person_id: str = "") -> Person:
    """A participant without a seat."""
    person_id = person_id or new_id()
    return Person(neighbours.running.as_role("participant", person_id=person_id), session_id, person_id)
