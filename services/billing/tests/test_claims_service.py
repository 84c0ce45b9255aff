"""Claims and remittances, on real PostgreSQL and NATS, with intake at the other end of its contract."""

import asyncio
import contextlib
from datetime import date

import pytest
from haven.billing.v1 import claims_pb2 as pb
from haven.billing.v1 import coverage_pb2, events_pb2, ledger_pb2, remittances_pb2
from haven.intake.v1 import events_pb2 as intake_events
from haven.intake.v1 import people_pb2

from haven_dev import clearinghouse
from haven_kit.errors import Conflict, Denied, Invalid, Refused, Stale, Unavailable
from haven_kit.identity import system
from haven_kit.testing import eventually

MONDAY, TUESDAY = "2026-03-02", "2026-03-03"
PAID_ON = date(2026, 3, 8)
HMO = "01970000-0000-7000-8000-000000000002"


def build(person_id: str, first: str = "2026-03-01", last: str = "2026-03-31") -> pb.BuildClaimRequest:
    request = pb.BuildClaimRequest(person_id=person_id, to=last)
    setattr(request, "from", first)
    return request


async def refusal(office, person_id: str, **span) -> Refused:
    with pytest.raises(Refused) as refused:
        await office.api.BuildClaim(build(person_id, **span))
    return refused.value


async def read(office, text: str) -> remittances_pb2.Remittance:
    return await office.api.ReadRemittance(remittances_pb2.ReadRemittanceRequest(x12_835=text))


def answered(document: str, trace: str, **facts) -> str:
    return clearinghouse.answer(document, trace_number=trace, paid_on=PAID_ON, **facts)


async def state_of(office, claim: pb.Claim) -> pb.Claim:
    return await office.api.GetClaim(pb.GetClaimRequest(claim_id=claim.claim_id))


async def test_a_claim_is_built_submitted_and_accepted_by_the_validator(office, billing, pyx12_findings):
    person = await office.newcomer(family_name="Núñez*Example", diagnoses=["F4310", "F331"])
    await office.insure(person, days=5)
    claim, document = await office.claimed(person, MONDAY, TUESDAY)
    assert pyx12_findings(document) == []
    assert (claim.state, claim.type_of_bill, claim.total.minor_units) == (pb.CLAIM_STATE_SUBMITTED, "131", 90000)
    assert [(line.service_date, line.hcpcs, line.revenue_code) for line in claim.lines] == [
        (MONDAY, "S9480", "0905"),
        (TUESDAY, "S9480", "0905"),
    ]
    assert list(claim.diagnoses) == ["F4310", "F331"]
    assert "NM1*IL*1*NUNEZ EXAMPLE*ROBIN****MI*MEM 123~" in document
    assert "REF*G1*AUTH 77~" in document
    told = [event for event in await billing.told(events_pb2.ClaimSubmitted) if event.person_id == person]
    assert [event.claim_id for event in told] == [claim.claim_id]
    assert {charge.claim_id for charge in (await office.charges(person)).values()} == {claim.claim_id}


async def test_what_is_sealed_is_not_in_the_tables(office, database):
    person = await office.newcomer(family_name="Canaryname")
    await office.insure(person, days=5)
    await office.claimed(person, MONDAY)
    own = await database("billing")
    async with own.transaction(system("test")) as tx:
        rows = await tx.fetch("SELECT sealed, sealed_document FROM claim WHERE person_id = $1", person)
        coverages = await tx.fetch("SELECT sealed FROM coverage WHERE person_id = $1", person)
    stored = b"".join([rows[0]["sealed"], rows[0]["sealed_document"], coverages[0]["sealed"]]).upper()
    assert stored
    assert not any(word in stored for word in (b"CANARYNAME", b"MEM 123", b"F4310"))


