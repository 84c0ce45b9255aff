"""ModerationService: breakouts, check-ins, and keeping a room safe."""

from __future__ import annotations

from haven.sessions.v1 import moderation_service_pb2 as rpc
from haven.sessions.v1 import rooms_pb2 as pb

from haven_kit import words
from haven_kit.call import Call
from haven_kit.ids import new_id
from haven_sessions.api.desk import Desk
from haven_sessions.domain import breakouts, rules
from haven_sessions.domain.breakouts import Plan
from haven_sessions.domain.events import Moderation


class ModerationApi:
    """Answers ModerationService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def open_breakouts(self, call: Call, request: rpc.OpenBreakoutsRequest) -> pb.Room:
        plans = [Plan(new_id(), each.name, tuple(each.member_ids)) for each in request.breakouts]
        return await self._desk.act_as_staff(
            call, request.session_id, lambda room, _: breakouts.open_breakouts(room, plans)
        )

    async def close_breakouts(self, call: Call, request: rpc.CloseBreakoutsRequest) -> pb.Room:
        return await self._desk.act_as_staff(call, request.session_id, lambda room, _: breakouts.close_breakouts(room))

    async def join_breakout(self, call: Call, request: rpc.JoinBreakoutRequest) -> pb.Room:
        return await self._desk.act(
            call, request.session_id, lambda room, me: breakouts.go_in(room, request.breakout_id, me)
        )

    async def leave_breakout(self, call: Call, request: rpc.LeaveBreakoutRequest) -> pb.Room:
        return await self._desk.act(call, request.session_id, breakouts.go_back)

    async def start_check_in(self, call: Call, request: rpc.StartCheckInRequest) -> pb.Room:
        breakout_id = new_id()
        return await self._desk.act_as_staff(
            call,
            request.session_id,
            lambda room, me: breakouts.start_check_in(room, breakout_id, me, request.member_id),
        )

    async def keep_apart(self, call: Call, request: rpc.KeepApartRequest) -> pb.Room:
        pairs = [(each.member_id, each.from_member_id) for each in request.pairs]
        return await self._desk.act_as_staff(
            call, request.session_id, lambda room, _: breakouts.keep_apart(room, pairs)
        )

    async def mute_member(self, call: Call, request: rpc.MuteMemberRequest) -> pb.Room:
        return await self._moderate(call, request.session_id, request.member_id, Moderation.MUTED)

    async def unmute_member(self, call: Call, request: rpc.UnmuteMemberRequest) -> pb.Room:
        return await self._moderate(call, request.session_id, request.member_id, Moderation.UNMUTED)

    async def move_to_lobby(self, call: Call, request: rpc.MoveToLobbyRequest) -> pb.Room:
        return await self._moderate(
            call, request.session_id, request.member_id, Moderation.TO_LOBBY, _reason(request.reason)
        )

    async def remove_member(self, call: Call, request: rpc.RemoveMemberRequest) -> pb.Room:
        return await self._moderate(
            call, request.session_id, request.member_id, Moderation.REMOVED, _reason(request.reason)
        )

    async def admit_member(self, call: Call, request: rpc.AdmitMemberRequest) -> pb.Room:
        return await self._moderate(call, request.session_id, request.member_id, Moderation.ADMITTED)

    async def _moderate(
        self, call: Call, session_id: str, member_id: str, action: Moderation, reason: str = ""
    ) -> pb.Room:
        return await self._desk.act_as_staff(
            call, session_id, lambda room, _: rules.moderate(room, member_id, action, reason)
        )


def _reason(number: int) -> str:
    return words.word(pb.RemovalReason, number)
