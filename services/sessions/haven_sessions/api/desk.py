"""What the APIs of the room share: who calls, letting something happen, and the room as the caller sees it."""

from __future__ import annotations

from collections.abc import Callable

from haven.sessions.v1 import rooms_pb2 as pb

from haven_kit.call import Call
from haven_kit.database import Tx
from haven_kit.identity import Principal
from haven_kit.service import Parts
from haven_sessions import live, policy
from haven_sessions.domain.events import Event
from haven_sessions.domain.room import Room
from haven_sessions.facts import Facts
from haven_sessions.policy import Standing
from haven_sessions.settings import SessionsSettings
from haven_sessions.store import rooms, sessions
from haven_sessions.store.rooms import Member
from haven_sessions.store.sessions import Session
from haven_sessions.view import Reader, View

_REMEMBERED = 10_000
Decide = Callable[[Room, str], list[Event]]
"""What follows from an act, in the room, by the member with that id (empty: not in the room so far)."""


class Desk:
    """Shared by the APIs of one process."""

    def __init__(self, parts: Parts[SessionsSettings], facts: Facts) -> None:
        self.parts = parts
        self.settings = parts.settings
        self.facts = facts
        self._facilitators: dict[str, str] = {}

    async def standing(self, tx: Tx, principal: Principal, session_id: str) -> Standing:
        """How the caller stands to a session. Raises NotFound for who has no part in it."""
        session = await sessions.get(tx, session_id)
        self._remember(session)
        person_id = principal.person_id
        seat = person_id is not None and await sessions.has_seat(tx, session_id, person_id)
        return policy.standing(principal, session, seat=seat)

    def known_facilitator(self, session_id: str) -> str:
        """Who leads the session, as far as this process remembers; empty otherwise. Asks no database."""
        return self._facilitators.get(session_id, "")

    def _remember(self, session: Session) -> None:
        if len(self._facilitators) >= _REMEMBERED:
            self._facilitators.pop(next(iter(self._facilitators)))
        self._facilitators[session.session_id] = session.facilitator_id

    async def staff(self, tx: Tx, principal: Principal, session_id: str) -> Standing:
        """The standing of who leads the session. Raises NotFound for everyone else."""
        standing = await self.standing(tx, principal, session_id)
        policy.require_staff(standing)
        return standing

    async def act(self, call: Call, session_id: str, decide: Decide) -> pb.Room:
        """Let happen what the caller's act leads to. Raises what `live.told` translates."""
        standing = await self.standing(call.tx, call.principal, session_id)
        return await self._act(call, standing, decide)

    async def act_as_staff(self, call: Call, session_id: str, decide: Decide) -> pb.Room:
        """As `act`, for who leads the session alone."""
        standing = await self.staff(call.tx, call.principal, session_id)
        return await self._act(call, standing, decide)

    async def _act(self, call: Call, standing: Standing, decide: Decide) -> pb.Room:
        session_id = standing.session.session_id
        room = await rooms.lock(call.tx, session_id)
        member = await rooms.member_of(call.tx, session_id, call.principal.id)
        with live.told():
            decided = decide(room, member.member_id if member else "")
        await live.happen(call.tx, standing.session, room, decided)
        return await self.show(call, standing, room)

    async def show(self, call: Call, standing: Standing, room: Room) -> pb.Room:
        """The room as the caller sees it, noted in the access history."""
        session_id = standing.session.session_id
        members = await rooms.members(call.tx, session_id)
        reader = self.reader(call.principal, standing, members)
        about(call, reader, members)
        view = View(self.parts.cipher, self.facts.exercises, reader, members)
        return view.room(standing.session, room, await rooms.agenda(call.tx, session_id), call.now)

    def reader(self, principal: Principal, standing: Standing, members: dict[str, Member]) -> Reader:
        """The caller as a reader of the room."""
        mine = next((each for each in members.values() if each.principal_id == principal.id), None)
        return Reader(standing.staff, mine)


def about(call: Call, reader: Reader, members: dict[str, Member]) -> None:
    """Whose access history gets an entry: with staff everyone in the room; otherwise the caller alone, so that nobody's
    history tells who else is in their group."""
    if reader.staff:
        call.about(*(each.person_id for each in members.values()))
    else:
        call.about(call.principal.person_id or "")
