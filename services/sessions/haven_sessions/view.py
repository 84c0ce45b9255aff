"""The room and its events as one reader may see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from haven.sessions.v1 import rooms_pb2 as pb

from haven_kit import times, words
from haven_kit.cipher import Cipher
from haven_sessions.domain import events as e
from haven_sessions.domain import shares
from haven_sessions.domain.room import Breakout, Happened, Help, Life, Pause, Place, Room
from haven_sessions.store.rooms import Member, Seen
from haven_sessions.store.sessions import Session

Exercises = Mapping[str, pb.GroundingExercise]


def seal_member(cipher: Cipher, member_id: str, display_name: str) -> bytes:
    """The chosen name, sealed."""
    return cipher.seal(pb.Member(member_id=member_id, display_name=display_name), context=f"member/{member_id}")


def seal_agenda(cipher: Cipher, session_id: str, agenda: list[pb.AgendaItem]) -> bytes:
    """The agenda, sealed."""
    return cipher.seal(pb.Room(session_id=session_id, agenda=agenda), context=f"agenda/{session_id}")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks: staff of the session or not, and who they are in the room (None: not in it so far)."""

    staff: bool
    member: Member | None

    @property
    def member_id(self) -> str:
        """Their id in the room; empty if they have none."""
        return self.member.member_id if self.member else ""

    @property
    def inside(self) -> bool:
        """May see who is in the room."""
        return self.staff or (self.member is not None and self.member.place is Place.IN)

    def may_see(self, seen: Seen) -> bool:
        """May see the event. Who is in the lobby sees only what is addressed to them."""
        if self.staff:
            return True
        if self.member is None:
            return False
        if self.member.member_id in seen.member_ids:
            return True
        among = self.member.place in (Place.IN, Place.OUT) and seen.happened.seq >= self.member.since_seq
        return seen.everyone and among


class View:
    """Makes what one reader sees of one room."""

    def __init__(self, cipher: Cipher, exercises: Exercises, reader: Reader, members: Mapping[str, Member]) -> None:
        self._cipher = cipher
        self._exercises = exercises
        self._reader = reader
        self._members = members

    def room(self, session: Session, room: Room, sealed_agenda: bytes | None, now: datetime) -> pb.Room:
        """The room as it is."""
        seen = pb.Room(
            session_id=session.session_id,
            state=words.number(pb.RoomState, room.life),
            kind=session.kind,
            starts_at=times.stamp(session.starts_at),
            ends_at=times.stamp(session.ends_at),
            agenda_missing=room.life is not Life.WAITING and sealed_agenda is None,
            agenda_position=room.agenda_position,
            my_member_id=self._reader.member_id,
            event_id=str(room.last_seq),
        )
        if room.opened_at:
            seen.opened_at.CopyFrom(times.stamp(room.opened_at))
        if room.closed_at:
            seen.closed_at.CopyFrom(times.stamp(room.closed_at))
        if sealed_agenda is not None:
            seen.agenda.extend(self._cipher.open(pb.Room, sealed_agenda, context=f"agenda/{session.session_id}").agenda)
        if self._reader.inside:
            self._add_people(seen, room, now)
        return seen

    def _add_people(self, seen: pb.Room, room: Room, now: datetime) -> None:
        if room.pause:
            seen.pause.CopyFrom(self._pause(room.pause))
        shown = (Place.IN, Place.LOBBY) if self._reader.staff else (Place.IN,)
        seen.members.extend(self.member(room, each) for each, m in room.members.items() if m.place in shown)
        seen.breakouts.extend(
            _breakout(each)
            for each in room.breakouts.values()
            if self._reader.staff or self._reader.member_id in each.member_ids
        )
        if self._reader.staff:
            seen.speaking.extend(
                pb.SpeakingShare(member_id=s.member_id, seconds=s.seconds, share=s.share, invite=s.invite)
                for s in shares.of(room, now)
            )
            seen.help.extend(self._help(each) for each in room.help.values())

    def member(self, room: Room, member_id: str) -> pb.Member:
        """Somebody in the room."""
        member, row = room.members[member_id], self._members[member_id]
        mine = member_id == self._reader.member_id
        with_me = bool(member.breakout_id) and any(
            self._reader.member_id in each.member_ids
            for each in room.breakouts.values()
            if each.breakout_id == member.breakout_id
        )
        return pb.Member(
            member_id=member_id,
            display_name=self._cipher.open(pb.Member, row.sealed, context=f"member/{member_id}").display_name,
            staff=member.staff,
            participation=words.number(pb.Participation, member.participation),
            camera=member.camera,
            hand_raised=member.hand_raised,
            muted=member.muted and (mine or self._reader.staff),
            in_lobby=member.place is Place.LOBBY,
            breakout_id=member.breakout_id if self._reader.staff or with_me else "",
            person_id=row.person_id if self._reader.staff or mine else "",
        )

    def _pause(self, pause: Pause) -> pb.Pause:
        return pb.Pause(
            kind=words.number(pb.PauseKind, pause.kind),
            exercise=self._exercises.get(pause.exercise_id),
            started_at=times.stamp(pause.started_at),
            ends_at=times.stamp(pause.ends_at),
        )

    def _help(self, help_: Help) -> pb.Help:
        member_id = next((m.member_id for m in self._members.values() if m.person_id == help_.person_id), "")
        return pb.Help(
            member_id=member_id,
            person_id=help_.person_id,
            state=words.number(pb.HelpState, help_.state),
            changed_at=times.stamp(help_.changed_at),
        )

    def event(self, room: Room, happened: Happened, message: pb.Message) -> pb.RoomEvent:
        """An event, in the room as it was just after it; with the message, where it is one."""
        seen = pb.RoomEvent(event_id=str(happened.seq), at=times.stamp(happened.at))
        event = happened.event
        match event:
            case e.Joined(member_id=member_id):
                seen.joined.member.CopyFrom(self.member(room, member_id))
            case e.HelpChanged(person_id=person_id):
                seen.help.CopyFrom(self._help(room.help[person_id]))
            case e.PauseBegun() if room.pause:
                seen.pause_begun.CopyFrom(self._pause(room.pause))
            case e.MessageSent():
                seen.message.CopyFrom(message)
            case e.BreakoutOpened():
                opened = Breakout(event.breakout_id, event.name, event.member_ids, event.check_in)
                seen.breakout_opened.CopyFrom(_breakout(opened))
            case _:
                _plain(seen, event)
        return seen


