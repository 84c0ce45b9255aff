"""Coverage: what a person's plan is, whether it is in force, and how many days it has authorized."""

from datetime import date
from typing import Any

from haven.billing.v1 import coverage_pb2 as pb
from haven.billing.v1.events_pb2 import CoverageVerified
from sqlalchemy import Row

from haven_billing import policy, rating
from haven_billing.api.base import Base, amount, period
from haven_billing.store import coverages, ledger
from haven_kit import etags, times, words
from haven_kit.call import Call
from haven_kit.errors import Conflict, Invalid, Refused
from haven_kit.ids import new_id
from haven_kit.paging import Page


class CoverageApi(Base):
    """Coverages and authorizations."""

    async def add_coverage(self, call: Call, request: pb.AddCoverageRequest) -> pb.Coverage:
        """Writes a coverage down."""
        await policy.may_see(call, request.person_id, "person")
        payer_id = request.payer_id.lower()
        if payer_id not in self.facts.payers:
            raise Invalid("payer_id", "known_payer", "This is not one of the payers.")
        active_from = times.day("active_from", request.active_from)
        if request.relationship != pb.RELATIONSHIP_SELF:
            if not request.HasField("subscriber"):
                raise Invalid("subscriber", "required", "This is needed when someone else holds the insurance.")
            times.day("subscriber.birth_date", request.subscriber.birth_date)
        await ledger.lock_person(call.tx, request.person_id)
        if await coverages.open_with(call.tx, request.person_id, payer_id):
            raise Conflict("already_covered", "A coverage with this payer is open; end it first.")
        coverage_id = new_id()
        sealed = pb.Coverage(
            member_id=request.member_id,
            group_number=request.group_number,
            relationship=request.relationship,
            subscriber=request.subscriber if request.HasField("subscriber") else None,
        )
        await coverages.add(
            call.tx,
            coverage_id=coverage_id,
            person_id=request.person_id,
            payer_id=payer_id,
            state=coverages.RECORDED,
            active_from=active_from,
            sealed=self._seal(coverage_id, sealed),
        )
        await rating.rate_waiting(call.tx, self.facts, request.person_id)
        return self._coverage(await coverages.coverage(call.tx, coverage_id))

    async def get_coverage(self, call: Call, request: pb.GetCoverageRequest) -> pb.Coverage:
        """One coverage."""
        return self._coverage(await self._visible(call, request.coverage_id))

    async def list_coverages(self, call: Call, request: pb.ListCoveragesRequest) -> pb.ListCoveragesResponse:
        """A person's coverages."""
        await policy.may_see(call, request.person_id, "person")
        page = Page.of(request)
        rows = await coverages.page(call.tx, request.person_id, page)
        shown, token = page.cut(rows, lambda row: [row.coverage_id])
        return pb.ListCoveragesResponse(
            coverages=[self._coverage(row) for row in shown],
            next_page_token=token,
        )

    async def verify_coverage(self, call: Call, request: pb.VerifyCoverageRequest) -> pb.Coverage:
        """Records the payer's answer about a coverage."""
        row = await self._visible(call, request.coverage_id, lock=True)
        etags.check(request.etag, row.version)
        if row.state == coverages.ENDED:
            raise Refused("coverage_ended", "The coverage was ended; add a new one.")
        sealed = self.open_coverage(row.coverage_id, row.sealed)
        if request.active:
            values = self._active(request, self.payer(row.payer_id).currency)
            sealed.cost_share.CopyFrom(request.cost_share)
        else:
            values = {"state": coverages.INACTIVE}
        row = await coverages.change(
            call.tx,
            row.coverage_id,
            row.version,
            verified_at=call.now,
            sealed=self._seal(row.coverage_id, sealed),
            **values,
        )
        if request.active:
            verified = CoverageVerified(coverage_id=row.coverage_id, person_id=row.person_id, payer_id=row.payer_id)
            call.tx.emit(verified, key=row.coverage_id)
            await rating.rate_waiting(call.tx, self.facts, row.person_id)
        return self._coverage(row)

    async def end_coverage(self, call: Call, request: pb.EndCoverageRequest) -> pb.Coverage:
        """Ends a coverage."""
        row = await self._visible(call, request.coverage_id, lock=True)
        etags.check(request.etag, row.version)
        if row.state == coverages.ENDED:
            raise Refused("coverage_ended", "The coverage was ended before.")
        _, active_to = period("active_from", row.active_from.isoformat(), "active_to", request.active_to)
        row = await coverages.change(call.tx, row.coverage_id, row.version, state=coverages.ENDED, active_to=active_to)
        return self._coverage(row)

    async def add_authorization(self, call: Call, request: pb.AddAuthorizationRequest) -> pb.Authorization:
        """Writes a payer's authorization down."""
        await policy.may_see(call, request.person_id, "person")
        coverage = await self._visible(call, request.coverage_id)
        if coverage.person_id != request.person_id.lower():
            raise Invalid("coverage_id", "same_person", "This is not a coverage of this person.")
        valid_from, valid_to = period("valid_from", request.valid_from, "valid_to", request.valid_to)
        authorization_id = new_id()
        sealed = pb.Authorization(payer_number=request.payer_number)
        await coverages.add_authorization(
            call.tx,
            authorization_id=authorization_id,
            person_id=request.person_id,
            coverage_id=request.coverage_id,
            days=request.days,
            valid_from=valid_from,
            valid_to=valid_to,
            sealed=self.parts.cipher.seal(sealed, context=f"authorization/{authorization_id}"),
        )
        await rating.rate_waiting(call.tx, self.facts, request.person_id)
        return self._authorization(await coverages.authorization(call.tx, authorization_id))

    async def get_authorization(self, call: Call, request: pb.GetAuthorizationRequest) -> pb.Authorization:
        """One authorization."""
        row = await coverages.authorization(call.tx, request.authorization_id)
        await policy.may_see(call, row.person_id, "authorization")
        call.about(row.person_id)
        return self._authorization(row)

    async def list_authorizations(
        self, call: Call, request: pb.ListAuthorizationsRequest
    ) -> pb.ListAuthorizationsResponse:
        """A person's authorizations."""
        await policy.may_see(call, request.person_id, "person")
        page = Page.of(request)
        rows = await coverages.authorization_page(call.tx, request.person_id, page)
        shown, token = page.cut(rows, lambda row: [row.authorization_id])
        return pb.ListAuthorizationsResponse(
            authorizations=[self._authorization(row) for row in shown],
            next_page_token=token,
        )

    async def _visible(self, call: Call, coverage_id: str, *, lock: bool = False) -> Row[Any]:
        row = await coverages.coverage(call.tx, coverage_id, lock=lock)
        await policy.may_see(call, row.person_id, "coverage")
        call.about(row.person_id)
        return row

    def _active(self, request: pb.VerifyCoverageRequest, currency: str) -> dict[str, str | date | None]:
        if not request.active_from:
            raise Invalid("active_from", "required", "This is needed for a coverage in force.")
        if not request.HasField("cost_share"):
            raise Invalid("cost_share", "required", "This is needed for a coverage in force.")
        for name in ("copay_per_day", "deductible_left", "out_of_pocket_left"):
            amount(f"cost_share.{name}", getattr(request.cost_share, name), currency, least=0)
        active_from, active_to = times.day("active_from", request.active_from), None
        if request.active_to:
            _, active_to = period("active_from", request.active_from, "active_to", request.active_to)
        return {"state": coverages.VERIFIED, "active_from": active_from, "active_to": active_to}

    def _seal(self, coverage_id: str, message: pb.Coverage) -> bytes:
        return self.parts.cipher.seal(message, context=f"coverage/{coverage_id}")

    def _coverage(self, row: Row[Any]) -> pb.Coverage:
        message = self.open_coverage(row.coverage_id, row.sealed)
        message.coverage_id = row.coverage_id
        message.person_id = row.person_id
        message.payer_id = row.payer_id
        message.state = words.number(pb.CoverageState, row.state)
        message.active_from = row.active_from.isoformat()
        message.active_to = row.active_to.isoformat() if row.active_to else ""
        message.etag = etags.of(row.version)
        if row.verified_at is not None:
            message.verified_at.FromDatetime(row.verified_at)
        return message

    def _authorization(self, row: Row[Any]) -> pb.Authorization:
        context = f"authorization/{row.authorization_id}"
        message = self.parts.cipher.open(pb.Authorization, row.sealed, context=context)
        message.authorization_id = row.authorization_id
        message.person_id = row.person_id
        message.coverage_id = row.coverage_id
        message.days, message.days_used = row.days, row.days_used
        message.days_left = row.days - row.days_used
        message.valid_from, message.valid_to = row.valid_from.isoformat(), row.valid_to.isoformat()
        return message
