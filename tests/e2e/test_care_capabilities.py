"""What the record of care must be able to do, through the gateway."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from haven_dev.day.actor import Actor
from haven_dev.day.day import Who
from haven_dev.runner import Platform
from haven_kit.testing import eventually
from tests.e2e.program import Program, refused

RELAPSE = {
    "warningSigns": ["skipping breakfast", "not answering Ana"],
    "highRiskSituations": ["payday", "the old neighborhood"],
    "anniversaries": ["the week of the fire, in May"],
    "coping": ["walk to the lake", "ride out the urge for ten minutes"],
    "peopleToCall": ["Ana, my sister", "Tuesday group", "988"],
    "followUp": "A call with Dr. Ito the next morning.",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    """A program with its staff."""
    return Program.begin(platform, http)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def robin(program: Program) -> Actor:
    """Someone in the program."""
    return await program.admitted("Robin")


def _record(someone: Actor, part: str) -> str:
    return f"/v1/people/{someone.person_id}/{part}"


async def _check_in(someone: Actor, **how: Any) -> Any:
    return await someone.post(_record(someone, "check-ins"), {"checkIn": how})


async def _check_ins(reader: Actor, someone: Actor) -> Any:
    return (await reader.get(_record(someone, "check-ins"), page_size=20))["checkIns"]


async def _replan(writer: Actor, someone: Actor, **changed: Any) -> Any:
    """Change parts of a care plan, as read just before."""
    path = _record(someone, "care-plan")
    plan = await writer.get(path)
    return await writer.put(path, {"carePlan": plan | changed, "etag": plan["etag"]})


@pytest.mark.capability("CAR-01")
async def test_each_person_has_a_plan_of_their_own(program: Program) -> None:
    goals = [{"text": "Sleep through", "steps": ["no screen after ten"], "targetDate": "2027-02-01"}]
    one = await program.admitted("Ana", days=5, hours=15, goals=goals, modalities=["cbt", "emdr"])
    other = await program.admitted("Jo", days=3, hours=9, modalities=["dbt_skills"])
    mine, theirs = await one.get(_record(one, "care-plan")), await other.get(_record(other, "care-plan"))
    assert (mine["daysPerWeek"], mine["hoursPerWeek"], mine["modalities"]) == (5, 15, ["cbt", "emdr"])
    assert (theirs["daysPerWeek"], theirs["hoursPerWeek"], theirs["modalities"]) == (3, 9, ["dbt_skills"])
    (goal,) = mine["goals"]
    assert (goal["text"], goal["steps"], goal["targetDate"]) == ("Sleep through", ["no screen after ten"], "2027-02-01")
    for stranger in (other, program.staff("Elsewhere", "individual_therapist")):
        with refused(404):
            await stranger.get(_record(one, "care-plan"))
    aimless = await program.referred("Lev")
    await program.prepared(aimless)
    with refused(400):
        await program.admit(aimless, goals=[])


@pytest.mark.capability("CAR-02")
async def test_person_and_clinician_work_on_the_same_goals_and_both_say_how_they_go(
    program: Program, robin: Actor
) -> None:
    (goal,) = (await robin.get(_record(robin, "care-plan")))["goals"]
    await _replan(robin, robin, goals=[goal | {"progressPercent": 30}, {"text": "See Ana on Sundays"}])
    goals = (await program.therapist.get(_record(robin, "care-plan")))["goals"]
    assert [(each["text"], each["progressPercent"]) for each in goals] == [
        (goal["text"], 30),
        ("See Ana on Sundays", 0),
    ]
    assert goals[0]["goalId"] == goal["goalId"]
    assert goals[1]["goalId"]
    goals[1] |= {"progressPercent": 50, "progressNote": "Two Sundays in a row."}
    await _replan(program.therapist, robin, goals=goals)
    seen = (await robin.get(_record(robin, "care-plan")))["goals"][1]
    assert (seen["progressPercent"], seen["progressNote"]) == (50, "Two Sundays in a row.")
    with refused(400):
        await _replan(robin, robin, goals=[goal | {"progressPercent": 101}])


@pytest.mark.capability("CAR-03")
async def test_a_changed_plan_holds_at_once_and_nobody_overwrites_it_unseen(program: Program) -> None:
    someone = await program.admitted("Noa", days=3, hours=9)
    path = _record(someone, "care-plan")
    old = await someone.get(path)
    new = await program.therapist.put(path, {"carePlan": old | {"modalities": ["dbt_skills"]}, "etag": old["etag"]})
    read = await someone.get(path)
    assert (read["modalities"], read["etag"]) == (["dbt_skills"], new["etag"])
    with refused(412):
        await someone.put(path, {"carePlan": old, "etag": old["etag"]})
    # The week that was agreed is changed with the clinician, and the rest of the program follows.
    kept = await someone.put(path, {"carePlan": read | {"daysPerWeek": 1}, "etag": read["etag"]})
    assert kept["daysPerWeek"] == 3
    estimate = f"/v1/people/{someone.person_id}:estimateCost"
    assert (await someone.once_possible(estimate, {"weeks": 1}))["programDays"] == 3
    more = {"levelOfCare": "iop", "daysPerWeek": 5, "hoursPerWeek": 15, "reason": "More days help."}
    facts = {"facts": {"emotionalBehavioral": 2}}
    await program.therapist.post(f"/v1/people/{someone.person_id}:changeLevelOfCare", more | facts)
    assert (await someone.get(path))["daysPerWeek"] == 5

    async def followed() -> bool:
        return bool((await someone.post(estimate, {"weeks": 1}))["programDays"] == 5)

    await eventually(followed)


@pytest.mark.capability("CAR-04")
async def test_screenings_are_repeated_and_show_how_someone_changes(program: Program, robin: Actor) -> None:
    path = _record(robin, "screenings")
    for value in (2, 1):
        await program.screened(robin, "gad-7", value)
    for reader in (robin, program.therapist):
        listed = (await reader.get(path, instrument_id="gad-7"))["screenings"]
        assert [(each["score"]["total"], each["score"]["severity"]) for each in listed] == [
            (7, "mild"),
            (14, "moderate"),
            (0, "minimal"),
        ]
    with refused(404):
        await program.staff("Elsewhere", "individual_therapist").get(path)


@pytest.mark.capability("CAR-05", "CAR-07", "CAR-09", "CAR-14")
async def test_mood_sleep_and_readings_are_tracked_and_reviewed(program: Program, robin: Actor) -> None:
    await _check_in(robin, mood=2, sleepMinutes=250, sleepQuality=3, heartRateBpm=96)
    await _check_in(robin, mood=0, heartRateBpm=58)
    await _check_in(robin, sleepMinutes=430)
    for reader in (robin, program.therapist):
        newest, middle, first = (await _check_ins(reader, robin))[:3]
        assert (first["mood"], first["sleepMinutes"], first["sleepQuality"], first["heartRateBpm"]) == (2, 250, 3, 96)
        assert (middle["mood"], middle["heartRateBpm"]) == (0, 58)
        assert middle.get("sleepMinutes") is None, "what was not told is not taken for nothing"
        assert newest["sleepMinutes"] == 430
        assert newest.get("mood") is None
        assert newest["recordedAt"] >= middle["recordedAt"] >= first["recordedAt"]
    for stranger in (program.staff("Elsewhere", "individual_therapist"), await program.referred("Sam")):
        with refused(404):
            await _check_ins(stranger, robin)
    for impossible in ({"mood": 11}, {"sleepMinutes": 1441}, {"heartRateBpm": 5}, {"sleepQuality": 11}):
        with refused(400):
            await _check_in(robin, **impossible)


@pytest.mark.capability("CAR-06")
async def test_a_journal_is_ones_own_until_it_is_shared(program: Program, robin: Actor) -> None:
    await _check_in(robin, journal="For me alone.")
    await _check_in(robin, journal="For Dr. Ito too.", shareJournal=True)
    assert [each["journal"] for each in (await _check_ins(robin, robin))[:2]] == ["For Dr. Ito too.", "For me alone."]
    assert [each["journal"] for each in (await _check_ins(program.therapist, robin))[:2]] == ["For Dr. Ito too.", ""]


@pytest.mark.capability("CAR-15")
async def test_who_treats_the_couple_is_not_who_treats_one_of_them(program: Program) -> None:
    one, other = await program.referred("Ana"), await program.referred("Jo")
    both, couples = program.staff("Dr. Both", "individual_therapist", "couples_therapist"), program.couples_therapist
    roles = ("INDIVIDUAL_THERAPIST", "COUPLES_THERAPIST", "SUBSTANCE_USE_COUNSELOR")
    for first in roles:
        for second in roles:
            members = [{"principalId": both.sub, "role": f"ROLE_{each}"} for each in (first, second)]
            if first != second:
                with refused(409, "separate_roles"):
                    await program.coordinator.put(_record(one, "care-team"), {"members": members})
    await program.care_team(one, {program.therapist: "INDIVIDUAL_THERAPIST", couples: "COUPLES_THERAPIST"})
    await program.care_team(other, {program.counselor: "SUBSTANCE_USE_COUNSELOR"})
    await program.link(one, other)
    for member, role in (
        (program.therapist, "COUPLES_THERAPIST"),
        (couples, "INDIVIDUAL_THERAPIST"),
        (couples, "SUBSTANCE_USE_COUNSELOR"),
        (program.therapist, "SUBSTANCE_USE_COUNSELOR"),
    ):
        with refused(409, "separate_roles"):
            await program.care_team(other, {member: role})
    held = (await other.get(_record(other, "care-team")))["members"]
    assert [each["principalId"] for each in held] == [program.counselor.sub], "nothing was changed"
    third, fourth = await program.referred("Mia"), await program.referred("Lou")
    await program.care_team(third, {both: "INDIVIDUAL_THERAPIST"})
    await program.care_team(fourth, {both: "COUPLES_THERAPIST"})
    with refused(409, "separate_roles"):
        await program.link(third, fourth)


@pytest.mark.capability("CAR-18", "CAR-19")
async def test_the_relapse_plan_names_signs_situations_dates_and_who_is_there(program: Program, robin: Actor) -> None:
    await _replan(robin, robin, relapse=RELAPSE | {"substances": ["alcohol"]})
    mine = (await robin.get(_record(robin, "care-plan")))["relapse"]
    assert {name: mine[name] for name in RELAPSE} == RELAPSE
    assert mine["substances"] == ["alcohol"]
    team = {program.therapist: "INDIVIDUAL_THERAPIST", program.counselor: "SUBSTANCE_USE_COUNSELOR"}
    await program.care_team(robin, team)
    assert (await program.counselor.get(_record(robin, "care-plan")))["relapse"]["substances"] == ["alcohol"]
    seen = (await program.therapist.get(_record(robin, "care-plan")))["relapse"]
    assert {name: seen[name] for name in RELAPSE} == RELAPSE
    assert seen["substances"] == [], "substance-use records need a consent that names the reader"
    # What a therapist adds leaves what they cannot see as it was.
    added = RELAPSE | {"anniversaries": [*RELAPSE["anniversaries"], "the first snow"]}
    await _replan(program.therapist, robin, relapse=added)
    mine = (await robin.get(_record(robin, "care-plan")))["relapse"]
    assert (mine["anniversaries"], mine["substances"]) == (added["anniversaries"], ["alcohol"])


@pytest.mark.capability("CAR-23", "CAR-25")
async def test_care_steps_down_and_ends_with_what_comes_after(program: Program) -> None:
    someone = await program.admitted("Wyn", days=5, hours=15)
    await _replan(someone, someone, relapse=RELAPSE)
    path = f"/v1/people/{someone.person_id}"
    down = {"levelOfCare": "outpatient", "daysPerWeek": 1, "hoursPerWeek": 3, "reason": "Steady for a month."}
    with refused(409, "level_of_care"):
        await program.therapist.post(f"{path}:changeLevelOfCare", down | {"facts": {"emotionalBehavioral": 3}})
    with refused(400, "level_of_care_hours"):
        await program.therapist.post(f"{path}:changeLevelOfCare", down | {"hoursPerWeek": 15, "facts": {}})
    stepped = await program.therapist.post(f"{path}:changeLevelOfCare", down | {"facts": {"relapsePotential": 1}})
    assert stepped["levelOfCare"] == "outpatient"
    (change,) = (await someone.get(f"{path}/admission"))["changes"]
    assert (change["fromLevel"], change["toLevel"], change["reason"]) == ("iop", "outpatient", "Steady for a month.")
    assert (await someone.get(f"{path}/care-plan"))["hoursPerWeek"] == 3
    with refused(400):
        await program.therapist.post(f"{path}:discharge", {"reason": "Goals reached."})
    aftercare = "Tuesday evening group; Dr. Ode every second week; Ana knows the plan."
    await program.therapist.post(f"{path}:discharge", {"reason": "Goals reached.", "aftercare": aftercare})
    left = await someone.get(f"{path}/admission")
    assert (left["aftercare"], bool(left["dischargedAt"])) == (aftercare, True)
    assert (await someone.get(path))["state"] == "PERSON_STATE_DISCHARGED"
    plan = (await someone.get(f"{path}/care-plan"))["relapse"]
    assert plan["followUp"] == RELAPSE["followUp"], "the relapse plan stays with the person"
    with refused(409, "not_admitted"):
        await program.therapist.post(f"{path}:changeLevelOfCare", down | {"facts": {}})


@pytest.mark.capability("CAR-30")
async def test_what_someone_lives_with_is_known_and_shapes_the_plan(program: Program) -> None:
    flags = {
        "transport": "Lack of access to transportation",
        "housing": "Housing unsatisfactory",
        "social_isolation": "Limited social contact",
    }
    summary = {"flags": [{"kind": kind, "label": label} for kind, label in flags.items()]}
    who = Who.anyone()
    person = {"givenName": who.given, "familyName": who.family, "birthDate": who.birth_date}
    sent = await program.coordinator.post("/v1/referrals", {"person": person, "summary": summary})
    someone = Actor(program.day.web, "Tove", "participant", person_id=sent["personId"])
    await program.care_team(someone, {program.therapist: "INDIVIDUAL_THERAPIST"})
    found = (await program.therapist.get(f"/v1/referrals/{sent['referralId']}"))["summary"]["flags"]
    assert {each["kind"]: each["label"] for each in found} == flags
    factors = ["lost the apartment in March", "looks after two children", "night shifts"]
    written = {"assessment": {"otherFactors": factors}}
    assessed = await program.therapist.put(_record(someone, "assessment"), written)
    assert assessed["planSuggestions"] == ["Remote attendance from home"]
    assert (await program.coordinator.get(_record(someone, "assessment")))["otherFactors"] == factors


@pytest.mark.capability("CAR-36")
async def test_licences_are_on_record_with_place_and_last_day_and_nobody_leads_without_one(program: Program) -> None:
    clinician = program.staff("Dana Reyes", "facilitator")
    with refused(409):
        await program.group(clinician)
    expired = [{"credential": "lcsw", "jurisdiction": "US-IL", "expiresOn": program.date(-1)}]
    await program.licensed(clinician, credentials=expired)
    with refused(409):
        await program.group(clinician)
    path = f"/v1/staff/{clinician.sub}/profile"
    renewed = [
        {"credential": "lcsw", "jurisdiction": "US-IL", "expiresOn": program.date(300)},
        {"credential": "emdria_certified", "jurisdiction": "", "expiresOn": program.date(200)},
    ]
    await program.licensed(clinician, credentials=renewed, etag=(await clinician.get(path))["etag"])
    read = (await program.coordinator.get(path))["credentials"]
    key = "credential"
    assert sorted(read, key=lambda each: each[key]) == sorted(renewed, key=lambda each: each[key])
    assert await program.group(clinician)
    with refused(400):
        await program.licensed(clinician, credentials=[renewed[0] | {"credential": "made_up"}])


@pytest.mark.capability("COM-07")
async def test_a_partner_sees_how_goals_go_when_that_is_shared_and_nothing_else(program: Program) -> None:
    someone, partner = await program.admitted("Ana"), await program.referred("Jo", "partner")
    path = _record(someone, "care-plan")
    goal = {"text": "Walk each day", "progressPercent": 40, "progressNote": "Hard on Mondays.", "steps": ["alone"]}
    await _replan(someone, someone, goals=[goal], relapse=RELAPSE)
    await program.link(someone, partner, scopes=["NAME"])
    with refused(404):
        await partner.get(path)
    scopes = ["SHARE_SCOPE_PROGRESS"]
    (given,) = await program.consent(someone, "SHARE_WITH_PARTNER", to=partner, scopes=scopes)
    seen = await partner.get(path)
    assert [(each["text"], each["progressPercent"]) for each in seen["goals"]] == [("Walk each day", 40)]
    for hidden in ("Mondays", "alone", *RELAPSE["warningSigns"], *RELAPSE["highRiskSituations"]):
        assert hidden not in str(seen)
    await _replan(someone, someone, goals=[goal | {"progressPercent": 60}])
    assert (await partner.get(path))["goals"][0]["progressPercent"] == 60
    with refused(403):
        await partner.put(path, {"carePlan": seen})
    await someone.post(f"{_record(someone, 'consents')}/{given['consentId']}:revoke")
    with refused(404):
        await partner.get(path)