def _plain(seen: pb.RoomEvent, event: e.Event) -> None:
    """Events that are shown as they are kept."""
    match event:
        case e.Left():
            seen.left.CopyFrom(pb.RoomEvent.MemberLeft(member_id=event.member_id, lapsed=event.lapsed))
        case e.ParticipationChosen():
            how = words.number(pb.Participation, event.participation)
            seen.participation_chosen.CopyFrom(
                pb.RoomEvent.ParticipationChosen(member_id=event.member_id, participation=how)
            )
        case e.HandChanged():
            seen.hand_changed.CopyFrom(pb.RoomEvent.HandChanged(member_id=event.member_id, raised=event.raised))
        case e.TurnChanged():
            seen.turn_changed.CopyFrom(pb.RoomEvent.TurnChanged(member_id=event.member_id))
        case e.AgendaMoved():
            seen.agenda_moved.CopyFrom(pb.RoomEvent.AgendaMoved(agenda_position=event.position))
        case e.PauseAsked():
            seen.pause_asked.CopyFrom(pb.RoomEvent.PauseAsked(member_id=event.member_id))
        case e.BreakoutsClosed():
            seen.breakouts_closed.CopyFrom(pb.RoomEvent.BreakoutsClosed(breakout_ids=event.breakout_ids))
        case e.BreakoutMoved():
            inside = event.breakout_id if event.inside else ""
            seen.breakout_moved.CopyFrom(pb.RoomEvent.BreakoutMoved(member_id=event.member_id, breakout_id=inside))
        case _:
            _quiet(seen, event)


def _quiet(seen: pb.RoomEvent, event: e.Event) -> None:
    match event:
        case e.Moderated():
            action = words.number(pb.ModerationAction, event.action)
            reason = words.number(pb.RemovalReason, event.reason)
            seen.moderated.CopyFrom(pb.RoomEvent.Moderated(member_id=event.member_id, action=action, reason=reason))
        case e.KeptApart():
            pairs = [pb.ApartPair(member_id=one, from_member_id=other) for one, other in event.pairs]
            seen.kept_apart.CopyFrom(pb.RoomEvent.KeptApart(pairs=pairs))
        case e.Opened():
            seen.opened.SetInParent()
        case e.AgendaKnown():
            seen.agenda_known.SetInParent()
        case e.Closed():
            seen.closed.SetInParent()
        case e.PauseBegun():
            kind = words.number(pb.PauseKind, event.kind)
            seen.pause_begun.CopyFrom(pb.Pause(kind=kind))
        case e.PauseEnded():
            seen.pause_ended.SetInParent()


def _breakout(breakout: Breakout) -> pb.Breakout:
    return pb.Breakout(
        breakout_id=breakout.breakout_id,
        name=breakout.name,
        member_ids=breakout.member_ids,
        check_in=breakout.check_in,
    )