async def test_a_dependent_is_named_beside_the_subscriber(office, pyx12_findings):
    person = await office.newcomer()
    coverage = await office.api.AddCoverage(
        coverage_pb2.AddCoverageRequest(
            person_id=person,
            payer_id="01970000-0000-7000-8000-000000000001",
            member_id="MEM9",
            relationship=coverage_pb2.RELATIONSHIP_SPOUSE,
            subscriber=coverage_pb2.Subscriber(family_name="Holder", given_name="Sam", birth_date="1980-05-05"),
            active_from="2026-01-01",
        )
    )
    await office.verify(coverage.coverage_id)
    await office.authorize(person, coverage.coverage_id, 3)
    _, document = await office.claimed(person, MONDAY)
    assert pyx12_findings(document) == []
    assert "NM1*IL*1*HOLDER*SAM****MI*MEM9~" in document
    assert "PAT*01~" in document


async def test_interim_bills_are_told_apart(office):
    person = await office.newcomer()
    await office.insure(person, payer=HMO, days=9)
    first, _ = await office.claimed(person, MONDAY)
    second, _ = await office.claimed(person, TUESDAY)
    office.intake.profiles[person].discharged_on = "2026-03-08"
    last, document = await office.claimed(person, "2026-03-04")
    assert [claim.type_of_bill for claim in (first, second, last)] == ["132", "133", "134"]
    assert "CL1*3*1*01~" in document


async def test_without_intake_nothing_is_half_done(office, billing, intake):
    person = await office.newcomer()
    await office.insure(person, days=5)
    await office.attend(person, MONDAY)
    before = await office.charges(person)
    await intake.stop()
    with pytest.raises(Unavailable) as down:
        await office.api.BuildClaim(build(person))
    assert "intake" in down.value.message
    assert await office.charges(person) == before
    assert not (await office.api.ListClaims(pb.ListClaimsRequest(person_id=person))).claims
    await intake.start()

    async def built():
        with contextlib.suppress(Unavailable):  # until the connection is there again
            return await office.api.BuildClaim(build(person))

    assert (await eventually(built)).state == pb.CLAIM_STATE_BUILT


async def test_what_the_payer_would_refuse_is_refused_by_name(office, billing):
    person = await office.newcomer(diagnoses=[], birth_date="")
    coverage = await office.insure(person, days=5)
    assert (await refusal(office, person)).reason == "nothing_to_bill"
    await office.attend(person, MONDAY)
    found = await refusal(office, person)
    assert found.reason == "missing_birth_date"
    assert [violation.field for violation in found.violations] == ["person.birth_date", "person.diagnoses"]
    office.intake.profiles[person].birth_date = "1990-02-30"
    assert (await refusal(office, person)).reason == "missing_birth_date"
    office.intake.profiles[person].birth_date = "1990-01-01"
    office.intake.profiles[person].diagnoses.append("F4310")
    office.intake.profiles[person].family_name = "李"
    found = await refusal(office, person)
    assert [(v.field, v.rule) for v in found.violations] == [("person.family_name", "x12_characters")]
    office.intake.profiles[person].family_name = "Li"
    await office.api.EndCoverage(
        coverage_pb2.EndCoverageRequest(coverage_id=coverage.coverage_id, active_to="2026-03-01")
    )
    assert (await refusal(office, person)).reason == "coverage_not_active"
    assert (await office.charges(person))[MONDAY].state == pb.CHARGE_STATE_READY


async def test_a_claim_too_late_is_refused(office):
    person = await office.newcomer()
    coverage = await office.insure(person)
    await office.verify(coverage.coverage_id, active_from="2025-01-01")
    await office.authorize(person, coverage.coverage_id, 5, valid_from="2025-01-01", valid_to="2025-12-31")
    await office.attend(person, "2025-08-01")
    assert (await refusal(office, person, first="2025-01-01")).reason == "timely_filing"


