"""Claims: ready charges put on a claim, scrubbed, written as X12 and submitted."""

from typing import Any

from haven.billing.v1 import claims_pb2 as pb
from haven.billing.v1 import coverage_pb2
from haven.billing.v1.events_pb2 import ClaimSubmitted
from haven.intake.v1 import people_pb2, people_service_pb2
from haven.intake.v1.people_service_pb2_grpc import PeopleServiceStub
from sqlalchemy import Row

from haven_billing import claiming, policy
from haven_billing.api.base import Base, money, period, refuse
from haven_billing.domain import scrub
from haven_billing.domain.rules import RuleBroken
from haven_billing.domain.x12 import claim_837i as x12
from haven_billing.domain.x12.segments import Envelope
from haven_billing.facts import Facts
from haven_billing.settings import BillingSettings
from haven_billing.store import charges, claims, coverages
from haven_billing.store import ledger as books
from haven_kit import etags, relations, words
from haven_kit.call import Call
from haven_kit.errors import Refused
from haven_kit.ids import new_id
from haven_kit.paging import Page
from haven_kit.service import Parts

INTAKE_SECONDS = 3.0


class ClaimApi(Base):
    """Claims and their documents."""

    def __init__(self, parts: Parts[BillingSettings], facts: Facts, provider: x12.Provider) -> None:
        super().__init__(parts, facts)
        self.provider = provider
        self._people: PeopleServiceStub | None = None

    async def build_claim(self, call: Call, request: pb.BuildClaimRequest) -> pb.Claim:
        """Puts ready charges on a claim."""
        await policy.may_see(call, request.person_id, "person")
        first, last = period("from", getattr(request, "from"), "to", request.to)
        profile = await self._profile(request.person_id)
        await books.lock_person(call.tx, request.person_id)
        rows = await charges.ready(call.tx, request.person_id, first, last)
        if request.coverage_id:
            rows = [row for row in rows if row.coverage_id == request.coverage_id.lower()]
        if not rows:
            raise Refused("nothing_to_bill", "No day in this period is ready to be billed.")
        if len({row.coverage_id for row in rows}) > 1:
            raise Refused("several_coverages", "Days in this period belong to several coverages; name one.")
        material = await self._material(call, profile, rows)
        control_number = await claims.next_control_number(call.tx)
        frequency = x12.frequency(
            interim=material.payer.interim_bills,
            first=not await claims.earlier(call.tx, material.coverage_row.coverage_id),
            discharged=bool(profile.discharged_on),
        )
        # Written once now, so that what X12 cannot carry is found before the claim exists.
        self._document(call, material, control_number, frequency, interchange=1)
        claim_id = new_id()
        await claims.add(
            call.tx,
            [row.charge_id for row in rows],
            claim_id=claim_id,
            person_id=rows[0].person_id,
            coverage_id=material.coverage_row.coverage_id,
            payer_id=material.payer.payer_id,
            state=claims.BUILT,
            from_day=rows[0].service_date,
            to_day=rows[-1].service_date,
            type_of_bill=material.payer.bill_facility + frequency,
            total=sum(row.amount for row in rows),
            currency=material.payer.currency,
            control_number=control_number,
            sealed=self.parts.cipher.seal(profile, context=f"claim/{claim_id}"),
        )
        return await self._claim(call, await claims.claim(call.tx, claim_id))

    async def submit_claim(self, call: Call, request: pb.SubmitClaimRequest) -> pb.Claim:
        """Writes the claim as X12 and hands it on."""
        row = await self._built(call, request.claim_id, request.etag)
        rows = await charges.on_claim(call.tx, row.claim_id)
        material = await self._material(call, self._sealed_profile(row), rows)
        interchange = await claims.next_interchange_number(call.tx)
        text = self._document(call, material, row.control_number, row.type_of_bill[-1], interchange=interchange)
        document = pb.ClaimDocument(claim_id=row.claim_id, x12_837=text)
        await claims.change(
            call.tx,
            row.claim_id,
            state=claims.SUBMITTED,
            submitted_at=call.now,
            sealed_document=self.parts.cipher.seal(document, context=f"claim-document/{row.claim_id}"),
        )
        event = ClaimSubmitted(claim_id=row.claim_id, person_id=row.person_id)
        event.submitted_at.FromDatetime(call.now)
        call.tx.emit(event, key=row.claim_id)
        return await self._claim(call, await claims.claim(call.tx, row.claim_id))

    async def discard_claim(self, call: Call, request: pb.DiscardClaimRequest) -> pb.Claim:
        """Discards a claim that did not go out."""
        row = await self._built(call, request.claim_id, request.etag)
        message = await self._claim(call, row)
        await claims.release_charges(call.tx, row.claim_id)
        await claims.change(call.tx, row.claim_id, state=claims.DISCARDED)
        message.state, message.etag = pb.CLAIM_STATE_DISCARDED, etags.of(row.version + 1)
        return message

    async def get_claim(self, call: Call, request: pb.GetClaimRequest) -> pb.Claim:
        """One claim."""
        return await self._claim(call, await self._visible_claim(call, request.claim_id))

    async def list_claims(self, call: Call, request: pb.ListClaimsRequest) -> pb.ListClaimsResponse:
        """A person's claims."""
        await policy.may_see(call, request.person_id, "person")
        page = Page.of(request)
        state = words.word(pb.ClaimState, request.state) if request.state else None
        rows = await claims.page(call.tx, request.person_id, page, state)
        shown, token = page.cut(rows, lambda row: [row.claim_id])
        return pb.ListClaimsResponse(
            claims=[await self._claim(call, row) for row in shown],
            next_page_token=token,
        )

    async def get_claim_document(self, call: Call, request: pb.GetClaimDocumentRequest) -> pb.ClaimDocument:
        """The X12 text of a submitted claim."""
        row = await self._visible_claim(call, request.claim_id)
        if row.sealed_document is None:
            raise Refused("not_submitted", "The claim was not submitted.")
        context = f"claim-document/{row.claim_id}"
        return self.parts.cipher.open(pb.ClaimDocument, row.sealed_document, context=context)

    async def _profile(self, person_id: str) -> people_pb2.BillingProfile:
        if self._people is None:
            self._people = self.parts.client("intake", PeopleServiceStub)
        request = people_service_pb2.GetBillingProfileRequest(person_id=person_id)
        return await self._people.GetBillingProfile(request, timeout=INTAKE_SECONDS)

    def _sealed_profile(self, row: Row[Any]) -> people_pb2.BillingProfile:
        return self.parts.cipher.open(people_pb2.BillingProfile, row.sealed, context=f"claim/{row.claim_id}")

    async def _material(
        self, call: Call, profile: people_pb2.BillingProfile, rows: list[Row[Any]]
    ) -> claiming.Material:
        """Gathers and scrubs. Raises Refused naming everything that the payer would refuse."""
        coverage_row = await coverages.coverage(call.tx, rows[0].coverage_id)
        payer = self.payer(coverage_row.payer_id)
        used = {row.authorization_id for row in rows if row.authorization_id is not None}
        authorizations = {each: await coverages.authorization(call.tx, each) for each in sorted(used)}
        material = claiming.Material(
            profile=profile,
            payer=payer,
            coverage_row=coverage_row,
            coverage=self.open_coverage(coverage_row.coverage_id, coverage_row.sealed),
            charges=rows,
            authorizations=authorizations,
            authorization_numbers={each: self._payer_number(row) for each, row in authorizations.items()},
            consents=frozenset(each["kind"] for each in await relations.consents(call.tx, rows[0].person_id)),
        )
        if problems := scrub.problems(claiming.facts(material, call.now.date())):
            refuse(problems)
        return material

    def _payer_number(self, row: Row[Any]) -> str:
        context = f"authorization/{row.authorization_id}"
        return self.parts.cipher.open(coverage_pb2.Authorization, row.sealed, context=context).payer_number

    def _document(
        self, call: Call, material: claiming.Material, control_number: str, frequency: str, *, interchange: int
    ) -> str:
        envelope = Envelope(
            sender_id=self.provider.submitter_id,
            receiver_id=material.payer.x12_id,
            control_number=interchange,
            written_at=call.now,
            production=self.parts.settings.x12_production,
        )
        claim = claiming.claim(material, control_number, frequency)
        try:
            return x12.document(envelope, claiming.attending(self.provider, material.profile), claim)
        except RuleBroken as error:
            refuse(error.problems)

    async def _visible_claim(self, call: Call, claim_id: str, *, lock: bool = False) -> Row[Any]:
        row = await claims.claim(call.tx, claim_id, lock=lock)
        await policy.may_see(call, row.person_id, "claim")
        call.about(row.person_id)
        return row

    async def _built(self, call: Call, claim_id: str, etag: str) -> Row[Any]:
        row = await self._visible_claim(call, claim_id, lock=True)
        etags.check(etag, row.version)
        if row.state != claims.BUILT:
            raise Refused("not_built", "Only a claim that was built and not yet submitted or discarded allows this.")
        return row

    async def _claim(self, call: Call, row: Row[Any]) -> pb.Claim:
        message = pb.Claim(
            claim_id=row.claim_id,
            person_id=row.person_id,
            coverage_id=row.coverage_id,
            payer_id=row.payer_id,
            state=words.number(pb.ClaimState, row.state),
            to=row.to_day.isoformat(),
            type_of_bill=row.type_of_bill,
            total=money(row.total, row.currency),
            diagnoses=self._sealed_profile(row).diagnoses,
            patient_control_number=row.control_number,
            paid=money(row.paid, row.currency),
            adjusted=money(row.adjusted, row.currency),
            person_owes=money(row.person_owes, row.currency),
            etag=etags.of(row.version),
        )
        setattr(message, "from", row.from_day.isoformat())
        if row.submitted_at is not None:
            message.submitted_at.FromDatetime(row.submitted_at)
        for number, charge in enumerate(await charges.on_claim(call.tx, row.claim_id), start=1):
            message.lines.append(_line(number, charge))
        return message


def _line(number: int, charge: Row[Any]) -> pb.ClaimLine:
    return pb.ClaimLine(
        number=number,
        charge_id=charge.charge_id,
        service_date=charge.service_date.isoformat(),
        revenue_code=charge.revenue_code,
        hcpcs=charge.hcpcs,
        units=1,
        amount=money(charge.amount, charge.currency),
    )
