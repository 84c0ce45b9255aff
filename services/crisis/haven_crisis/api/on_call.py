"""OnCallService: who is on call, and who is paged when nobody answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC

from haven.crisis.v1 import on_call_service_pb2 as pb
from haven.options.v1 import options_pb2 as options

from haven_crisis.api.desk import Desk
from haven_crisis.api.planning import Planning
from haven_crisis.directory import channel_id
from haven_crisis.domain.rotation import watching
from haven_crisis.store import on_call
from haven_kit import etags, times
from haven_kit.call import Call
from haven_kit.cipher import CannotOpen
from haven_kit.errors import Invalid, NotFound
from haven_kit.paging import Page


class OnCallApi:
    """Answers OnCallService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cipher = desk.parts.cipher
        self._planning = Planning(desk)

    async def put_responder(self, call: Call, request: pb.PutResponderRequest) -> pb.Responder:
        own_or_office(call, request.responder_id)
        responder = pb.Responder(
            responder_id=request.responder_id, name=request.name, channels=request.channels, rules=request.rules
        )
        if request.HasField("drill_quiet_hours"):
            times.zone("drill_quiet_hours.time_zone", request.drill_quiet_hours.time_zone)
            responder.drill_quiet_hours.CopyFrom(request.drill_quiet_hours)
        for place, rule in enumerate(request.rules):
            if rule.channel >= len(request.channels):
                raise Invalid(f"rules[{place}].channel", "known_channel", "There is no channel at this place.")
        _keep(responder, await self._held(call, request.responder_id))
        version = await self._planning.responder(call.tx, responder, request.etag, "saved")
        return shown_responder(responder, version)

    async def _held(self, call: Call, responder_id: str) -> pb.Responder:
        """The responder as saved last; an empty one where there is none, or it cannot be read any more."""
        with suppress(NotFound, CannotOpen):
            row = await on_call.get(call.tx, "responder", responder_id)
            return self._cipher.open(pb.Responder, row["body"], f"responder/{responder_id}")
        return pb.Responder()

    async def get_responder(self, call: Call, request: pb.GetResponderRequest) -> pb.Responder:
        own_or_office(call, request.responder_id)
        row = await on_call.get(call.tx, "responder", request.responder_id)
        return self._responder(row["key"], row["version"], row["body"])

    async def list_responders(self, call: Call, request: pb.ListRespondersRequest) -> pb.ListRespondersResponse:
        page = Page.of(request)
        rows = await on_call.listed(call.tx, "responder", _after(page), page.size + 1)
        cut, token = page.cut(rows, lambda row: [row["key"]])
        shown = [self._responder(row["key"], row["version"], row["body"]) for row in cut]
        return pb.ListRespondersResponse(responders=shown, next_page_token=token)

    async def put_rotation(self, call: Call, request: pb.PutRotationRequest) -> pb.Rotation:
        rotation, etag = request.rotation, request.rotation.etag
        rotation.rotation_id = request.rotation_id
        rotation.etag = etags.of(await self._planning.rotation(call.tx, rotation, etag, "saved"))
        return rotation

    async def get_rotation(self, call: Call, request: pb.GetRotationRequest) -> pb.Rotation:
        row = await on_call.get(call.tx, "rotation", request.rotation_id)
        return _rotation(row["version"], row["body"])

    async def list_rotations(self, call: Call, request: pb.ListRotationsRequest) -> pb.ListRotationsResponse:
        page = Page.of(request)
        rows = await on_call.listed(call.tx, "rotation", _after(page), page.size + 1)
        cut, token = page.cut(rows, lambda row: [row["key"]])
        shown = [_rotation(row["version"], row["body"]) for row in cut]
        return pb.ListRotationsResponse(rotations=shown, next_page_token=token)

    async def put_policy(self, call: Call, request: pb.PutPolicyRequest) -> pb.Policy:
        policy, etag = request.policy, request.policy.etag
        policy.policy_id = request.policy_id
        policy.etag = etags.of(await self._planning.policy(call.tx, policy, etag, "saved"))
        return policy

    async def get_policy(self, call: Call, request: pb.GetPolicyRequest) -> pb.Policy:
        row = await on_call.get(call.tx, "policy", request.policy_id)
        book = await self._desk.book(call.tx)
        return _policy(row["version"], row["body"], book.default_policy_id)

    async def list_policies(self, call: Call, request: pb.ListPoliciesRequest) -> pb.ListPoliciesResponse:
        page = Page.of(request)
        book = await self._desk.book(call.tx)
        rows = await on_call.listed(call.tx, "policy", _after(page), page.size + 1)
        cut, token = page.cut(rows, lambda row: [row["key"]])
        shown = [_policy(row["version"], row["body"], book.default_policy_id) for row in cut]
        return pb.ListPoliciesResponse(policies=shown, next_page_token=token)

    async def get_on_call(self, call: Call, request: pb.GetOnCallRequest) -> pb.GetOnCallResponse:
        at = request.at.ToDatetime(UTC) if request.HasField("at") else call.now
        book = await self._desk.book(call.tx)
        problems = await asyncio.to_thread(self._desk.directory.problems, call.now)
        response = pb.GetOnCallResponse(problems=problems)
        for key, rotation in book.rotations.items():
            duty = book.duty(key, at)
            if duty is None:
                continue
            shown = response.duties.add(
                rotation_id=key,
                rotation_name=rotation.name,
                responder_id=duty.responder_id,
                responder_name=book.names.get(duty.responder_id, ""),
                layer=duty.layer,
                shadow_ids=watching(rotation, at),
            )
            shown.until.FromDatetime(duty.until)
        return response

    def _responder(self, responder_id: str, version: int, sealed: bytes) -> pb.Responder:
        return shown_responder(self._cipher.open(pb.Responder, sealed, f"responder/{responder_id}"), version)


