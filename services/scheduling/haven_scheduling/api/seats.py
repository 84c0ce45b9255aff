"""Seats in single sessions."""

from __future__ import annotations

from haven.scheduling.v1 import calendar_pb2 as pb

from haven_kit import relations
from haven_kit.call import Call
from haven_kit.errors import Conflict, Denied, Refused
from haven_scheduling import booking, policy
from haven_scheduling.api.base import Base, may_see
from haven_scheduling.booking import Holder
from haven_scheduling.store import calendar
from haven_scheduling.store.rows import SessionRow

OPTIONAL_ONLY = "You can do this yourself for optional sessions; for others, your care team does it with you."


class SeatsApi(Base):
    """Seats in single sessions."""

    async def book_seat(self, call: Call, request: pb.BookSeatRequest) -> pb.Session:
        """Give a person a seat in one session."""
        row = await _coming(call, request.session_id, request.person_id)
        if request.person_id.lower() in row.person_ids:
            raise Conflict("has_seat", "The person has a seat in this session already.")
        if row.kind != pb.SESSION_KIND_GROUP:
            raise Refused("closed_session", "People of this kind of session are named when it is planned.")
        if len(row.person_ids) >= row.seats:
            raise Conflict("session_full", "Every seat of this session is taken.")
        await booking.seat_or_refuse(call.tx, Holder.person(request.person_id), [row], may_see(call))
        return await self._shown(call, row.session_id)

    async def release_seat(self, call: Call, request: pb.ReleaseSeatRequest) -> pb.Session:
        """Give up a person's seat in one session."""
        row = await _coming(call, request.session_id, request.person_id)
        if request.person_id.lower() not in row.person_ids:
            raise Refused("no_seat", "The person has no seat in this session.")
        await booking.release(call.tx, session_ids=[row.session_id], person_id=request.person_id)
        call.about(request.person_id)
        # Whoever gave up the last thing that opened the session to them still reads what became of it.
        changed = await calendar.session(call.tx, row.session_id)
        return self._words.session(changed, call.principal, None)


async def _coming(call: Call, session_id: str, person_id: str) -> SessionRow:
    await relations.require(call, person_id)
    row = await calendar.lock_session(call.tx, session_id)
    if not row.optional:
        if policy.is_self(call.principal, person_id):
            await policy.require_session(call, row)
            raise Denied(OPTIONAL_ONLY)
        if row.group_id == "":
            await policy.require_session(call, row)
    if row.state == calendar.CANCELLED:
        raise Refused("session_cancelled", "The session has been cancelled.")
    if row.when.start <= call.now:
        raise Refused("session_begun", "The session has begun.")
    return row
