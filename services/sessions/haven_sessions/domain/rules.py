"""What may happen next in a room. Each function gives the events that follow from an act, or says why not.

Acts that would change nothing give no events, so that repeating one is harmless.
"""

from __future__ import annotations

from haven_sessions.domain import events as e
from haven_sessions.domain.errors import BadInput, Broken, Missing
from haven_sessions.domain.events import Event, HelpState, Moderation, Participation
from haven_sessions.domain.room import Life, Member, Place, Room


def open_room(room: Room) -> list[Event]:
    """Open a room that waits."""
    if room.life is Life.CLOSED:
        raise Broken("closed", "This session has ended. A closed room stays closed.")
    return [e.Opened()] if room.life is Life.WAITING else []


def learn_agenda(room: Room, items: int) -> list[Event]:
    """Take over the agenda's length from scheduling."""
    return [] if room.agenda_items == items else [e.AgendaKnown(items)]


def close(room: Room) -> list[Event]:
    """Close an open room; everyone leaves it first."""
    if room.life is Life.WAITING:
        raise Broken("not_open", "The room has not been opened.")
    if room.life is Life.CLOSED:
        return []
    return [*(e.Left(each.member_id) for each in room.present()), e.Closed()]


def join(
    room: Room, member_id: str, *, person_id: str, staff: bool, camera: bool, participation: Participation
) -> list[Event]:
    """Come in. Coming in again from another device, or with another choice, keeps the place."""
    require_open(room)
    known = room.members.get(member_id)
    if known and known.place is Place.LOBBY:
        raise Broken("in_lobby", "You are in the lobby. The facilitator will let you in; help is available here too.")
    if known and known.place is Place.REMOVED:
        raise Broken("removed", "The facilitator has ended your time in this room for now. Help is available here too.")
    if known and known.place is Place.IN:
        return choose(room, member_id, participation)
    return [e.Joined(member_id, person_id, staff, camera, participation)]


def leave(room: Room, member_id: str, *, lapsed: bool = False, unseen_seconds: float = 0.0) -> list[Event]:
    """Go out. Leaving when one is not in the room changes nothing."""
    member = room.members.get(member_id)
    if member is None or member.place is not Place.IN:
        return []
    return [e.Left(member_id, lapsed, unseen_seconds), *_emptied(room, member)]


def choose(room: Room, member_id: str, participation: Participation) -> list[Event]:
    """Choose how to take part. Whoever stops speaking gives up the floor."""
    member = require_in(room, member_id)
    if member.participation is participation:
        return []
    chosen: list[Event] = [e.ParticipationChosen(member_id, participation)]
    if room.floor == member_id and participation is not Participation.SPEAK:
        chosen.append(e.TurnChanged(""))
    return chosen


def raise_hand(room: Room, member_id: str) -> list[Event]:
    """Ask for the floor."""
    return [] if require_in(room, member_id).hand_raised else [e.HandChanged(member_id, raised=True)]


def lower_hand(room: Room, member_id: str) -> list[Event]:
    """Take the request back, or skip the round: the floor goes too."""
    member = require_in(room, member_id)
    lowered: list[Event] = [e.HandChanged(member_id, raised=False)] if member.hand_raised else []
    return [*lowered, e.TurnChanged("")] if room.floor == member_id else lowered


def give_turn(room: Room, member_id: str) -> list[Event]:
    """Give the floor to somebody who wants it, or to nobody (empty)."""
    require_open(room)
    if room.floor == member_id:
        return []
    if member_id:
        member = _present(room, member_id)
        if member.participation is not Participation.SPEAK and not member.hand_raised:
            raise Broken("own_pace", "This person has chosen not to speak now. They can raise a hand at any time.")
    return [e.TurnChanged(member_id)]


def move_agenda(room: Room, position: int) -> list[Event]:
    """Go to an agenda item, by its index from 0."""
    require_open(room)
    if room.agenda_items is None:
        raise Broken("agenda_missing", "The agenda is not known yet. Open the room again to ask for it once more.")
    if position >= room.agenda_items:
        raise BadInput("agenda_position", "known_item", "The agenda has fewer items.")
    return [] if room.agenda_position == position else [e.AgendaMoved(position)]