async def test_substance_use_days_need_the_persons_consent(office, billing):
    person = await office.newcomer(diagnoses=["F1020"])
    await office.admit(person, track="iop-adult-substance-use")
    await office.insure(person, days=5)
    await office.attend(person, MONDAY)
    found = await refusal(office, person)
    assert (found.reason, found.violations[0].field) == ("missing_part2_consent", "consent")
    await office.consent(person, "part2_disclosure")
    assert (await office.api.BuildClaim(build(person))).lines[0].hcpcs == "H0015"


async def test_without_consent_nothing_goes_to_the_plan(office, billing):
    person = await office.newcomer()
    await office.insure(person, days=5)
    await office.attend(person, MONDAY)
    claim = await office.api.BuildClaim(build(person))
    async with billing.parts.database.transaction(system("test")) as tx:
        rows = await tx.fetch("SELECT consent_id FROM consent_in_force WHERE person_id = $1", person)
    revoked = intake_events.ConsentRevoked(person_id=person, consent_id=str(rows[0]["consent_id"]), kind="billing")
    await billing.react(revoked, key=person)
    with pytest.raises(Refused) as refused:
        await office.api.SubmitClaim(pb.SubmitClaimRequest(claim_id=claim.claim_id))
    assert refused.value.reason == "missing_billing_consent"


@pytest.mark.parametrize(
    "address",
    [
        people_pb2.Address(lines=["1 Rue"], city="Paris", state="75", postal_code="75001", country="FR"),
        people_pb2.Address(lines=["1 Main"], city="Boston", state="Massachusetts", postal_code="02108"),
        people_pb2.Address(city="Boston", state="MA", postal_code="02108"),
    ],
)
async def test_an_address_that_a_claim_cannot_carry_is_refused(office, address):
    person = await office.newcomer(address=address)
    await office.insure(person, days=5)
    await office.attend(person, MONDAY)
    assert (await refusal(office, person)).violations[0].field == "person.address"


async def test_two_coverages_need_a_choice(office):
    person = await office.newcomer()
    first = await office.insure(person, days=5)
    await office.attend(person, MONDAY)
    await office.api.EndCoverage(coverage_pb2.EndCoverageRequest(coverage_id=first.coverage_id, active_to=MONDAY))
    second = await office.insure(person, payer=HMO, days=5)
    await office.attend(person, TUESDAY)
    assert (await refusal(office, person)).reason == "several_coverages"
    request = build(person)
    request.coverage_id = second.coverage_id
    claim = await office.api.BuildClaim(request)
    assert [line.service_date for line in claim.lines] == [TUESDAY]


async def test_a_discarded_claim_gives_its_charges_back(office):
    person = await office.newcomer()
    await office.insure(person, days=5)
    await office.attend(person, MONDAY)
    claim = await office.api.BuildClaim(build(person))
    charge = (await office.charges(person))[MONDAY]
    with pytest.raises(Refused) as on_claim:
        await office.api.VoidCharge(pb.VoidChargeRequest(charge_id=charge.charge_id, reason=pb.VOID_REASON_DUPLICATE))
    assert on_claim.value.reason == "on_claim"
    with pytest.raises(Stale):
        await office.api.DiscardClaim(pb.DiscardClaimRequest(claim_id=claim.claim_id, etag="v9"))
    discarded = await office.api.DiscardClaim(pb.DiscardClaimRequest(claim_id=claim.claim_id, etag=claim.etag))
    assert discarded.state == pb.CLAIM_STATE_DISCARDED
    again = await office.api.BuildClaim(build(person))
    assert again.patient_control_number != claim.patient_control_number
    with pytest.raises(Refused):
        await office.api.SubmitClaim(pb.SubmitClaimRequest(claim_id=claim.claim_id))


