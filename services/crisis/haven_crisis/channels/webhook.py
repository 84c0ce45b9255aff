"""A signed POST to an address, in the manner of Standard Webhooks 1.0."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from google.protobuf.json_format import MessageToJson
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.http import Http
from haven_crisis.channels.outcome import Outcome
from haven_crisis.directory import Channel
from haven_kit import ids, telemetry
from haven_kit.clock import Clock


class Webhook:
    """Pages by webhook. The page's id is the message id, so that a receiver knows one that comes twice."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    async def page(self, channel: Channel, page: PageText) -> Outcome:
        """POST the page as JSON."""
        body = MessageToJson(
            page, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
        )
        return await self._post(channel, page.page_id, body)

    async def code(self, channel: Channel, code: str) -> Outcome:
        """POST `{"code": "123456"}`."""
        return await self._post(channel, ids.new_id(), json.dumps({"code": code}))

    async def _post(self, channel: Channel, message_id: str, body: str) -> Outcome:
        headers = signature(channel.secret, message_id, int(self._clock.now().timestamp()), body)
        telemetry.inject(headers)
        return await self._http.post(channel.address, headers=headers, data=body.encode())


def signature(secret: str, message_id: str, at: int, body: str) -> dict[str, str]:
    """The headers of a webhook, signed as Standard Webhooks 1.0 says: HMAC-SHA256 over `id.timestamp.body`.

    Without a secret nothing is signed.
    """
    headers = {"content-type": "application/json", "webhook-id": message_id, "webhook-timestamp": str(at)}
    if secret:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mac = hmac.new(key, f"{message_id}.{at}.{body}".encode(), hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(mac).decode()}"
    return headers
