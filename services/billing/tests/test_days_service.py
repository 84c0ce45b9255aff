"""From coverage and attendance to charges, on real PostgreSQL and NATS."""

import asyncio

import pytest
from haven.billing.v1 import claims_pb2 as pb
from haven.billing.v1 import coverage_pb2, events_pb2, payers_pb2
from haven.intake.v1 import events_pb2 as intake_events

from haven_kit.errors import Conflict, Denied, Invalid, NotFound, Refused, Stale
from haven_kit.ids import new_id
from haven_kit.testing import eventually

PPO = "01970000-0000-7000-8000-000000000001"
HMO = "01970000-0000-7000-8000-000000000002"
MONDAY, TUESDAY = "2026-03-02", "2026-03-03"


async def test_the_directory_of_payers(office, billing):
    caller = office.calls_as(billing.as_role("participant", person_id=new_id()))
    everyone = await caller.ListPayers(payers_pb2.ListPayersRequest())
    assert [payer.name for payer in everyone.payers] == sorted(payer.name for payer in everyone.payers)
    first = await caller.ListPayers(payers_pb2.ListPayersRequest(page_size=3))
    rest = await caller.ListPayers(payers_pb2.ListPayersRequest(page_size=3, page_token=first.next_page_token))
    assert [*first.payers, *rest.payers] == list(everyone.payers)
    assert not rest.next_page_token
    hmo = await caller.ListPayers(payers_pb2.ListPayersRequest(plan_kind=payers_pb2.PLAN_KIND_HMO))
    assert [payer.payer_id for payer in hmo.payers] == [HMO]
    retreat = await caller.ListPayers(
        payers_pb2.ListPayersRequest(
            covers=payers_pb2.SERVICE_LINE_RETREAT_ACCOMMODATION, network=payers_pb2.NETWORK_OUT
        )
    )
    assert [payer.name for payer in retreat.payers] == ["Example Employer Plan"]
    one = await caller.GetPayer(payers_pb2.GetPayerRequest(payer_id=PPO))
    assert {each.hcpcs for each in one.per_diems} == {"S9480", "H0015"}
    assert len(one.benefits) == 8
    with pytest.raises(NotFound):
        await caller.GetPayer(payers_pb2.GetPayerRequest(payer_id=new_id()))


async def test_coverage_is_verified_then_ended(office, billing):
    person = await office.newcomer()
    coverage = await office.insure(person, verify=False)
    assert coverage.state == coverage_pb2.COVERAGE_STATE_RECORDED
    with pytest.raises(Conflict) as again:
        await office.insure(person, verify=False)
    assert again.value.reason == "already_covered"
    verified = await office.verify(coverage.coverage_id, etag=coverage.etag)
    assert verified.state == coverage_pb2.COVERAGE_STATE_VERIFIED
    assert verified.cost_share.copay_per_day.minor_units == 3000
    assert verified.member_id == "MEM 123"
    with pytest.raises(Stale):
        await office.verify(coverage.coverage_id, etag=coverage.etag)
    told = [event for event in await billing.told(events_pb2.CoverageVerified) if event.person_id == person]
    assert [(event.coverage_id, event.payer_id) for event in told] == [(coverage.coverage_id, PPO)]
    ended = await office.api.EndCoverage(
        coverage_pb2.EndCoverageRequest(coverage_id=coverage.coverage_id, active_to="2026-03-31")
    )
    assert (ended.state, ended.active_to) == (coverage_pb2.COVERAGE_STATE_ENDED, "2026-03-31")
    with pytest.raises(Refused):
        await office.verify(coverage.coverage_id)
    listed = await office.api.ListCoverages(coverage_pb2.ListCoveragesRequest(person_id=person))
    assert [each.coverage_id for each in listed.coverages] == [coverage.coverage_id]


async def test_coverage_that_makes_no_sense_is_refused_by_name(office):
    person = await office.newcomer()
    request = coverage_pb2.AddCoverageRequest(
        person_id=person,
        payer_id=PPO,
        member_id="M1",
        relationship=coverage_pb2.RELATIONSHIP_SPOUSE,
        active_from="2026-02-30",
    )

    async def field_refused() -> str:
        with pytest.raises(Invalid) as refused:
            await office.api.AddCoverage(request)
        return refused.value.violations[0].field

    assert await field_refused() == "active_from"
    request.active_from = "2026-02-01"
    assert await field_refused() == "subscriber"
    request.payer_id = new_id()
    assert await field_refused() == "payer_id"
    coverage = await office.insure(person, verify=False)
    with pytest.raises(Invalid) as refused:
        await office.verify(coverage.coverage_id, cost_share=None)
    assert refused.value.violations[0].field == "cost_share"
    other = await office.newcomer()
    with pytest.raises(Invalid) as refused:
        await office.authorize(other, coverage.coverage_id, 3)
    assert refused.value.violations[0].field == "coverage_id"


