"""What programs need so that groups, clinicians and weeks fit people, each need proven through the gateway."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from program import WEEKDAYS, Program, refused, weekly

from haven_dev.day.actor import Actor
from haven_dev.runner import Platform


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    return Program.begin(platform, http)


async def week_of(who: Actor, start: str = "") -> Any:
    return await who.get(f"/v1/people/{who.person_id}/week", start=start)


def rules(week: Any) -> set[str]:
    return {each["rule"] for each in week["warnings"]}


async def fitting(asker: Actor, who: Actor, **wish: Any) -> Any:
    """Which groups fit, best first, and why the others do not: asked until the plan is known to scheduling."""
    return await asker.once_possible(f"/v1/people/{who.person_id}:proposeGroups", wish)


def proposed(found: Any) -> list[set[str]]:
    return [set(each["groupIds"]) for each in found["proposals"]]


def why_not(found: Any) -> dict[str, str]:
    """The rule for each group that was left out; groups of other tests are among them."""
    return {each["groupId"]: each["rule"] for each in found["leftOut"]}


@pytest.mark.capability("SCH-01")
async def test_a_week_is_three_to_five_days_of_three_to_four_hours(program: Program) -> None:
    weeks = [
        (3, 9, WEEKDAYS[::2], 180, set()),
        (5, 18, WEEKDAYS, 225, set()),
        (3, 9, WEEKDAYS[:2], 150, {"day_too_short", "under_program_days", "under_program_hours"}),
        (3, 9, WEEKDAYS[:3], 270, {"day_too_long"}),
        (6, 18, (*WEEKDAYS, "SATURDAY"), 180, {"over_program_days"}),
    ]
    for days, hours, meets_on, minutes, wrong in weeks:
        leader = await program.leader("Lee")
        group = await program.group(leader)
        await program.series(group, meets_on, "09:00", minutes, weeks=1)
        who = await program.admitted("Ana", days=days, hours=hours)
        await program.enrol(group, who)
        week = await who.eventually(f"/v1/people/{who.person_id}/week", lambda found: found["planDays"])
        assert (week["plannedDays"], week["plannedMinutes"]) == (len(meets_on), len(meets_on) * minutes)
        assert {each for each in rules(week) if "_plan_" not in each} == wrong, (days, minutes)


@pytest.mark.capability("SCH-02")
async def test_the_treatment_plan_sets_how_often_and_how_much(program: Program) -> None:
    leader = await program.leader("Lee")
    group = await program.group(leader, language="ia")
    await program.series(group, WEEKDAYS[::2], "09:00", 180)
    who = await program.admitted("Bo", days=3, hours=9)
    best = (await fitting(who, who, language="ia"))["proposals"][0]
    assert (best["groupIds"], best["meetsPlan"]) == ([group], True)
    await program.enrol(group, who)
    week = await week_of(who)
    assert (week["planDays"], week["planHours"], week["missingMinutes"], rules(week)) == (3, 9, 0, set())

    stay = await program.therapist.get(f"/v1/people/{who.person_id}/admission")
    more = {"levelOfCare": "iop", "daysPerWeek": 5, "hoursPerWeek": 15, "reason": "more support", "etag": stay["etag"]}
    facts = {"emotionalBehavioral": 2, "hoursPerWeek": 15}
    await program.therapist.post(f"/v1/people/{who.person_id}:changeLevelOfCare", more | {"facts": facts})
    week = await who.eventually(f"/v1/people/{who.person_id}/week", lambda found: found["planDays"] == 5)
    assert week["missingMinutes"] == 360
    assert rules(week) == {"under_plan_days", "under_plan_hours"}
    two_more = await program.group(await program.leader("Lou"), language="ia")
    await program.series(two_more, ["TUESDAY", "THURSDAY"], "09:00", 180)
    week_start = program.date()
    again = await fitting(who, who, language="ia", weekStart=week_start)
    assert proposed(again) == [{two_more}]
    await program.enrol(two_more, who)
    assert (await week_of(who, program.date(7)))["missingMinutes"] == 0


@pytest.mark.capability("SCH-03")
async def test_groups_and_clinicians_are_found_at_times_that_the_participant_chose(program: Program) -> None:
    morning_leader = await program.leader("Lee")
    evening_leader = await program.leader("Lou")
    morning = await program.group(morning_leader, language="eo")
    evening = await program.group(evening_leader, language="eo")
    await program.series(morning, WEEKDAYS[::2], "09:00", 180)
    await program.series(evening, WEEKDAYS[::2], "17:00", 180)
    who = await program.admitted("Cy")
    times = f"/v1/people/{who.person_id}/availability"

    kept = await who.put(times, {"timeZone": "America/Chicago", "windows": weekly(WEEKDAYS, "17:00", "21:00")})
    found = await fitting(who, who, language="eo")
    assert proposed(found) == [{evening}]
    assert why_not(found)[morning] == "outside_availability"

    other = {"timeZone": "America/New_York", "windows": weekly(WEEKDAYS, "10:00", "13:00"), "etag": kept["etag"]}
    await who.put(times, other)
    found = await fitting(who, who, language="eo")
    assert proposed(found) == [{morning}], "ten in New York is nine in Chicago"
    assert why_not(found)[evening] == "outside_availability"


@pytest.mark.capability("SCH-04")
async def test_a_week_goes_around_work_school_and_family(program: Program) -> None:
    daytime = await program.group(await program.leader("Lee"), language="gd")
    evening = await program.group(await program.leader("Lou"), language="gd")
    weekend = await program.group(await program.leader("Lin"), language="gd")
    await program.series(daytime, WEEKDAYS[:3], "10:00", 180)
    await program.series(evening, WEEKDAYS[:3], "18:00", 180)
    await program.series(weekend, ["FRIDAY", "SATURDAY", "SUNDAY"], "18:30", 180)
    who = await program.admitted("Di")
    times = f"/v1/people/{who.person_id}/availability"
    life = [
        *({"window": each, "reason": "BLACKOUT_REASON_WORK"} for each in weekly(WEEKDAYS, "08:00", "17:00")),
        {"window": weekly(["SUNDAY"], "18:00", "21:00")[0], "reason": "BLACKOUT_REASON_FAMILY", "note": "dinner"},
    ]
    kept = await who.put(times, {"timeZone": "America/Chicago", "blackouts": life})
    found = await fitting(who, who, language="gd")
    assert proposed(found) == [{evening}]
    assert {daytime: "outside_availability", weekend: "outside_availability"}.items() <= why_not(found).items()

    school = [{"window": each, "reason": "BLACKOUT_REASON_SCHOOL"} for each in weekly(["TUESDAY"], "18:00", "20:00")]
    await who.put(times, {"timeZone": "America/Chicago", "blackouts": life[:5] + school, "etag": kept["etag"]})
    found = await fitting(who, who, language="gd")
    assert proposed(found) == [{weekend}]
    assert {daytime: "outside_availability", evening: "outside_availability"}.items() <= why_not(found).items()


@pytest.mark.capability("SCH-06")
async def test_a_cohort_shares_a_challenge(program: Program) -> None:
    groups = {}
    for hour, challenges in enumerate((["grief"], ["grief", "military"], ["anxiety"]), start=9):
        group = await program.group(await program.leader("Lee"), language="cy", challenges=challenges)
        await program.series(group, WEEKDAYS[::2], f"{hour:02}:00", 180)
        groups[tuple(challenges)] = group
    who = await program.admitted("Ike")
    found = await fitting(who, who, language="cy", challenges=["grief", "military"])
    assert proposed(found) == [{groups["grief", "military"]}, {groups[("grief",)]}, {groups[("anxiety",)]}]
    fits = [each["fit"] for each in found["proposals"]]
    assert fits == sorted(set(fits), reverse=True)
    assert "Shares with the cohort: grief, military." in found["proposals"][0]["reasons"]
    found = await fitting(who, who, language="cy", challenges=["anxiety"])
    assert proposed(found)[0] == {groups[("anxiety",)]}
    listed = await who.get("/v1/groups", challenges="military", page_size=200)
    assert {each["groupId"] for each in listed["groups"]} & set(groups.values()) == {groups["grief", "military"]}
    with refused(400, "known_tag"):
        await program.group(await program.leader("Lee"), challenges=["no_such_challenge"])


@pytest.mark.capability("SCH-07")
async def test_a_couple_is_kept_in_the_same_cohort(program: Program) -> None:
    theirs = await program.group(await program.leader("Lee"), language="ga")
    one_seat = await program.group(await program.leader("Lou"), language="ga", capacity=1)
    roomy = await program.group(await program.leader("Lin"), language="ga")
    for group, start in ((theirs, "09:00"), (one_seat, "12:00"), (roomy, "15:00")):
        await program.series(group, WEEKDAYS[::2], start, 180)
    jo, max_ = await program.admitted("Jo"), await program.admitted("Max")
    await program.link(jo, max_, "COUPLE")
    await program.enrol(theirs, max_)

    together = {"language": "ga", "couple": "COUPLE_WISH_TOGETHER", "partnerPersonId": max_.person_id}
    found = await fitting(program.therapist, jo, **together)
    assert proposed(found) == [{theirs}, {roomy}]
    assert why_not(found)[one_seat] == "full", "one seat is none for a couple"
    assert "The partner is in it already." in found["proposals"][0]["reasons"]
    await program.enrol(theirs, jo)
    mine, partners = [[s["sessionId"] for s in (await each.get("/v1/sessions"))["sessions"]] for each in (jo, max_)]
    assert mine == partners
    assert len(mine) == 6

    apart = together | {"couple": "COUPLE_WISH_APART"}
    kay = await program.admitted("Kay")
    found = await fitting(program.therapist, kay, **apart)
    assert {theirs} not in proposed(found)
    assert why_not(found)[theirs] == "apart_from_partner"
    with refused(403):
        await kay.post(f"/v1/people/{kay.person_id}:proposeGroups", together)


@pytest.mark.capability("SCH-11")
async def test_clinicians_are_matched_by_special_training(program: Program) -> None:
    def held(credential: str = "lcsw", place: str = "US-IL", until: str = "2040-01-01") -> list[dict[str, str]]:
        return [{"credential": credential, "jurisdiction": place, "expiresOn": until}]

    async def clinician(name: str, **profile: Any) -> Actor:
        return await program.licensed(program.staff(name, "individual_therapist"), languages=["kl"], **profile)

    best = await clinician("Both", specialties=["dissociation", "lgbtq"], modalities=["emdr"])
    half = await clinician("Half", specialties=["dissociation"])
    await clinician("Other training", specialties=["perinatal"])
    await clinician("Lapsed", specialties=["dissociation", "lgbtq"], credentials=held(until=program.date(-1)))
    await clinician("Elsewhere", specialties=["dissociation", "lgbtq"], credentials=held(place="US-NY"))
    await clinician("Certificate alone", specialties=["dissociation"], credentials=held("emdria_certified"))
    await clinician("Takes nobody", specialties=["dissociation", "lgbtq"], acceptsNew=False)
    await clinician("Nights", specialties=["dissociation", "lgbtq"], windows=weekly(WEEKDAYS, "22:00", "24:00"))
    una = await program.admitted("Una")
    await una.put(
        f"/v1/people/{una.person_id}/availability",
        {"timeZone": "America/Chicago", "windows": weekly(WEEKDAYS, "09:00", "17:00")},
    )
    wish = {"specialties": ["dissociation", "lgbtq"], "modalities": ["emdr"], "language": "kl", "jurisdiction": "US-IL"}
    found = (await una.post(f"/v1/people/{una.person_id}:matchClinicians", wish))["matches"]
    assert [each["principalId"] for each in found] == [best.sub, half.sub]
    assert found[0]["matchedSpecialties"] == ["dissociation", "lgbtq"]
    assert found[0]["matchedModalities"] == ["emdr"]
    assert found[0]["fit"] == 100 > found[1]["fit"]
    with refused(409, "facilitator_not_licensed"):
        await program.group(program.staff("No licence", "facilitator"))


@pytest.mark.capability("SES-21")
async def test_groups_and_clinicians_carry_the_kind_of_treatment(program: Program) -> None:
    tags = ["cbt", "dbt", "tf_cbt", "cpt", "pe", "emdr", "mindfulness", "supportive"]
    ana = await program.referred("Ana")
    catalogue = {each["tag"]: each["label"] for each in (await ana.get("/v1/program-catalogue"))["modalities"]}
    assert all(catalogue[each] for each in tags)
    leader = await program.leader("Lee", "individual_therapist")
    for tag in tags:
        group = await program.group(leader, modalities=[tag])
        shown = await ana.get(f"/v1/groups/{group}")
        assert shown["details"]["modalities"] == [tag]
    with refused(400, "known_tag"):
        await program.group(leader, modalities=["no_such_treatment"])
    trained = await program.licensed(
        program.staff("Trained", "individual_therapist"), modalities=["emdr", "cpt"], languages=["lv"]
    )
    wish = {"modalities": ["emdr"], "language": "lv"}
    (match,) = (await ana.post(f"/v1/people/{ana.person_id}:matchClinicians", wish))["matches"]
    assert (match["principalId"], match["matchedModalities"]) == (trained.sub, ["emdr"])
    none = await ana.post(f"/v1/people/{ana.person_id}:matchClinicians", wish | {"modalities": ["pe"]})
    assert none["matches"] == []