async def test_two_builders_make_one_claim(office):
    person = await office.newcomer()
    await office.insure(person, days=5)
    await office.attend(person, MONDAY)
    made = await asyncio.gather(*(office.api.BuildClaim(build(person)) for _ in range(4)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in made) == ["Claim", "Refused", "Refused", "Refused"]


async def test_a_payment_is_posted_once(office, billing):
    person = await office.newcomer()
    await office.insure(person, days=5)
    claim, document = await office.claimed(person, MONDAY, TUESDAY)
    text = answered(document, f"T-{claim.patient_control_number}", contractual=9000, copay=3000)
    both = await asyncio.gather(read(office, text), read(office, text))
    assert both[0] == both[1] == await read(office, text)
    (payment,) = both[0].claim_payments
    assert payment.claim_id == claim.claim_id
    assert (payment.paid.minor_units, payment.person_owes.minor_units) == (66000, 6000)
    assert {each.label for each in payment.adjustments} == {"Above the contract's price", "Copay"}
    paid = await state_of(office, claim)
    assert (paid.state, paid.paid.minor_units, paid.adjusted.minor_units, paid.person_owes.minor_units) == (
        pb.CLAIM_STATE_PAID,
        66000,
        18000,
        6000,
    )
    assert await office.balances(person) == {
        "receivable_payer": 0,
        "receivable_patient": 6000,
        "revenue": -90000,
        "contractual_adjustment": 18000,
        "cash": 66000,
    }
    told = [event for event in await billing.told(events_pb2.ClaimPaid) if event.claim_id == claim.claim_id]
    assert len(told) == 1
    with pytest.raises(Conflict) as other:
        await read(office, answered(document, both[0].trace_number, contractual=1))
    assert other.value.reason == "trace_reused"


async def test_a_denial_is_posted_and_told(office, billing):
    person = await office.newcomer()
    await office.insure(person, days=5)
    claim, document = await office.claimed(person, MONDAY)
    await read(office, answered(document, f"D-{claim.patient_control_number}", deny="197"))
    assert (await state_of(office, claim)).state == pb.CLAIM_STATE_DENIED
    held = await office.balances(person)
    assert (held["denial"], held["receivable_payer"], held.get("cash", 0)) == (45000, 0, 0)
    assert claim.claim_id in [event.claim_id for event in await billing.told(events_pb2.ClaimDenied)]


async def test_what_a_payer_would_pay_is_listed_and_not_posted(office):
    person = await office.newcomer()
    await office.insure(person, days=5)
    claim, document = await office.claimed(person, MONDAY)
    before = await office.balances(person)
    text = answered(document, f"P-{claim.patient_control_number}", deny="45").replace("*4*450.00*", "*25*450.00*")
    (payment,) = (await read(office, text)).claim_payments
    assert (payment.status_code, payment.claim_id, payment.journal_id) == ("25", claim.claim_id, "")
    assert await office.balances(person) == before
    assert (await state_of(office, claim)).state == pb.CLAIM_STATE_SUBMITTED


async def test_a_reversal_with_its_correction_and_a_withheld_amount(office):
    person = await office.newcomer()
    await office.insure(person, days=5)
    claim, document = await office.claimed(person, MONDAY)
    number = claim.patient_control_number
    await read(office, answered(document, f"R1-{number}", contractual=9000))
    billed = clearinghouse.read_claim(document)
    text = clearinghouse.remittance(
        clearinghouse.Payment(
            f"R2-{number}",
            PAID_ON,
            (
                clearinghouse.Answer(billed, contractual=9000, reverse=True),
                clearinghouse.Answer(billed, contractual=8000, copay=500),
            ),
            adjustments=(("WO", "OLD", 100),),
        )
    )
    remittance = await read(office, text)
    assert [each.amount.minor_units for each in remittance.provider_adjustments] == [100]
    now = await state_of(office, claim)
    assert (now.state, now.paid.minor_units, now.adjusted.minor_units) == (pb.CLAIM_STATE_PAID, 36500, 8000)
    held = await office.balances(person)
    assert (held["receivable_payer"], held["cash"], held["receivable_patient"]) == (0, 36500, 500)


async def test_a_denied_claim_is_decided_again(office, billing):
    person = await office.newcomer()
    await office.insure(person, days=5)
    claim, document = await office.claimed(person, MONDAY)
    number = claim.patient_control_number
    await read(office, answered(document, f"N1-{number}", deny="16"))
    await read(office, answered(document, f"N2-{number}", deny="18"))
    held = await office.balances(person)
    assert (held["denial"], held["receivable_payer"]) == (45000, 0)
    await read(office, answered(document, f"N3-{number}", contractual=9000, copay=3000))
    held = await office.balances(person)
    assert (held["denial"], held["receivable_payer"], held["cash"], held["receivable_patient"]) == (0, 0, 33000, 3000)
    now = await state_of(office, claim)
    assert (now.state, now.paid.minor_units, now.adjusted.minor_units, now.person_owes.minor_units) == (
        pb.CLAIM_STATE_PAID,
        33000,
        9000,
        3000,
    )


async def test_a_second_payment_is_no_answer_to_the_claim(office):
    person = await office.newcomer()
    await office.insure(person, days=5)
    claim, document = await office.claimed(person, MONDAY)
    number = claim.patient_control_number
    await read(office, answered(document, f"S1-{number}", contractual=9000))
    before = await office.balances(person)
    again = await read(office, answered(document, f"S2-{number}", contractual=9000))
    assert (again.unmatched, again.claim_payments[0].claim_id) == (1, claim.claim_id)
    late = await read(office, answered(document, f"S3-{number}", deny="18"))
    assert late.unmatched == 1
    assert await office.balances(person) == before
    assert (await state_of(office, claim)).state == pb.CLAIM_STATE_PAID


async def test_payments_for_nobody_here_are_listed_and_their_money_kept(office, billing):
    person = await office.newcomer()
    await office.insure(person, days=5)
    claim, document = await office.claimed(person, MONDAY)
    foreign = document.replace(claim.patient_control_number, "ELSEWHERE1")

    async def unapplied():
        found = await office.api.GetTrialBalance(ledger_pb2.GetTrialBalanceRequest())
        return {each.account: each.amount.minor_units for each in found.balances}.get(ledger_pb2.ACCOUNT_UNAPPLIED, 0)

    before = await unapplied()
    remittance = await read(office, answered(foreign, f"U-{claim.patient_control_number}", contractual=9000))
    assert (remittance.unmatched, remittance.claim_payments[0].claim_id) == (1, "")
    assert await unapplied() == before - 36000
    listed = await office.api.ListRemittances(remittances_pb2.ListRemittancesRequest(unmatched_only=True))
    assert remittance.remittance_id in [each.remittance_id for each in listed.remittances]
    shown = await office.api.GetRemittance(remittances_pb2.GetRemittanceRequest(remittance_id=remittance.remittance_id))
    assert shown.claim_payments[0].patient_control_number == "ELSEWHERE1"


async def test_a_remittance_that_does_not_balance_changes_nothing(office):
    person = await office.newcomer()
    await office.insure(person, days=5)
    claim, document = await office.claimed(person, MONDAY)
    before = await office.balances(person)
    text = answered(document, "BAD", contractual=9000).replace("BPR*I*360.00", "BPR*I*360.01")
    with pytest.raises(Invalid) as refused:
        await read(office, text)
    assert (refused.value.violations[0].field, refused.value.violations[0].rule) == ("x12_835.BPR02", "balance")
    assert await office.balances(person) == before
    assert (await state_of(office, claim)).state == pb.CLAIM_STATE_SUBMITTED


async def test_claims_and_remittances_are_for_billers(office, billing):
    person = await office.newcomer()
    for roles in (("participant",), ("administrator",), ("individual_therapist",)):
        caller = office.calls_as(billing.as_role(*roles, person_id=person))
        with pytest.raises(Denied):
            await caller.ListClaims(pb.ListClaimsRequest(person_id=person))
        with pytest.raises(Denied):
            await caller.ListRemittances(remittances_pb2.ListRemittancesRequest())
