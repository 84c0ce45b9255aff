"""What several of billing's tests share."""

import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime

import grpc
import pytest
import pytest_asyncio
import pyx12.params
import pyx12.x12n_document
from grpc import aio
from haven.billing.v1 import claims_pb2, coverage_pb2, ledger_pb2
from haven.billing.v1.billing_service_pb2_grpc import BillingServiceStub
from haven.common.v1.money_pb2 import Money
from haven.intake.v1 import events_pb2 as intake_events
from haven.intake.v1 import people_pb2, people_service_pb2
from haven.sessions.v1 import events_pb2 as sessions_events
from hypothesis import settings

from haven_billing.__main__ import SPEC
from haven_billing.domain.x12 import claim_837i as x12
from haven_billing.domain.x12.segments import Envelope
from haven_kit import errors
from haven_kit.clock import FakeClock
from haven_kit.errors import NotFound
from haven_kit.ids import new_id
from haven_kit.tls import Folder

settings.register_profile("billing", deadline=None)  # properties are about what holds, not how fast
settings.load_profile("billing")

PPO = "01970000-0000-7000-8000-000000000001"
HMO = "01970000-0000-7000-8000-000000000002"


@pytest.fixture(scope="session")
def pyx12_findings() -> Callable[[str], list[str]]:
    """Everything that pyx12, an independent validator, has to say against an interchange; empty for an accepted one."""

    def findings(text: str) -> list[str]:
        report = io.StringIO()
        accepted = pyx12.x12n_document.x12n_document(pyx12.params.params(), io.StringIO(text), None, None, None, report)
        found = [error["err_str"] for error in _errors(json.loads(report.getvalue()))]
        return found if found or accepted else ["not accepted"]

    return findings


