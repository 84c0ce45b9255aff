"""PlanChangeService: the history of the on-call plan, taking parts out of it, and putting them back."""

from __future__ import annotations

from haven.crisis.v1 import on_call_service_pb2, team_service_pb2
from haven.crisis.v1 import plan_change_service_pb2 as pb

from haven_crisis.api.desk import Desk
from haven_crisis.api.planning import Planning
from haven_crisis.store import plan_changes
from haven_kit import words
from haven_kit.call import Call
from haven_kit.cipher import CannotOpen
from haven_kit.errors import Refused
from haven_kit.paging import Page

PUT_BACK = "put back"


class PlanChangeApi:
    """Answers PlanChangeService."""

    def __init__(self, desk: Desk) -> None:
        self._cipher = desk.parts.cipher
        self._planning = Planning(desk)

    async def delete_responder(self, call: Call, request: pb.DeleteResponderRequest) -> pb.PlanChange:
        return await self._delete(call, "responder", request.responder_id)

    async def delete_rotation(self, call: Call, request: pb.DeleteRotationRequest) -> pb.PlanChange:
        return await self._delete(call, "rotation", request.rotation_id)

    async def delete_policy(self, call: Call, request: pb.DeletePolicyRequest) -> pb.PlanChange:
        return await self._delete(call, "policy", request.policy_id)

    async def delete_team(self, call: Call, request: pb.DeleteTeamRequest) -> pb.PlanChange:
        return await self._delete(call, "team", request.team_id)

    async def list_plan_changes(self, call: Call, request: pb.ListPlanChangesRequest) -> pb.ListPlanChangesResponse:
        page = Page.of(request)
        before = page.after[0] if page.after else plan_changes.NEWEST
        found = await plan_changes.listed(call.tx, before, page.size + 1)
        shown, token = page.cut(found, lambda each: [each.change_id])
        return pb.ListPlanChangesResponse(changes=shown, next_page_token=token)

    async def restore_plan_version(self, call: Call, request: pb.RestorePlanVersionRequest) -> pb.PlanChange:
        change, body = await plan_changes.get(call.tx, request.change_id)
        part = words.word(pb.OnCallPart, change.part)
        if part == "responder":
            await self._planning.responder(call.tx, self._responder(change.part_id, body), "", PUT_BACK)
        elif part == "rotation":
            await self._planning.rotation(call.tx, on_call_service_pb2.Rotation.FromString(body), "", PUT_BACK)
        elif part == "policy":
            await self._planning.policy(call.tx, on_call_service_pb2.Policy.FromString(body), "", PUT_BACK)
        else:
            await self._planning.team(call.tx, team_service_pb2.Team.FromString(body), "", PUT_BACK)
        return (await plan_changes.listed(call.tx, plan_changes.NEWEST, 1))[0]

    def _responder(self, responder_id: str, sealed: bytes) -> on_call_service_pb2.Responder:
        try:
            return self._cipher.open(on_call_service_pb2.Responder, sealed, f"responder/{responder_id}")
        except CannotOpen:
            raise Refused("unreadable", "This version cannot be read any more. Save the responder anew.") from None

    async def _delete(self, call: Call, part: str, key: str) -> pb.PlanChange:
        change_id = await self._planning.delete(call.tx, part, key)
        return (await plan_changes.get(call.tx, change_id))[0]
