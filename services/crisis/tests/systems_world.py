"""Systems that are registered and post signals."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import datetime
from typing import Any

import aiohttp
from haven.crisis.v1 import integration_service_pb2 as pb
from haven.crisis.v1.integration_service_pb2_grpc import IntegrationServiceStub

from haven_kit import ids

from .world import World


def signed(body: bytes, *secrets: str, message_id: str = "msg_1", at: datetime) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    macs = [
        base64.b64encode(
            hmac.digest(
                base64.b64decode(each.removeprefix("whsec_")), f"{message_id}.{stamp}.".encode() + body, "sha256"
            )
        ).decode()
        for each in secrets
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{each}" for each in macs),
    }


class System:
    """A registered system that posts."""

    def __init__(self, world: World, http: aiohttp.ClientSession, made: pb.SystemSecret) -> None:
        self._world, self._http = world, http
        self.system_id, self.secret, self.etag = made.system.system_id, made.secret, made.system.etag
        edge = world.crisis.process.edge
        assert edge is not None
        self.url = f"http://127.0.0.1:{edge.port}/inbound/v1/"

    async def post(self, data: Any, *, secret: str = "", message_id: str = "", **options: Any) -> tuple[int, Any]:
        body = data if isinstance(data, bytes) else json.dumps({"type": "signal.raised", "data": data}).encode()
        headers = signed(
            body, secret or self.secret, message_id=message_id or ids.new_id(), at=self._world.clock.now()
        ) | options.get("headers", {})
        url = self.url + options.get("path", self.system_id)
        async with self._http.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def shown(self) -> pb.IntegratedSystem:
        loops = {each.name: each for each in self._world.crisis.process.service.workers}
        await loops["systems"].step()
        listed = await admin(self._world).ListSystems(pb.ListSystemsRequest(page_size=200))
        return next(each for each in listed.systems if each.system_id == self.system_id)


def admin(world: World) -> Any:
    return world.staff("admin", "administrator").stub(IntegrationServiceStub)