def start_pause(room: Room, kind: str, minutes: int, exercise_id: str) -> list[Event]:
    """Begin a pause for everyone. The floor is free again."""
    require_open(room)
    if room.pause is not None:
        raise Broken("already_paused", "The room is pausing. End that pause first.")
    freed: list[Event] = [e.TurnChanged("")] if room.floor else []
    return [*freed, e.PauseBegun(kind, minutes, exercise_id)]


def end_pause(room: Room) -> list[Event]:
    """Go on after a pause."""
    require_open(room)
    return [e.PauseEnded()] if room.pause is not None else []


def ask_for_pause(room: Room, member_id: str) -> list[Event]:
    """Ask staff for a pause, quietly."""
    require_in(room, member_id)
    return [e.PauseAsked(member_id)]


def send_message(room: Room, member_id: str, message_id: str, *, to_staff: bool) -> list[Event]:
    """Write to everyone, or to staff alone. From the lobby one can write to staff."""
    require_open(room)
    member = room.members.get(member_id)
    if member is None or not (member.place is Place.IN or (member.place is Place.LOBBY and to_staff)):
        raise Broken("not_joined", "Join the room first.")
    return [e.MessageSent(message_id, member_id, to_staff)]


def moderate(room: Room, member_id: str, action: Moderation, reason: str = "") -> list[Event]:
    """Mute, unmute, move to the lobby, remove, or let in again."""
    require_open(room)
    member = room.members.get(member_id)
    if member is None or member.staff:
        raise Missing("member")
    unchanged = {
        Moderation.MUTED: member.muted,
        Moderation.UNMUTED: not member.muted,
        Moderation.TO_LOBBY: member.place is Place.LOBBY,
        Moderation.REMOVED: member.place is Place.REMOVED,
        Moderation.ADMITTED: member.place in (Place.IN, Place.OUT),
    }[action]
    if unchanged:
        return []
    gone: list[Event] = []
    if action in (Moderation.TO_LOBBY, Moderation.REMOVED) and member.place is Place.IN:
        gone = leave(room, member_id)
    return [*gone, e.Moderated(member_id, action, reason)]


_RANK = {HelpState.CALLED: 0, HelpState.ALERTED: 1, HelpState.ACKNOWLEDGED: 2, HelpState.CONTACT_MADE: 3}


def change_help(room: Room, person_id: str, state: HelpState, alert_id: str = "", *, lost: bool = False) -> list[Event]:
    """Note how far help has come. News that comes late does not set it back, nor open again what is over.

    After the end, a new call or another alert begins anew; a call after contact is a new call too. `lost`: whoever had
    the alert has it no longer, and people are being called again.
    """
    known = room.help.get(person_id)
    if known is None:
        return [e.HelpChanged(person_id, state, alert_id)]
    if known.state in (HelpState.CLOSED, HelpState.WITHDRAWN):
        late = bool(alert_id) and alert_id == known.alert_id and state in _RANK
        return [] if late or known.state is state else [e.HelpChanged(person_id, state, alert_id)]
    again = state is HelpState.CALLED and known.state is HelpState.CONTACT_MADE
    if lost and alert_id == known.alert_id:
        again = _RANK[known.state] > _RANK[state]
    if state in _RANK and _RANK[state] <= _RANK[known.state] and not again:
        return []
    return [e.HelpChanged(person_id, state, alert_id or known.alert_id)]


def require_open(room: Room) -> None:
    """Raises Broken unless the room is open."""
    if room.life is not Life.OPEN:
        raise Broken("not_open", "The room is not open. It opens when the facilitator is there.")


def require_in(room: Room, member_id: str) -> Member:
    """The member, who must be in the open room: Broken otherwise."""
    require_open(room)
    member = room.members.get(member_id)
    if member is None or member.place is not Place.IN:
        raise Broken("not_joined", "Join the room first.")
    return member


def _present(room: Room, member_id: str) -> Member:
    member = room.members.get(member_id)
    if member is None or member.place is not Place.IN:
        raise Missing("member")
    return member


def _emptied(room: Room, leaving: Member) -> list[Event]:
    """A check-in ends when both have left it."""
    breakout = room.breakouts.get(leaving.breakout_id)
    if breakout is None or not breakout.check_in or room.inside(breakout.breakout_id) - {leaving.member_id}:
        return []
    return [e.BreakoutsClosed((breakout.breakout_id,))]
