"""One reader's watch of a room: what is new for them, look by look."""

from __future__ import annotations

from haven.sessions.v1 import rooms_pb2 as pb

from haven_kit.call import Call
from haven_kit.database import Tx
from haven_kit.errors import Refused
from haven_sessions.api.desk import Desk, about
from haven_sessions.domain.events import MessageSent
from haven_sessions.domain.room import Life, Place, Room, replay
from haven_sessions.store import people, rooms
from haven_sessions.store.rooms import Member, Seen
from haven_sessions.view import Reader, View

_BATCH = 100


class Watch:
    """Where one reader has come to in the room's events."""

    def __init__(self, desk: Desk, call: Call, session_id: str) -> None:
        self._desk = desk
        self._call = call
        self._session_id = session_id
        self._seq = 0
        self._room = Room()
        self.over = False
        """The room was closed, or the reader is no longer in it."""
        self.more = False
        """There may be more to look at, at once."""

    async def begin(self, last_event_id: str) -> None:
        """Start after an event; after the last one so far if none is given. Raises NotFound, Refused."""
        async with self._call.transaction() as tx:
            reader, members = await self._reader(tx)
            about(self._call, reader, members)
            happened = await rooms.happened(tx, self._session_id)
        room = replay(happened)
        if not reader.staff and (reader.member is None or reader.member.place in (Place.OUT, Place.REMOVED)):
            raise Refused("not_joined", "Join the room first.")
        self._seq = min(int(last_event_id), room.last_seq) if last_event_id else room.last_seq
        self._room = replay(each for each in happened if each.seq <= self._seq)

    async def look(self) -> list[pb.RoomEvent]:
        """What happened since the last look, as far as the reader may see it."""
        async with self._call.transaction() as tx:
            found = await rooms.since(tx, self._session_id, self._seq, _BATCH)
            reader, members = await self._reader(tx)
            about(self._call, reader, members)  # those who came since the last look too
            view = View(self._desk.parts.cipher, self._desk.facts.exercises, reader, members)
            shown = [event for each in found if (event := await self._take(tx, view, reader, each)) is not None]
        self.more = len(found) == _BATCH
        gone = not reader.staff and (reader.member is None or reader.member.place in (Place.OUT, Place.REMOVED))
        self.over = not self.more and (gone or self._room.life is Life.CLOSED)
        return shown

    async def _take(self, tx: Tx, view: View, reader: Reader, seen: Seen) -> pb.RoomEvent | None:
        self._room.apply(seen.happened)
        self._seq = seen.happened.seq
        if not reader.may_see(seen):
            return None
        event = seen.happened.event
        message = pb.Message()
        if isinstance(event, MessageSent):
            sealed = await people.message(tx, event.message_id)
            message = self._desk.parts.cipher.open(pb.Message, sealed, context=f"message/{event.message_id}")
        return view.event(self._room, seen.happened, message)

    async def _reader(self, tx: Tx) -> tuple[Reader, dict[str, Member]]:
        standing = await self._desk.standing(tx, self._call.principal, self._session_id)
        members = await rooms.members(tx, self._session_id)
        return self._desk.reader(self._call.principal, standing, members), members