def _errors(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "errors":
                yield from value
            else:
                yield from _errors(value)
    elif isinstance(node, list):
        for each in node:
            yield from _errors(each)


@pytest.fixture
def address() -> x12.Address:
    return x12.Address("12 Maple Street", "Boston", "MA", "02108-1234")


@pytest.fixture
def person(address) -> Callable[..., x12.Person]:
    def make(family_name="Example", given_name="Robin", **changed) -> x12.Person:
        return x12.Person(family_name, given_name, date(1990, 2, 28), changed.pop("sex", "F"), address)

    return make


@pytest.fixture
def provider() -> x12.Provider:
    return x12.Provider(
        name="Haven Example Program",
        npi="1234567893",
        tax_id="000000000",
        address=x12.Address("1 Example Street", "Boston", "MA", "021080001"),
        contact_name="Billing Office",
        contact_phone="6175550100",
        attending_family_name="Example",
        attending_given_name="Alex",
        attending_npi="1245319599",
        submitter_id="HAVENEX",
    )


@pytest.fixture
def claim(person) -> Callable[..., x12.Claim]:
    def make(**changed) -> x12.Claim:
        patient = changed.pop("patient", person())
        insurance = changed.pop("insurance", None) or x12.Insurance(
            "Example PPO", "EXPPO", "12", "MEM123456", "GRP 9", "", patient
        )
        values = {
            "control_number": "HVN0000000001",
            "bill_facility": "13",
            "bill_frequency": "1",
            "patient_status": "30",
            "patient": patient,
            "insurance": insurance,
            "diagnoses": ("F43.10", "F33.1"),
            "condition_codes": ("92",),
            "authorization_number": "AUTH 77",
            "lines": (
                x12.Line(date(2026, 3, 3), "0905", "S9480", 45000),
                x12.Line(date(2026, 3, 2), "0905", "S9480", 45050),
            ),
        }
        return x12.Claim(**(values | changed))

    return make


@pytest.fixture
def envelope() -> Envelope:
    return Envelope("HAVENEX", "EXPPO", 42, datetime(2026, 3, 4, 12, 30), production=False)  # noqa: DTZ001 - local time


class Intake:
    """Stands at the other end of billing's one call to intake: a gRPC server with intake's certificate and its
    contract."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._server: aio.Server | None = None
        self.port = 0
        self.profiles: dict[str, people_pb2.BillingProfile] = {}

    async def GetBillingProfile(self, request, context):  # noqa: N802 - gRPC names it
        profile = self.profiles.get(request.person_id.lower())
        if profile is None:
            missing = NotFound("person")
            details = errors.to_status(missing).SerializeToString()
            await context.abort(missing.code, missing.message, ((errors.STATUS_DETAILS_KEY, details),))
        return profile

    async def start(self) -> None:
        self._server = aio.server(options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(
            self.GetBillingProfile,
            request_deserializer=people_service_pb2.GetBillingProfileRequest.FromString,
            response_serializer=people_pb2.BillingProfile.SerializeToString,
        )
        handlers = {"GetBillingProfile": handler}
        self._server.add_registered_method_handlers("haven.intake.v1.PeopleService", handlers)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("haven.intake.v1.PeopleService", handlers),)
        )
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", self._folder.server_credentials())
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def intake(haven):
    standing_in = Intake(Folder(haven._shared.authority.issue("intake")))
    await standing_in.start()
    yield standing_in
    await standing_in.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def billing(serve, intake):
    """Billing, running, on a clock that stands at Monday 2026-03-09."""
    clock = FakeClock(datetime(2026, 3, 9, 9, 0, tzinfo=UTC))
    return await serve(SPEC, clock=clock, targets={"intake": f"dns:///127.0.0.1:{intake.port}"})


class Office:
    """A biller at work, and the events that other services tell."""

    def __init__(self, running, intake: Intake) -> None:
        self.running = running
        self.intake = intake
        self.api = self.calls_as(running.as_role("biller"))

    def calls_as(self, caller):
        return caller.stub(BillingServiceStub)

    async def newcomer(self, **profile) -> str:
        """A person whom intake knows, admitted for five days a week."""
        person_id = new_id()
        values = {
            "person_id": person_id,
            "given_name": "Robin",
            "family_name": "Example",
            "birth_date": "1990-02-28",
            "sex": people_pb2.SEX_FEMALE,
            "address": people_pb2.Address(
                lines=["12 Maple Street"], city="Boston", state="MA", postal_code="02108", country="US"
            ),
            "diagnoses": ["F4310"],
        }
        self.intake.profiles[person_id] = people_pb2.BillingProfile(**(values | profile))
        await self.admit(person_id)
        await self.consent(person_id, "billing")
        return person_id

    async def consent(self, person_id: str, kind: str) -> str:
        given = intake_events.ConsentGiven(person_id=person_id, consent_id=new_id(), kind=kind)
        await self.running.react(given, key=person_id)
        return given.consent_id

    async def admit(
        self, person_id: str, track: str = "iop-adult-trauma", days_per_week: int = 5, admission_id: str = ""
    ) -> str:
        admitted = intake_events.PersonAdmitted(
            person_id=person_id,
            admission_id=admission_id or new_id(),
            track=track,
            days_per_week=days_per_week,
            hours_per_week=15,
            time_zone="America/New_York",
        )
        admitted.admitted_at.FromDatetime(datetime(2026, 3, 1, tzinfo=UTC))
        await self.running.react(admitted, key=person_id)
        return admitted.admission_id

    async def insure(
        self, person_id: str, payer: str = PPO, *, verify: bool = True, days: int = 0
    ) -> coverage_pb2.Coverage:
        """Coverage, verified with a copay of 30, with an authorization when `days` says so."""
        coverage = await self.api.AddCoverage(
            coverage_pb2.AddCoverageRequest(
                person_id=person_id,
                payer_id=payer,
                member_id="MEM 123",
                group_number="G1",
                relationship=coverage_pb2.RELATIONSHIP_SELF,
                active_from="2026-01-01",
            )
        )
        if verify:
            coverage = await self.verify(coverage.coverage_id)
        if days:
            await self.authorize(person_id, coverage.coverage_id, days)
        return coverage

    async def verify(self, coverage_id: str, **changed) -> coverage_pb2.Coverage:
        share = coverage_pb2.CostShare(
            copay_per_day=usd(3000), coinsurance_basis_points=0, deductible_left=usd(0), out_of_pocket_left=usd(500_000)
        )
        values = {"active": True, "active_from": "2026-01-01", "cost_share": share}
        return await self.api.VerifyCoverage(
            coverage_pb2.VerifyCoverageRequest(coverage_id=coverage_id, **(values | changed))
        )

    async def authorize(self, person_id: str, coverage_id: str, days: int, **changed) -> coverage_pb2.Authorization:
        values = {"payer_number": "AUTH 77", "valid_from": "2026-03-01", "valid_to": "2026-03-31"}
        return await self.api.AddAuthorization(
            coverage_pb2.AddAuthorizationRequest(
                person_id=person_id, coverage_id=coverage_id, days=days, **(values | changed)
            )
        )

    def attendance(self, person_id: str, day: str, minutes: int = 200) -> sessions_events.AttendanceRecorded:
        recorded = sessions_events.AttendanceRecorded(
            attendance_id=new_id(),
            session_id=new_id(),
            person_id=person_id,
            kind="group",
            attended_minutes=minutes,
            service_date=day,
        )
        recorded.starts_at.FromDatetime(datetime(2026, 3, 2, 14, tzinfo=UTC))
        return recorded

    async def attend(self, person_id: str, day: str, minutes: int = 200) -> None:
        await self.running.react(self.attendance(person_id, day, minutes), key=person_id)

    async def charges(self, person_id: str) -> dict[str, claims_pb2.Charge]:
        listed = await self.api.ListCharges(claims_pb2.ListChargesRequest(person_id=person_id))
        return {charge.service_date: charge for charge in listed.charges}

    async def balances(self, person_id: str) -> dict[str, int]:
        found = await self.api.GetAccount(ledger_pb2.GetAccountRequest(person_id=person_id))
        return {
            ledger_pb2.Account.Name(each.account).removeprefix("ACCOUNT_").lower(): each.amount.minor_units
            for each in found.balances
        }

    async def claimed(self, person_id: str, *days: str) -> tuple[claims_pb2.Claim, str]:
        """A submitted claim for days attended, and its X12."""
        for day in days:
            await self.attend(person_id, day)
        request = claims_pb2.BuildClaimRequest(person_id=person_id, to="2026-03-31")
        setattr(request, "from", "2026-03-01")
        built = await self.api.BuildClaim(request)
        submitted = await self.api.SubmitClaim(claims_pb2.SubmitClaimRequest(claim_id=built.claim_id))
        document = await self.api.GetClaimDocument(claims_pb2.GetClaimDocumentRequest(claim_id=built.claim_id))
        return submitted, document.x12_837


@pytest_asyncio.fixture(loop_scope="session")
async def office(billing, intake) -> Office:
    return Office(billing, intake)


def usd(minor_units: int) -> Money:
    return Money(minor_units=minor_units, currency="USD")
