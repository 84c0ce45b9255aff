"""What billing must be able to do, through the gateway."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from haven_dev.day.actor import Actor
from haven_dev.runner import Platform
from tests.e2e.program import Program, refused

LINES = (
    "GROUP",
    "INDIVIDUAL",
    "COUPLES",
    "MEDICATION_MANAGEMENT",
    "THERAPEUTIC_ACTIVITY",
    "RETREAT_MEALS",
    "RETREAT_ACCOMMODATION",
)
PPO, HMO, EMPLOYER = "Example PPO", "Example HMO", "Example Employer Plan"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    """A program with its staff."""
    return Program.begin(platform, http)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def insured(program: Program) -> dict[str, Actor]:
    """Someone new with each plan, verified, and `""`: someone without insurance."""
    people = {"": await program.referred("Uma")}
    for plan in (PPO, HMO, EMPLOYER):
        people[plan] = await program.referred(plan)
        await _verified(program, people[plan], plan)
    return people


def _dollars(amount: float) -> dict[str, str]:
    return {"currency": "USD", "minorUnits": str(round(amount * 100))}


def _amount(money: Any) -> float:
    return int((money or {}).get("minorUnits", 0)) / 100


async def _payers(actor: Actor, **query: str) -> dict[str, Any]:
    return {each["name"]: each for each in (await actor.get("/v1/payers", page_size=50, **query))["payers"]}


async def _covered(program: Program, someone: Actor, plan: str, **more: Any) -> Any:
    payer = (await _payers(program.biller))[plan]["payerId"]
    return await program.biller.once_possible(
        f"/v1/people/{someone.person_id}/coverages",
        {"payerId": payer, "memberId": "EXP123456789", "relationship": "RELATIONSHIP_SELF", "activeFrom": "2026-01-01"}
        | more,
    )


async def _verified(program: Program, someone: Actor, plan: str, *, active: bool = True) -> Any:
    covered = await _covered(program, someone, plan)
    share = {
        "copayPerDay": _dollars(40),
        "coinsuranceBasisPoints": 1000,
        "deductibleLeft": _dollars(0),
        "outOfPocketLeft": _dollars(10_000),
    }
    return await program.biller.post(
        f"/v1/coverages/{covered['coverageId']}:verify",
        {"active": active, "activeFrom": "2026-01-01", "costShare": share},
    )


async def _estimate(someone: Actor, *items: tuple[str, int], weeks: int = 1, days: int = 5) -> Any:
    listed = [{"line": f"SERVICE_LINE_{line}", "units": units} for line, units in items]
    body = {"weeks": weeks, "daysPerWeek": days, "items": listed}
    return await someone.once_possible(f"/v1/people/{someone.person_id}:estimateCost", body)


async def _line(someone: Actor, line: str, units: int = 2) -> Any:
    found = (await _estimate(someone, (line, units)))["lines"]
    assert [each["line"] for each in found] == ["SERVICE_LINE_PROGRAM_DAY", f"SERVICE_LINE_{line}"]
    return found[1]


async def _benefits(someone: Actor, plan: str) -> dict[str, Any]:
    payer = (await _payers(someone))[plan]["payerId"]
    benefits = (await someone.get(f"/v1/payers/{payer}"))["benefits"]
    assert all(each["plain"] for each in benefits)
    return {each["line"].removeprefix("SERVICE_LINE_"): each["benefit"].removeprefix("BENEFIT_") for each in benefits}


@pytest.mark.capability("BIL-01")
async def test_insurance_is_accepted_once_the_plan_has_answered(program: Program) -> None:
    someone = await program.referred("Ana")
    taken = await _payers(someone, plan_kind="PLAN_KIND_PPO")
    assert {PPO, EMPLOYER} <= set(taken)
    assert HMO not in taken
    recorded = await _covered(program, someone, PPO)
    assert recorded["state"] == "COVERAGE_STATE_RECORDED"
    full = await _estimate(someone)
    assert _amount(full["likelyToOwe"]) == _amount(full["price"]) == 5 * 450
    assert "has not answered" in " ".join(full["plain"])
    again = {name: recorded[name] for name in ("payerId", "memberId", "relationship", "activeFrom")}
    with refused(409, "already_covered"):
        await program.biller.post(f"/v1/people/{someone.person_id}/coverages", again)
    answer = {
        "active": True,
        "activeFrom": "2026-01-01",
        "costShare": {"copayPerDay": _dollars(40), "deductibleLeft": _dollars(0), "outOfPocketLeft": _dollars(2000)},
    }
    verified = await program.biller.post(f"/v1/coverages/{recorded['coverageId']}:verify", answer)
    assert verified["state"] == "COVERAGE_STATE_VERIFIED"
    assert (await someone.get(f"/v1/coverages/{recorded['coverageId']}"))["memberId"] == "EXP123456789"
    with_plan = await _estimate(someone)
    assert with_plan["payerId"] == recorded["payerId"]
    assert _amount(with_plan["likelyToOwe"]) == 5 * 40
    other = await program.referred("Jo")
    denied = await _verified(program, other, PPO, active=False)
    assert denied["state"] == "COVERAGE_STATE_INACTIVE"
    assert _amount((await _estimate(other))["likelyToOwe"]) == 5 * 450
    with refused(404):
        await other.get(f"/v1/coverages/{recorded['coverageId']}")


@pytest.mark.capability("BIL-02")
async def test_anyone_finds_the_payers_and_on_what_terms_the_program_works_with_them(insured: dict[str, Actor]) -> None:
    someone = insured[""]
    everyone = await _payers(someone)
    assert {PPO, HMO, EMPLOYER, "Medicare"} <= set(everyone)
    assert set(await _payers(someone, network="NETWORK_OUT")) == {EMPLOYER}
    assert set(await _payers(someone, plan_kind="PLAN_KIND_HMO")) == {HMO}
    assert set(await _payers(someone, covers="SERVICE_LINE_RETREAT_MEALS")) == {EMPLOYER}
    assert HMO not in await _payers(someone, covers="SERVICE_LINE_COUPLES")
    for each in everyone.values():
        assert each["source"]
        assert each["version"]
        assert len(each["benefits"]) == 8
    terms = {each["programKind"]: each for each in everyone[PPO]["perDiems"]}["PROGRAM_KIND_PSYCHIATRIC"]
    assert (terms["hcpcs"], terms["revenueCode"], terms["minimumMinutes"]) == ("S9480", "0905", 180)
    assert terms["authorizationRequired"]


@pytest.mark.capability("BIL-03")
async def test_what_group_individual_and_couples_sessions_cost_under_each_plan(insured: dict[str, Actor]) -> None:
    for line, price in (("GROUP", 90), ("INDIVIDUAL", 180), ("COUPLES", 200)):
        assert (await _benefits(insured[PPO], PPO))[line] == "IN_PROGRAM_DAY"
        within = await _line(insured[PPO], line)
        assert _amount(within["price"]) == _amount(within["likelyToOwe"]) == 0, "part of the day"
        alone = await _line(insured[""], line)
        assert _amount(alone["price"]) == _amount(alone["likelyToOwe"]) == 2 * price, "without insurance"
    refused_by_plan = await _line(insured[HMO], "COUPLES")
    assert _amount(refused_by_plan["notCovered"]) == _amount(refused_by_plan["likelyToOwe"]) == 400
    assert "does not cover" in refused_by_plan["plain"]
    shared = await _line(insured[EMPLOYER], "INDIVIDUAL")
    assert _amount(shared["coinsurance"]) == _amount(shared["likelyToOwe"]) == 36, "a tenth of two sessions"
    assert _amount(shared["planCovers"]) == 324


@pytest.mark.capability("BIL-04")
async def test_what_medication_management_costs_under_each_plan(insured: dict[str, Actor]) -> None:
    owed = {}
    for plan, someone in insured.items():
        owed[plan] = _amount((await _line(someone, "MEDICATION_MANAGEMENT"))["likelyToOwe"])
    assert owed == {"": 300, PPO: 30, EMPLOYER: 30, HMO: 0}
    assert (await _benefits(insured[PPO], PPO))["MEDICATION_MANAGEMENT"] == "COVERED"
    assert (await _benefits(insured[HMO], HMO))["MEDICATION_MANAGEMENT"] == "IN_PROGRAM_DAY"


@pytest.mark.capability("BIL-05")
async def test_what_therapeutic_activities_cost_under_each_plan(insured: dict[str, Actor]) -> None:
    owed = {}
    for plan, someone in insured.items():
        owed[plan] = _amount((await _line(someone, "THERAPEUTIC_ACTIVITY"))["likelyToOwe"])
    assert owed == {"": 180, PPO: 0, HMO: 0, EMPLOYER: 18}
    assert (await _benefits(insured[PPO], PPO))["THERAPEUTIC_ACTIVITY"] == "IN_PROGRAM_DAY"
    assert (await _benefits(insured[EMPLOYER], EMPLOYER))["THERAPEUTIC_ACTIVITY"] == "COVERED"


@pytest.mark.capability("BIL-06")
async def test_what_meals_and_nights_of_a_retreat_cost_under_each_plan(insured: dict[str, Actor]) -> None:
    retreat = (("RETREAT_MEALS", 6), ("RETREAT_ACCOMMODATION", 2))
    _, meals, nights = (await _estimate(insured[EMPLOYER], *retreat))["lines"]
    assert (_amount(meals["price"]), _amount(nights["price"])) == (360, 280)
    assert (_amount(meals["likelyToOwe"]), _amount(nights["likelyToOwe"])) == (36, 28)
    assert "once your plan has agreed" in meals["plain"]
    for plan in (PPO, HMO, ""):
        _, meals, nights = (await _estimate(insured[plan], *retreat))["lines"]
        assert (_amount(meals["likelyToOwe"]), _amount(nights["likelyToOwe"])) == (360, 280)
    assert (await _benefits(insured[PPO], PPO))["RETREAT_ACCOMMODATION"] == "NOT_COVERED"
    assert (await _benefits(insured[EMPLOYER], EMPLOYER))["RETREAT_ACCOMMODATION"] == "WITH_AUTHORIZATION"


@pytest.mark.capability("BIL-07")
async def test_people_know_before_and_after_what_they_owe_and_why(program: Program, insured: dict[str, Actor]) -> None:
    someone = insured[PPO]
    path = f"/v1/people/{someone.person_id}"
    before = await _estimate(someone, *((line, 1) for line in LINES), weeks=2)
    assert before["programDays"] == 10
    for name in ("price", "planCovers", "likelyToOwe"):
        assert _amount(before[name]) == pytest.approx(sum(_amount(each[name]) for each in before["lines"]))
    assert _amount(before["price"]) == pytest.approx(_amount(before["planCovers"]) + _amount(before["likelyToOwe"]))
    # 10 copays of $40, a tenth of the rest of ten days that the plan allows at $360, then what it leaves over.
    day = before["lines"][0]
    assert (_amount(day["copay"]), _amount(day["coinsurance"])) == (400, 320)
    words = " ".join(before["plain"])
    assert f"${_amount(before['likelyToOwe']):,.2f}" in words
    assert "not a bill" in words
    assert all(each["plain"] for each in before["lines"])
    uninsured = " ".join((await _estimate(insured[""]))["plain"])
    assert "cms.gov/nosurprises" in uninsured, "their right to dispute"
    empty = await someone.get(f"{path}/statement")
    assert "Nothing is owed." in empty["plain"]
    await program.biller.post(f"{path}/payments", {"amount": _dollars(25), "method": "PAYMENT_METHOD_CARD"})
    paid = await someone.get(f"{path}/statement")
    assert _amount(paid["balance"]) == -25
    assert [_amount(each["personPaid"]) for each in paid["lines"]] == [25]
    assert "$25.00" in " ".join(paid["plain"])
    assert (await someone.get(f"{path}/charges"))["charges"] == []
    with refused(404):
        await insured[HMO].get(f"{path}/statement")
