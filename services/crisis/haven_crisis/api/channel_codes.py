"""ChannelService: codes that show that a channel reaches its owner."""

from __future__ import annotations

import secrets
from datetime import timedelta

from haven.crisis.v1 import channel_service_pb2 as pb
from haven.crisis.v1 import on_call_service_pb2 as on_call_pb

from haven_crisis.api.desk import Desk
from haven_crisis.api.on_call import own_or_office, shown_responder
from haven_crisis.api.planning import Planning
from haven_crisis.channels import Channels
from haven_crisis.directory import channel_of
from haven_crisis.store import channel_codes, on_call
from haven_crisis.store.pages import PageState
from haven_kit import etags
from haven_kit.call import Call, own_transactions
from haven_kit.database import Tx
from haven_kit.errors import NotFound, Refused

GOOD_FOR = timedelta(minutes=10)
AGAIN_AFTER = timedelta(seconds=30)
ATTEMPTS = 5


class ChannelApi:
    """Answers ChannelService."""

    def __init__(self, desk: Desk, channels: Channels) -> None:
        self._cipher = desk.parts.cipher
        self._planning = Planning(desk)
        self._channels = channels

    @own_transactions
    async def send_channel_code(self, call: Call, request: pb.SendChannelCodeRequest) -> pb.SendChannelCodeResponse:
        own_or_office(call, request.responder_id)
        code = f"{secrets.randbelow(1_000_000):06d}"
        async with call.transaction() as tx:
            responder, _ = await self._held(tx, request.responder_id)
            channel = _channel(responder, request.channel_id)
            last = await channel_codes.get(tx, request.responder_id, request.channel_id)
            if last is not None and tx.now - last["sent_at"] < AGAIN_AFTER:
                raise Refused("code_just_sent", "A code is on its way. Wait half a minute before you ask for another.")
            await channel_codes.put(tx, request.responder_id, request.channel_id, self._hash(request.channel_id, code))
        outcome = await self._channels.send_code(channel_of(channel), code)
        if outcome.state is PageState.FAILED:
            async with call.transaction() as tx:
                await channel_codes.drop(tx, request.responder_id, request.channel_id)
            raise Refused("channel_failed", f"The code could not be sent: {outcome.reason}. Check the address.")
        return pb.SendChannelCodeResponse(good_for_seconds=int(GOOD_FOR.total_seconds()))

    @own_transactions
    async def verify_channel(self, call: Call, request: pb.VerifyChannelRequest) -> on_call_pb.Responder:
        own_or_office(call, request.responder_id)
        async with call.transaction() as tx:
            # Counted before the code is compared, and kept whatever comes of it.
            tried = await channel_codes.attempt(
                tx, request.responder_id, request.channel_id, tx.now - GOOD_FOR, ATTEMPTS
            )
        if tried is None:
            raise Refused("no_code", "There is no code that is still good. Ask for a new one.")
        if not secrets.compare_digest(tried, self._hash(request.channel_id, request.code)):
            raise Refused("wrong_code", "This is not the code that was sent. Look again, or ask for a new one.")
        async with call.transaction() as tx:
            responder, version = await self._held(tx, request.responder_id)
            _channel(responder, request.channel_id).verified_at.FromDatetime(tx.now)
            version = await self._planning.responder(tx, responder, etags.of(version), "channel verified")
            await channel_codes.drop(tx, request.responder_id, request.channel_id)
            return shown_responder(responder, version)

    async def _held(self, tx: Tx, responder_id: str) -> tuple[on_call_pb.Responder, int]:
        row = await on_call.get(tx, "responder", responder_id)
        return self._cipher.open(on_call_pb.Responder, row["body"], f"responder/{responder_id}"), row["version"]

    def _hash(self, channel_id: str, code: str) -> bytes:
        return self._cipher.blind("channel code", f"{channel_id}/{code}")


def _channel(responder: on_call_pb.Responder, channel_id: str) -> on_call_pb.Channel:
    for each in responder.channels:
        if each.channel_id == channel_id:
            return each
    raise NotFound("channel")