async def test_a_day_becomes_one_charge_once_the_minutes_suffice(office):
    person = await office.newcomer()
    await office.insure(person, days=10)
    await office.attend(person, MONDAY, 100)
    assert (await office.charges(person))[MONDAY].reason == "below_minimum"
    assert await office.balances(person) == {}
    await office.attend(person, MONDAY, 80)
    charge = (await office.charges(person))[MONDAY]
    assert (charge.state, charge.attended_minutes, charge.amount.minor_units) == (pb.CHARGE_STATE_READY, 180, 45000)
    assert (charge.hcpcs, charge.revenue_code) == ("S9480", "0905")
    await office.attend(person, MONDAY, 30)
    assert (await office.charges(person))[MONDAY].attended_minutes == 210
    assert await office.balances(person) == {"receivable_payer": 45000, "revenue": -45000}


async def test_the_same_attendance_twice_is_one_charge(office, billing):
    person = await office.newcomer()
    coverage = await office.insure(person, days=10)
    recorded = office.attendance(person, MONDAY, 100)
    event_id = await billing.react(recorded, key=person)
    await billing.react(recorded, key=person, event_id=event_id)
    await billing.react(recorded, key=person)
    assert (await office.charges(person))[MONDAY].attended_minutes == 100
    await office.attend(person, MONDAY, 100)
    listed = await office.api.ListAuthorizations(coverage_pb2.ListAuthorizationsRequest(person_id=person))
    assert [(each.days_used, each.days_left) for each in listed.authorizations] == [(1, 9)]
    assert listed.authorizations[0].coverage_id == coverage.coverage_id


async def test_days_wait_for_what_is_missing_and_then_go_on(office):
    person = await office.newcomer()
    await office.attend(person, MONDAY)
    assert (await office.charges(person))[MONDAY].reason == "no_coverage"
    coverage = await office.insure(person, verify=False)
    assert (await office.charges(person))[MONDAY].reason == "coverage_not_verified"
    await office.verify(coverage.coverage_id)
    assert (await office.charges(person))[MONDAY].reason == "no_authorization"
    await office.authorize(person, coverage.coverage_id, 1)
    assert (await office.charges(person))[MONDAY].state == pb.CHARGE_STATE_READY
    await office.attend(person, TUESDAY)
    assert (await office.charges(person))[TUESDAY].reason == "authorization_exhausted"


async def test_the_last_authorized_day_is_used_once(office, billing):
    person = await office.newcomer()
    coverage = await office.insure(person)
    days = [f"2026-03-{day:02d}" for day in range(2, 7)]
    authorization = await office.authorize(person, coverage.coverage_id, 1)
    await asyncio.gather(*(billing.react(office.attendance(person, day), key=day) for day in days))
    found = await office.charges(person)
    assert sorted(charge.reason for charge in found.values()) == ["", *["authorization_exhausted"] * 4]
    now = await office.api.GetAuthorization(
        coverage_pb2.GetAuthorizationRequest(authorization_id=authorization.authorization_id)
    )
    assert (now.days_used, now.days_left) == (1, 0)


async def test_the_database_itself_refuses_a_day_beyond_the_authorized(office, billing, database):
    import asyncpg

    from haven_kit.identity import system

    person = await office.newcomer()
    await office.insure(person, days=1)
    own = await database("billing")
    with pytest.raises(asyncpg.CheckViolationError):
        async with own.transaction(system("test")) as tx:
            await tx.fetch("UPDATE payer_authorization SET days_used = 2 WHERE person_id = $1", person)


async def test_the_warning_that_an_authorization_runs_out_comes_once(office, billing):
    person = await office.newcomer()
    await office.insure(person, days=4)

    async def warnings():
        return [e.days_left for e in await billing.told(events_pb2.AuthorizationRunningOut) if e.person_id == person]

    await office.attend(person, MONDAY)
    await eventually(warnings)
    await office.attend(person, TUESDAY)
    await office.attend(person, "2026-03-04")
    other = await office.newcomer()
    await office.insure(other, days=1)
    await office.attend(other, MONDAY)

    async def others():
        return [e for e in await billing.told(events_pb2.AuthorizationRunningOut) if e.person_id == other]

    await eventually(others)
    assert await warnings() == [3]


