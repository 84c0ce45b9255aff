"""IntegrationService: which systems may call for help."""

from __future__ import annotations

import base64
import secrets
from dataclasses import replace
from datetime import timedelta

from haven.crisis.v1 import integration_service_pb2 as pb

from haven_crisis.api.desk import Desk
from haven_crisis.store import systems
from haven_crisis.store.systems import System
from haven_kit import etags, ids
from haven_kit.call import Call
from haven_kit.paging import Page


class IntegrationApi:
    """Answers IntegrationService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cipher = desk.parts.cipher

    async def create_system(self, call: Call, request: pb.CreateSystemRequest) -> pb.SystemSecret:
        call.about()
        system = System(ids.new_id(), request.name, _secret(), disabled=False, version=1)
        await self._put(call, system)
        return pb.SystemSecret(system=systems.message(system), secret=system.secret)

    async def list_systems(self, call: Call, request: pb.ListSystemsRequest) -> pb.ListSystemsResponse:
        call.about()
        page = Page.of(request)
        found = await systems.page(call.tx, self._cipher, page.after[0] if page.after else None, page.size + 1)
        shown, token = page.cut(found, lambda each: [each.system_id])
        return pb.ListSystemsResponse(systems=[systems.message(each) for each in shown], next_page_token=token)

    async def update_system(self, call: Call, request: pb.UpdateSystemRequest) -> pb.IntegratedSystem:
        call.about()
        system = await systems.get(call.tx, self._cipher, request.system_id, lock=True)
        etags.check(request.etag, system.version)
        disabled = request.disabled if request.HasField("disabled") else system.disabled
        changed = replace(system, name=request.name or system.name, disabled=disabled, version=system.version + 1)
        await self._put(call, changed)
        return systems.message(changed)

    async def rotate_system_secret(self, call: Call, request: pb.RotateSystemSecretRequest) -> pb.SystemSecret:
        call.about()
        system = await systems.get(call.tx, self._cipher, request.system_id, lock=True)
        kept = request.keep_old_hours > 0
        changed = replace(
            system,
            secret=_secret(),
            old_secret=system.secret if kept else "",
            old_until=call.now + timedelta(hours=request.keep_old_hours) if kept else None,
            version=system.version + 1,
        )
        await self._put(call, changed)
        return pb.SystemSecret(system=systems.message(changed), secret=changed.secret)

    async def link_system_person(self, call: Call, request: pb.LinkSystemPersonRequest) -> pb.LinkSystemPersonResponse:
        call.about(request.person_id)
        await systems.get(call.tx, self._cipher, request.system_id, lock=True)
        external = self._desk.systems.external(request.system_id, request.external_id)
        await systems.link(call.tx, request.system_id, external, request.person_id)
        call.tx.after_commit(self._desk.systems.forget)
        return pb.LinkSystemPersonResponse()

    async def _put(self, call: Call, system: System) -> None:
        await systems.put(call.tx, self._cipher, system)
        call.tx.after_commit(self._desk.systems.forget)


def _secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
