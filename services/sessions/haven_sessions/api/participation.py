"""ParticipationService: taking part at one's own pace."""

from __future__ import annotations

from haven.sessions.v1 import participation_service_pb2 as rpc
from haven.sessions.v1 import rooms_pb2 as pb

from haven_kit import times, words
from haven_kit.call import Call
from haven_kit.errors import Refused
from haven_kit.ids import new_id
from haven_kit.paging import Page
from haven_sessions import live
from haven_sessions.api.desk import Desk
from haven_sessions.domain import rules
from haven_sessions.domain.events import Participation
from haven_sessions.domain.room import Life, Place
from haven_sessions.store import people, rooms

_FEWEST_ANSWERS = 3
"""With fewer, a mean would tell who gave which answer."""


class ParticipationApi:
    """Answers ParticipationService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def choose_participation(self, call: Call, request: rpc.ChooseParticipationRequest) -> pb.Room:
        how = Participation(words.word(pb.Participation, request.participation))
        return await self._desk.act(call, request.session_id, lambda room, me: rules.choose(room, me, how))

    async def raise_hand(self, call: Call, request: rpc.RaiseHandRequest) -> pb.Room:
        return await self._desk.act(call, request.session_id, rules.raise_hand)

    async def lower_hand(self, call: Call, request: rpc.LowerHandRequest) -> pb.Room:
        return await self._desk.act(call, request.session_id, rules.lower_hand)

    async def give_turn(self, call: Call, request: rpc.GiveTurnRequest) -> pb.Room:
        return await self._desk.act_as_staff(
            call, request.session_id, lambda room, _: rules.give_turn(room, request.member_id)
        )

    async def ask_for_pause(self, call: Call, request: rpc.AskForPauseRequest) -> rpc.AskForPauseResponse:
        await self._desk.act(call, request.session_id, rules.ask_for_pause)
        return rpc.AskForPauseResponse(text=self._desk.facts.texts.pause_asked)

    async def send_message(self, call: Call, request: rpc.SendMessageRequest) -> pb.Message:
        message_id, session_id = new_id(), request.session_id
        standing = await self._desk.standing(call.tx, call.principal, session_id)
        room = await rooms.lock(call.tx, session_id)
        member = await rooms.member_of(call.tx, session_id, call.principal.id)
        member_id = member.member_id if member else ""
        with live.told():
            decided = rules.send_message(room, member_id, message_id, to_staff=request.to_staff)
        message = pb.Message(
            message_id=message_id,
            member_id=member_id,
            text=request.text,
            sent_at=times.stamp(call.now),
            to_staff=request.to_staff,
        )
        sealed = self._desk.parts.cipher.seal(message, context=f"message/{message_id}")
        await people.add_message(call.tx, message_id, session_id, sealed)
        await live.happen(call.tx, standing.session, room, decided)
        call.about(call.principal.person_id or "")
        return message

    async def list_messages(self, call: Call, request: rpc.ListMessagesRequest) -> rpc.ListMessagesResponse:
        session_id = request.session_id
        standing = await self._desk.standing(call.tx, call.principal, session_id)
        members = await rooms.members(call.tx, session_id)
        reader = self._desk.reader(call.principal, standing, members)
        if not reader.inside:
            raise Refused("not_joined", "Join the room first.")
        page = Page.of(request)
        since = reader.member.since_seq if reader.member else 0
        rows = await people.messages(
            call.tx,
            session_id,
            people.Visible(reader.staff, reader.member_id, since),
            int(page.after[0]) if page.after else 0,
            page.size + 1,
        )
        cut, token = page.cut(rows, lambda row: [row["seq"]])
        shown = [
            self._desk.parts.cipher.open(pb.Message, row["sealed"], context=f"message/{row['message_id']}")
            for row in cut
        ]
        writers = (members[each.member_id].person_id for each in shown)
        call.about(*(writers if reader.staff else [call.principal.person_id or ""]))
        return rpc.ListMessagesResponse(messages=shown, next_page_token=token)

    async def rate_session(self, call: Call, request: rpc.RateSessionRequest) -> rpc.RateSessionResponse:
        session_id, person_id = request.session_id, call.principal.person_id or ""
        await self._desk.standing(call.tx, call.principal, session_id)
        member = await rooms.member_of(call.tx, session_id, call.principal.id)
        if member is None:
            raise Refused("not_attended", "You can rate sessions that you were in.")
        room = await rooms.load(call.tx, session_id)
        if member.place is Place.IN and room.life is not Life.CLOSED:
            raise Refused("not_over", "You can rate the session when it is over, or when you have left it.")
        sealed = self._desk.parts.cipher.seal(request, context=f"rating/{session_id}/{person_id}")
        await people.rate(call.tx, session_id, person_id, sealed)
        call.about(person_id)
        return rpc.RateSessionResponse(text=self._desk.facts.texts.rated)

    async def get_safety_summary(self, call: Call, request: rpc.GetSafetySummaryRequest) -> rpc.SafetySummary:
        session_id = request.session_id
        await self._desk.staff(call.tx, call.principal, session_id)
        rows = await people.ratings(call.tx, session_id)
        summary = rpc.SafetySummary(session_id=session_id, answers=len(rows))
        call.about()
        if len(rows) < _FEWEST_ANSWERS:
            return summary
        answers = [
            self._desk.parts.cipher.open(
                rpc.RateSessionRequest, row["sealed"], context=f"rating/{session_id}/{row['person_id']}"
            )
            for row in rows
        ]
        summary.heard = sum(each.heard for each in answers) / len(answers)
        summary.respected = sum(each.respected for each in answers) / len(answers)
        summary.comfortable = sum(each.comfortable for each in answers) / len(answers)
        summary.private = sum(each.private for each in answers) / len(answers)
        return summary
