"""Charges: what became of each day in the program."""

from typing import Any

from haven.billing.v1 import claims_pb2 as pb
from sqlalchemy import Row

from haven_billing import policy, rating
from haven_billing.api.base import Base, money
from haven_billing.domain import ledger
from haven_billing.domain.per_diem import State
from haven_billing.store import charges, coverages
from haven_billing.store import ledger as books
from haven_kit import etags, words
from haven_kit.call import Call
from haven_kit.errors import Refused
from haven_kit.paging import Page


class ChargeApi(Base):
    """Reads of charges, and taking one back."""

    async def get_charge(self, call: Call, request: pb.GetChargeRequest) -> pb.Charge:
        """One charge."""
        return charge_message(await self._visible_charge(call, request.charge_id))

    async def list_charges(self, call: Call, request: pb.ListChargesRequest) -> pb.ListChargesResponse:
        """A person's days."""
        await policy.may_see(call, request.person_id, "person")
        page = Page.of(request)
        state = words.word(pb.ChargeState, request.state) if request.state else None
        rows = await charges.page(call.tx, request.person_id, page, state)
        shown, token = page.cut(rows, lambda row: [row.service_date.isoformat()])
        return pb.ListChargesResponse(
            charges=[charge_message(row) for row in shown],
            next_page_token=token,
        )

    async def void_charge(self, call: Call, request: pb.VoidChargeRequest) -> pb.Charge:
        """Takes a charge back."""
        row = await self._visible_charge(call, request.charge_id)
        await books.lock_person(call.tx, row.person_id)
        row = await charges.charge(call.tx, request.charge_id, lock=True)
        etags.check(request.etag, row.version)
        if row.state == State.CLAIMED.value:
            raise Refused("on_claim", "The charge is on a claim.")
        if row.state == State.VOIDED.value:
            raise Refused("already_voided", "The charge was taken back before.")
        reason = words.word(pb.VoidReason, request.reason)
        if row.authorization_id is not None:
            await coverages.give_day_back(call.tx, row.authorization_id)
        journal = await books.journal_of_charge(call.tx, row.charge_id)
        if journal is not None:
            legs = books.legs_of((await books.legs(call.tx, [journal.journal_id]))[journal.journal_id])
            about = books.About(
                row.person_id,
                ledger.Kind.REVERSAL,
                row.service_date,
                row.currency,
                charge_id=row.charge_id,
                reverses_journal_id=journal.journal_id,
            )
            await books.post(call.tx, about, ledger.reversal(legs))
        await charges.change(
            call.tx, row.charge_id, state=State.VOIDED.value, reason=reason, amount=0, authorization_id=None
        )
        await rating.rate_waiting(call.tx, self.facts, row.person_id)
        return charge_message(await charges.charge(call.tx, row.charge_id))

    async def _visible_charge(self, call: Call, charge_id: str) -> Row[Any]:
        row = await charges.charge(call.tx, charge_id)
        await policy.may_see(call, row.person_id, "charge")
        call.about(row.person_id)
        return row


def charge_message(row: Row[Any]) -> pb.Charge:
    """A charge as the contract has it."""
    return pb.Charge(
        charge_id=row.charge_id,
        person_id=row.person_id,
        service_date=row.service_date.isoformat(),
        attended_minutes=row.attended_minutes,
        state=words.number(pb.ChargeState, row.state),
        reason=row.reason,
        hcpcs=row.hcpcs,
        revenue_code=row.revenue_code,
        amount=money(row.amount, row.currency),
        coverage_id=row.coverage_id or "",
        authorization_id=row.authorization_id or "",
        claim_id=row.claim_id or "",
        etag=etags.of(row.version),
    )
