"""OnCallService: who is on call, and who is paged when nobody answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC

from haven.crisis.v1 import on_call_service_pb2 as pb
from haven.options.v1 import options_pb2 as options

from haven_crisis import directory
from haven_crisis.api.desk import Desk
from haven_crisis.domain import escalation, rotation
from haven_crisis.domain.escalation import Book
from haven_crisis.store import on_call
from haven_kit import etags
from haven_kit.call import Call
from haven_kit.cipher import CannotOpen
from haven_kit.errors import NotFound, Refused
from haven_kit.paging import Page


class OnCallApi:
    """Answers OnCallService. Every change is checked against the whole plan, which is locked meanwhile."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cipher = desk.parts.cipher

    async def put_responder(self, call: Call, request: pb.PutResponderRequest) -> pb.Responder:
        _own_or_office(call, request.responder_id)
        version = await self._version(call, "responder", request.responder_id, request.etag)
        responder = pb.Responder(responder_id=request.responder_id, name=request.name, channels=request.channels)
        if version > 1:
            row = await on_call.get(call.tx, "responder", request.responder_id)
            with suppress(CannotOpen):  # one that cannot be read any more is mended by saving it
                _keep_secrets(responder, self._cipher.open(pb.Responder, row["body"], _context(request.responder_id)))
        sealed = self._cipher.seal(responder, _context(request.responder_id))
        await on_call.put(call.tx, "responder", request.responder_id, version, sealed)
        return _shown(responder, version)

    async def get_responder(self, call: Call, request: pb.GetResponderRequest) -> pb.Responder:
        _own_or_office(call, request.responder_id)
        row = await on_call.get(call.tx, "responder", request.responder_id)
        return self._responder(row["key"], row["version"], row["body"])

    async def list_responders(self, call: Call, request: pb.ListRespondersRequest) -> pb.ListRespondersResponse:
        page = Page.of(request)
        rows = await on_call.listed(call.tx, "responder", _after(page), page.size + 1)
        cut, token = page.cut(rows, lambda row: [row["key"]])
        shown = [self._responder(row["key"], row["version"], row["body"]) for row in cut]
        return pb.ListRespondersResponse(responders=shown, next_page_token=token)

    async def put_rotation(self, call: Call, request: pb.PutRotationRequest) -> pb.Rotation:
        kept = request.rotation
        kept.rotation_id = request.rotation_id
        version = await self._version(call, "rotation", request.rotation_id, kept.etag)
        kept.ClearField("etag")
        drafted = directory.rotation_of(kept)
        book = await self._desk.directory.plan(call.tx)
        found = list(rotation.problems(drafted, call.now))
        named = {*drafted.responders, *(each.responder_id for each in drafted.overrides)}
        if not named <= book.reachable:
            found.append("The rotation names somebody who cannot be paged. Save the responder with a channel first.")
        _refuse("rotation_gap", found)
        await on_call.put(call.tx, "rotation", request.rotation_id, version, kept)
        self._refuse_broken_policies(call, replace(book, rotations={**book.rotations, drafted.rotation_id: drafted}))
        kept.etag = etags.of(version)
        return kept

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
        kept = request.policy
        kept.policy_id = request.policy_id
        version = await self._version(call, "policy", request.policy_id, kept.etag)
        kept.ClearField("etag")
        book = await self._desk.directory.plan(call.tx)
        _refuse("unreachable_step", escalation.problems(book, directory.policy_of(kept), call.now))
        if not kept.is_default and book.default_policy_id in ("", request.policy_id):
            raise Refused(
                "no_default_policy", "One policy has to be the default. Make this one the default, or another first."
            )
        await on_call.put(call.tx, "policy", request.policy_id, version, kept)
        await on_call.make_default(call.tx, request.policy_id, kept.is_default)
        kept.etag = etags.of(version)
        return kept

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
        response = pb.GetOnCallResponse(problems=self._desk.directory.problems())
        for row in await on_call.listed(call.tx, "rotation", "", 200):
            drafted = book.rotations.get(row["key"])
            duty = rotation.who_is_on_call(drafted, at) if drafted is not None else None
            if duty is not None:
                shown = response.duties.add(
                    rotation_id=row["key"],
                    rotation_name=pb.Rotation.FromString(row["body"]).name,
                    responder_id=duty.responder_id,
                    responder_name=self._desk.directory.name(duty.responder_id),
                )
                shown.until.FromDatetime(duty.until)
        return response

    async def _version(self, call: Call, table: str, key: str, etag: str) -> int:
        self._desk.directory.renew(call.tx)
        return await on_call.version(call.tx, table, key, etag)

    def _responder(self, responder_id: str, version: int, sealed: bytes) -> pb.Responder:
        return _shown(self._cipher.open(pb.Responder, sealed, _context(responder_id)), version)

    def _refuse_broken_policies(self, call: Call, book: Book) -> None:
        for each in book.policies.values():
            _refuse("unreachable_step", escalation.problems(book, each, call.now))


def _own_or_office(call: Call, responder_id: str) -> None:
    if call.principal.id != responder_id and not call.principal.has(options.ROLE_ADMINISTRATOR):
        raise NotFound("responder")


def _refuse(rule: str, problems: Sequence[str]) -> None:
    if problems:
        raise Refused(rule, " ".join(problems))


def _keep_secrets(given: pb.Responder, held: pb.Responder) -> None:
    """A webhook given without its secret keeps the one held for the same address."""
    secrets = {each.webhook.url: each.webhook.secret for each in held.channels if each.HasField("webhook")}
    for each in given.channels:
        if each.HasField("webhook") and not each.webhook.secret:
            each.webhook.secret = secrets.get(each.webhook.url, "")


def _shown(responder: pb.Responder, version: int) -> pb.Responder:
    shown = pb.Responder()
    shown.CopyFrom(responder)
    shown.etag = etags.of(version)
    for each in shown.channels:
        if each.HasField("webhook"):
            each.webhook.ClearField("secret")
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


def _context(responder_id: str) -> str:
    return f"responder/{responder_id}"


def _after(page: Page) -> str:
    return page.after[0] if page.after else ""