async def test_a_week_has_no_more_days_than_the_payer_pays(office):
    person = await office.newcomer()
    await office.insure(person, payer=HMO, days=10)
    for day in range(2, 6):
        await office.attend(person, f"2026-03-{day:02d}")
    found = await office.charges(person)
    assert [found[f"2026-03-{day:02d}"].reason for day in range(2, 6)] == ["", "", "", "weekly_limit"]
    await office.attend(person, "2026-03-09")
    assert (await office.charges(person))["2026-03-09"].state == pb.CHARGE_STATE_READY


async def test_a_voided_charge_gives_everything_back(office):
    person = await office.newcomer()
    await office.insure(person, days=1)
    await office.attend(person, MONDAY)
    await office.attend(person, TUESDAY)
    charge = (await office.charges(person))[MONDAY]
    voided = await office.api.VoidCharge(
        pb.VoidChargeRequest(charge_id=charge.charge_id, reason=pb.VOID_REASON_ENTERED_IN_ERROR, etag=charge.etag)
    )
    assert (voided.state, voided.reason, voided.amount.minor_units) == (pb.CHARGE_STATE_VOIDED, "entered_in_error", 0)
    # The day given back goes to the day that waited.
    assert (await office.charges(person))[TUESDAY].state == pb.CHARGE_STATE_READY
    assert (await office.balances(person))["receivable_payer"] == 45000
    with pytest.raises(Refused) as again:
        await office.api.VoidCharge(
            pb.VoidChargeRequest(charge_id=charge.charge_id, reason=pb.VOID_REASON_ENTERED_IN_ERROR)
        )
    assert again.value.reason == "already_voided"


async def test_substance_use_days_carry_their_own_codes(office):
    person = await office.newcomer()
    await office.admit(person, track="iop-adult-substance-use")
    await office.insure(person, days=3)
    await office.attend(person, MONDAY)
    charge = (await office.charges(person))[MONDAY]
    assert (charge.hcpcs, charge.revenue_code, charge.amount.minor_units) == ("H0015", "0906", 42000)


async def test_charges_are_paged_and_filtered(office):
    person = await office.newcomer()
    for day in range(2, 7):
        await office.attend(person, f"2026-03-{day:02d}", 10 if day == 4 else 200)
    seen, token = [], ""
    while True:
        listed = await office.api.ListCharges(pb.ListChargesRequest(person_id=person, page_size=2, page_token=token))
        seen += [charge.service_date for charge in listed.charges]
        if not (token := listed.next_page_token):
            break
    assert seen == [f"2026-03-{day:02d}" for day in range(6, 1, -1)]
    held = await office.api.ListCharges(pb.ListChargesRequest(person_id=person, state=pb.CHARGE_STATE_HELD))
    assert len(held.charges) == 5


async def test_who_may_see_what(office, billing):
    person = await office.newcomer()
    coverage = await office.insure(person, days=3)
    await office.attend(person, MONDAY)
    charge = (await office.charges(person))[MONDAY]
    own = office.calls_as(billing.as_role("participant", person_id=person))
    assert (await own.GetCharge(pb.GetChargeRequest(charge_id=charge.charge_id))).amount == charge.amount
    assert (await own.GetCoverage(coverage_pb2.GetCoverageRequest(coverage_id=coverage.coverage_id))).member_id
    stranger = office.calls_as(billing.as_role("participant", "care_coordinator", person_id=new_id()))
    with pytest.raises(NotFound):
        await stranger.GetCharge(pb.GetChargeRequest(charge_id=charge.charge_id))
    with pytest.raises(NotFound):
        await stranger.ListCharges(pb.ListChargesRequest(person_id=person))
    with pytest.raises(Denied):
        await own.ListClaims(pb.ListClaimsRequest(person_id=person))
    therapist = office.calls_as(billing.as_role("individual_therapist"))
    with pytest.raises(Denied):
        await therapist.GetCharge(pb.GetChargeRequest(charge_id=charge.charge_id))


async def test_a_late_admission_does_not_replace_a_newer_plan(office, billing):
    person = await office.newcomer()
    newer = await office.admit(person, track="iop-adult-substance-use")
    older = intake_events.PersonAdmitted(
        person_id=person, admission_id=new_id(), track="iop-adult-trauma", days_per_week=3, hours_per_week=9
    )
    older.admitted_at.FromSeconds(1_700_000_000)
    await billing.react(older, key=person)
    await billing.react(
        intake_events.LevelOfCareChanged(person_id=person, admission_id=newer, days_per_week=4, hours_per_week=12)
    )
    await office.insure(person, days=3)
    await office.attend(person, MONDAY)
    assert (await office.charges(person))[MONDAY].hcpcs == "H0015"
