"""Remittances: what payers say they paid, read and posted once."""

import hashlib
from typing import Any

from haven.billing.v1 import remittances_pb2 as pb
from sqlalchemy import Row

from haven_billing import posting
from haven_billing.api.base import Base, invalid
from haven_billing.domain.rules import RuleBroken
from haven_billing.domain.x12 import remittance_835
from haven_billing.store import claims, remittances
from haven_kit.call import Call
from haven_kit.errors import Conflict
from haven_kit.ids import new_id
from haven_kit.paging import Page


class RemittanceApi(Base):
    """Reading, and looking at what was read."""

    async def read_remittance(self, call: Call, request: pb.ReadRemittanceRequest) -> pb.Remittance:
        """Reads an 835 and posts it."""
        try:
            read = remittance_835.parse(request.x12_835)
        except RuleBroken as error:
            invalid("x12_835", error.problems)
        content_hash = hashlib.sha256("".join(request.x12_835.split()).encode()).digest()
        known = await remittances.by_trace(call.tx, read.payer_identifier, read.trace_number)
        if known is not None:
            if known.content_hash != content_hash:
                raise Conflict("trace_reused", "Another remittance of this payer has the same trace number.")
            return await self._shown(call, known)
        message = await posting.post(call.tx, self.facts, new_id(), read)
        await remittances.add(
            call.tx,
            remittance_id=message.remittance_id,
            payer_identifier=message.payer_identifier,
            trace_number=message.trace_number,
            content_hash=content_hash,
            unmatched=message.unmatched,
            read_at=call.now,
            sealed=self.parts.cipher.seal(message, context=f"remittance/{message.remittance_id}"),
        )
        await self._about(call, [message])
        return message

    async def get_remittance(self, call: Call, request: pb.GetRemittanceRequest) -> pb.Remittance:
        """One remittance."""
        return await self._shown(call, await remittances.remittance(call.tx, request.remittance_id))

    async def list_remittances(self, call: Call, request: pb.ListRemittancesRequest) -> pb.ListRemittancesResponse:
        """Remittances that were read."""
        page = Page.of(request)
        rows = await remittances.page(call.tx, page, unmatched_only=request.unmatched_only)
        shown, token = page.cut(rows, lambda row: [row.remittance_id])
        messages = [self._open(row) for row in shown]
        await self._about(call, messages)
        return pb.ListRemittancesResponse(
            remittances=messages,
            next_page_token=token,
        )

    async def _shown(self, call: Call, row: Row[Any]) -> pb.Remittance:
        message = self._open(row)
        await self._about(call, [message])
        return message

    def _open(self, row: Row[Any]) -> pb.Remittance:
        return self.parts.cipher.open(pb.Remittance, row.sealed, context=f"remittance/{row.remittance_id}")

    async def _about(self, call: Call, messages: list[pb.Remittance]) -> None:
        matched = [each.claim_id for message in messages for each in message.claim_payments if each.claim_id]
        call.about(*(await claims.person_ids(call.tx, matched) if matched else ()))