def own_or_office(call: Call, responder_id: str) -> None:
    """Raises NotFound unless the responder is the caller, or the caller of the administration."""
    if call.principal.id != responder_id and not call.principal.has(options.ROLE_ADMINISTRATOR):
        raise NotFound("responder")


_SECRETS = {
    "webhook": ("secret",),
    "pager_duty": ("routing_key",),
    "web_push": ("p256dh", "auth"),
    "apprise": ("url",),
}
"""What of a channel is never shown again."""


def _keep(given: pb.Responder, held: pb.Responder) -> None:
    """A secret that is not given is the one held; a channel whose address stays as it was is still verified."""
    for each in given.channels:
        each.ClearField("verified_at")
        before = _same(given.responder_id, each, held)
        if before is None:
            continue
        kind = str(each.WhichOneof("kind"))
        for field in _SECRETS.get(kind, ()):
            part = getattr(each, kind)
            setattr(part, field, getattr(part, field) or getattr(getattr(before, kind), field))
        if before.HasField("verified_at") and channel_id(given.responder_id, each) == before.channel_id:
            each.verified_at.CopyFrom(before.verified_at)


def _same(responder_id: str, given: pb.Channel, held: pb.Responder) -> pb.Channel | None:
    """The held channel that a given one stands for: by its address, or where that is a secret by its id."""
    address = channel_id(responder_id, given)
    for each in held.channels:
        if each.WhichOneof("kind") == given.WhichOneof("kind") and (
            channel_id(responder_id, each) == address or (given.channel_id and each.channel_id == given.channel_id)
        ):
            return each
    return None


def shown_responder(responder: pb.Responder, version: int) -> pb.Responder:
    """A responder without secrets."""
    shown = pb.Responder()
    shown.CopyFrom(responder)
    shown.etag = etags.of(version)
    for each in shown.channels:
        kind = str(each.WhichOneof("kind"))
        for field in _SECRETS.get(kind, ()):
            getattr(each, kind).ClearField(field)
    return shown


def _rotation(version: int, body: bytes) -> pb.Rotation:
    shown = pb.Rotation.FromString(body)
    shown.etag = etags.of(version)
    return shown


def _policy(version: int, body: bytes, default_id: str) -> pb.Policy:
    shown = pb.Policy.FromString(body)
    shown.etag = etags.of(version)
    shown.is_default = shown.policy_id == default_id
    return shown


def _after(page: Page) -> str:
    return page.after[0] if page.after else ""
