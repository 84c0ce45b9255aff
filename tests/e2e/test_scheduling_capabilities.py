"""What programs need from scheduling, each need proven through the gateway."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from program import WEEKDAYS, Program, refused, timestamp, weekly

from haven_dev.day.actor import Actor
from haven_dev.runner import Platform


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    return Program.begin(platform, http)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kim(program: Program) -> Actor:
    """A licensed facilitator. Sessions of different tests that Kim leads are at different times."""
    return await program.leader("Kim")


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
    """The rule for each group in the language asked for: those of other tests are in others."""
    left_out = {each["groupId"]: each["rule"] for each in found["leftOut"]}
    return {group: rule for group, rule in left_out.items() if rule not in ("language", "no_sessions")}


def ids(sessions: Iterable[Any]) -> set[str]:
    return {each["sessionId"] for each in sessions}


def tomorrow(program: Program, hour: int) -> datetime:
    return (program.now() + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)


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
    assert why_not(found) == {daytime: "outside_availability", weekend: "outside_availability"}

    school = [{"window": each, "reason": "BLACKOUT_REASON_SCHOOL"} for each in weekly(["TUESDAY"], "18:00", "20:00")]
    await who.put(times, {"timeZone": "America/Chicago", "blackouts": life[:5] + school, "etag": kept["etag"]})
    found = await fitting(who, who, language="gd")
    assert proposed(found) == [{weekend}]
    assert why_not(found) == {daytime: "outside_availability", evening: "outside_availability"}


@pytest.mark.capability("SCH-05")
async def test_a_group_has_a_roster_and_those_who_wait_move_up(program: Program) -> None:
    leader = await program.leader("Lee")
    group = await program.group(leader, capacity=2)
    await program.series(group, ["WEDNESDAY"], "09:00", 180)
    people = [await program.referred(name) for name in ("Eli", "Fay", "Gus", "Hal")]
    places = await program.enrol(group, *people)
    assert [each["waitingPosition"] for each in places] == [0, 0, 1, 2]
    assert (await people[2].get("/v1/sessions"))["sessions"] == [], "no seat while waiting"

    await program.coordinator.post(f"/v1/enrolments/{places[0]['enrolmentId']}:end")
    roster = (await leader.get(f"/v1/groups/{group}/enrolments"))["enrolments"]
    states = {each["personId"]: (each["state"], each["waitingPosition"]) for each in roster}
    assert states == {
        people[1].person_id: ("ENROLMENT_STATE_ACTIVE", 0),
        people[2].person_id: ("ENROLMENT_STATE_ACTIVE", 0),
        people[3].person_id: ("ENROLMENT_STATE_WAITING", 1),
    }
    assert [each["groupId"] for each in (await people[2].get("/v1/sessions"))["sessions"]] == [group, group]
    assert (await people[0].get("/v1/sessions"))["sessions"] == []
    with refused(403):
        await people[1].get(f"/v1/groups/{group}/enrolments")
    with refused(403):
        await (await program.leader("Lou")).get(f"/v1/groups/{group}/enrolments")


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
    mine, partners = [(await each.get("/v1/sessions"))["sessions"] for each in (jo, max_)]
    assert ids(mine) == ids(partners)
    assert len(mine) == 6

    apart = together | {"couple": "COUPLE_WISH_APART"}
    kay = await program.admitted("Kay")
    found = await fitting(program.therapist, kay, **apart)
    assert {theirs} not in proposed(found)
    assert why_not(found)[theirs] == "apart_from_partner"
    with refused(403):
        await kay.post(f"/v1/people/{kay.person_id}:proposeGroups", together)


@pytest.mark.capability("SCH-08")
async def test_individual_sessions_are_seen_by_the_person_alone_and_never_double_booked(
    program: Program, kim: Actor
) -> None:
    liv, ned = await program.referred("Liv"), await program.referred("Ned")
    at = tomorrow(program, 9)
    one = await program.plan("INDIVIDUAL", kim, liv, starts=at)
    assert ids((await liv.get("/v1/sessions"))["sessions"]) == {one["sessionId"]}
    assert one["sessionId"] in ids((await kim.get("/v1/sessions"))["sessions"])
    assert (await ned.get("/v1/sessions"))["sessions"] == []
    with refused(404):
        await ned.get(f"/v1/sessions/{one['sessionId']}")
    with refused(404):
        await ned.get("/v1/sessions", person_id=liv.person_id)
    with refused(400, "people_of_kind"):
        await program.plan("INDIVIDUAL", kim, liv, ned, starts=tomorrow(program, 11))
    lou = await program.leader("Lou")
    with refused(409, "double_booked"):
        await program.plan("INDIVIDUAL", lou, liv, starts=at + timedelta(minutes=49))
    with refused(409, "double_booked"):
        await program.plan("INDIVIDUAL", kim, ned, starts=at - timedelta(minutes=49))
    await program.plan("INDIVIDUAL", kim, ned, starts=at + timedelta(minutes=50))
    moved = {"startsAt": timestamp(at + timedelta(minutes=30)), "etag": one["etag"]}
    with refused(409, "double_booked"):
        await kim.post(f"/v1/sessions/{one['sessionId']}:reschedule", moved)


@pytest.mark.capability("SCH-09")
async def test_family_sessions_bring_people_together_and_show_nobody_to_another(program: Program, kim: Actor) -> None:
    ola = await program.referred("Ola")
    mother, brother = [await program.referred(each, "family_member") for each in ("Pat", "Quin")]
    await program.link(ola, mother, "FAMILY")
    family = (ola, mother, brother)
    one = await program.plan("FAMILY", kim, *family, starts=tomorrow(program, 12), minutes=75)
    for each in family:
        shown = (await each.get("/v1/sessions"))["sessions"]
        assert [(s["sessionId"], s["kind"], s["personIds"]) for s in shown] == [
            (one["sessionId"], "SESSION_KIND_FAMILY", [each.person_id])
        ]
    led = await kim.get(f"/v1/sessions/{one['sessionId']}")
    assert set(led["personIds"]) == {each.person_id for each in family}
    with refused(400, "people_of_kind"):
        await program.plan("FAMILY", kim, ola, starts=tomorrow(program, 14))
    with refused(409, "double_booked"):
        await program.plan("INDIVIDUAL", await program.leader("Lou"), brother, starts=tomorrow(program, 12))
    with refused(404):
        await (await program.referred("Rae", "family_member")).get(f"/v1/sessions/{one['sessionId']}")


@pytest.mark.capability("SCH-10")
async def test_one_to_one_check_ins_recur_every_week(program: Program) -> None:
    leader = await program.leader("Lee")
    sal = await program.referred("Sal")
    pattern = program.pattern(["TUESDAY", "THURSDAY"], "13:15", 20, weeks=4)
    wanted = {
        "kind": "SESSION_KIND_CHECK_IN",
        "title": "Check-in",
        "personIds": [sal.person_id],
        "facilitatorId": leader.sub,
        "pattern": pattern,
    }
    series = await program.coordinator.post("/v1/series", wanted)
    calendar = {"to": timestamp(program.now() + timedelta(weeks=5))}
    planned = (await sal.get("/v1/sessions", **calendar))["sessions"]
    days = [1, 3, 8, 10, 15, 17, 22, 24]
    assert [each["startsLocal"][:16] for each in planned] == [f"{program.date(each)}T13:15" for each in days]
    assert {each["kind"] for each in planned} == {"SESSION_KIND_CHECK_IN"}
    with refused(409, "double_booked"):
        await program.coordinator.post("/v1/series", wanted)

    change = {"pattern": pattern | {"firstDate": program.date(7), "startTime": "16:00"}, "etag": series["etag"]}
    followed = await leader.post(f"/v1/series/{series['seriesId']}:change", change)
    await leader.post(
        f"/v1/series/{followed['seriesId']}:end", {"fromDate": program.date(14), "etag": followed["etag"]}
    )
    left = (await sal.get("/v1/sessions", **calendar))["sessions"]
    assert [each["startsLocal"][11:16] for each in left] == ["13:15", "13:15", "16:00", "16:00"]
    with refused(400, "people_of_kind"):
        pair = [sal.person_id, (await program.referred("Tam")).person_id]
        await program.coordinator.post("/v1/series", wanted | {"personIds": pair})


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


@pytest.mark.capability("SCH-12")
async def test_what_a_session_brings_is_known_beforehand(program: Program) -> None:
    leader = await program.leader("Lee")
    group = await program.group(leader)
    await program.series(group, ["FRIDAY"], "09:00", 60)
    vic, out = await program.referred("Vic"), await program.referred("Wil")
    await program.enrol(group, vic)
    session = (await vic.get("/v1/sessions"))["sessions"][0]
    assert session["startsAt"] > timestamp(program.now() + timedelta(days=3)), "days ahead"
    path = f"/v1/sessions/{session['sessionId']}/agenda"
    with refused(404):
        await vic.get(path)
    templates = (await leader.get("/v1/agenda-templates"))["templates"]
    outline = next(each for each in templates if each["totalMinutes"] == 60)
    agenda = {key: outline[key] for key in ("title", "objectives", "items")}
    written = await leader.put(path, agenda)
    assert await vic.get(path) == written
    assert written["objectives"] == outline["objectives"] != []
    assert [(each["title"], each["minutes"]) for each in written["items"]] == [
        (each["title"], each["minutes"]) for each in outline["items"]
    ]
    assert any(each["optional"] for each in written["items"]), "what may be sat out is marked"
    assert (await vic.get("/v1/sessions"))["sessions"][0]["hasAgenda"]
    with refused(404):
        await out.get(path)
    longer = [*agenda["items"], {"kind": "AGENDA_ITEM_KIND_SKILL", "title": "More", "minutes": 1}]
    with refused(400, "agenda_fits"):
        await leader.put(path, agenda | {"items": longer, "etag": written["etag"]})


@pytest.mark.capability("SCH-13")
async def test_retreats_are_in_one_place_or_hybrid(program: Program) -> None:
    leader = await program.leader("Lee")
    retreat = {"kind": "GROUP_KIND_RETREAT", "format": "FORMAT_IN_PERSON", "startsOn": program.date(5)}
    with refused(400, "required_in_person"):
        await program.group(leader, **retreat)
    place = {"place": "Lake House, 2 Shore Road"}
    group = await program.group(leader, **retreat | place, endsOn=program.date(6), capacity=2)
    await program.series(group, ["SATURDAY", "SUNDAY"], "10:00", 360)
    xia, out = await program.referred("Xia"), await program.referred("Yan")
    await program.enrol(group, xia)
    days = (await xia.get("/v1/sessions"))["sessions"]
    assert [each["startsLocal"][:10] for each in days] == [program.date(5), program.date(6)], "and no weekend after"
    assert {(each["format"], each["place"]) for each in days} == {("FORMAT_IN_PERSON", place["place"])}
    assert (await out.get("/v1/sessions"))["sessions"] == []
    hybrid = await program.plan(
        "GROUP", leader, xia, starts=tomorrow(program, 9), format="FORMAT_HYBRID", place="Room 2", capacity=4
    )
    assert (hybrid["format"], hybrid["place"]) == ("FORMAT_HYBRID", "Room 2")
    listed = await out.get("/v1/groups", kind="GROUP_KIND_RETREAT", page_size=200)
    assert group in {each["groupId"] for each in listed["groups"]}


@pytest.mark.capability("SCH-14")
async def test_optional_activities_have_a_calendar_where_people_book_their_own_seats(program: Program) -> None:
    host = program.staff("Host", "facilitator")
    group = await program.group(host, kind="GROUP_KIND_ACTIVITY", title="Walk by the lake", capacity=1)
    await program.series(group, ["SATURDAY"], "10:00", 90, weeks=1)
    zoe, abe = await program.admitted("Zoe"), await program.referred("Abe")
    before = await zoe.eventually(f"/v1/people/{zoe.person_id}/week", lambda found: found["planDays"])
    shown = (await zoe.get("/v1/activities", page_size=200))["sessions"]
    walk = next(each for each in shown if each["groupId"] == group)
    assert walk["optional"]
    seats = f"/v1/sessions/{walk['sessionId']}"
    booked = await zoe.post(f"{seats}/seats", {"personId": zoe.person_id})
    assert booked["personIds"] == [zoe.person_id]
    week = await week_of(zoe)
    assert [each["sessionId"] for day in week["days"] for each in day["sessions"]] == [walk["sessionId"]]
    assert week["missingMinutes"] == before["missingMinutes"] == 540, "it does not count towards the plan"
    again = next(
        each for each in (await abe.get("/v1/activities", page_size=200))["sessions"] if each["groupId"] == group
    )
    assert (again["seatsTaken"], again["personIds"]) == (1, []), "how many, and not who"
    with refused(409, "session_full"):
        await abe.post(f"{seats}/seats", {"personId": abe.person_id})
    with refused(404):
        await abe.post(f"{seats}:releaseSeat", {"personId": zoe.person_id})
    await zoe.post(f"{seats}:releaseSeat", {"personId": zoe.person_id})
    await abe.post(f"{seats}/seats", {"personId": abe.person_id})
    assert (await zoe.get("/v1/sessions"))["sessions"] == []

    treatment = await program.group(await program.leader("Lee"))
    await program.series(treatment, ["THURSDAY"], "09:00", 180, weeks=1)
    (planned,) = (await program.coordinator.get("/v1/sessions", group_id=treatment))["sessions"]
    with refused(404):
        await zoe.post(f"/v1/sessions/{planned['sessionId']}/seats", {"personId": zoe.person_id})


@pytest.mark.capability("SCH-15")
async def test_a_program_is_short_and_goes_in_phases(program: Program) -> None:
    tracks = (await program.coordinator.get("/v1/program-catalogue"))["tracks"]
    for track in tracks:
        assert track["phases"], track["track"]
        assert sum(phase["weeks"] for phase in track["phases"]) == track["weeks"]
    assert all(each["weeks"] <= 12 for each in tracks if each["track"].startswith("iop-"))

    leader = await program.leader("Lee")
    phase = {"phase": "stabilization", "startsOn": program.date(), "endsOn": program.date(27), "closedCohort": True}
    with refused(400, "known_phase"):
        await program.group(leader, **phase | {"phase": "no-such-phase"})
    group = await program.group(leader, **phase | {"startsOn": program.date(1)})
    assert (await leader.get(f"/v1/groups/{group}"))["details"]["phase"] == "stabilization"
    goes_on = program.pattern(["TUESDAY"], "09:00", 180) | {"lastDate": ""}
    series = await program.coordinator.post(f"/v1/groups/{group}/series", {"pattern": goes_on})
    assert series["pattern"]["lastDate"] == program.date(27)
    ben, cal = await program.referred("Ben"), await program.referred("Cal")
    await program.enrol(group, ben)
    planned = (await ben.get("/v1/sessions", to=timestamp(program.now() + timedelta(weeks=20))))["sessions"]
    assert [each["startsLocal"][:10] for each in planned] == [program.date(each) for each in (1, 8, 15, 22)]
    begun = await program.group(await program.leader("Lou"), **phase | {"startsOn": program.date(-1)})
    with refused(409, "cohort_started"):
        await program.enrol(begun, cal)


async def test_nothing_that_one_partner_does_in_private_is_seen_by_the_other(program: Program) -> None:
    """However much they share by consent: on no calendar, in no week, feed or list, and behind no door."""
    dee, eve = await program.admitted("Dee"), await program.admitted("Eve")
    await program.link(dee, eve, "COUPLE", scopes=["NAME", "SCHEDULE", "PROGRESS"])
    leader = await program.leader("Lee")
    at = tomorrow(program, 9)
    both = await program.plan("COUPLES", leader, dee, eve, starts=at)
    alone = await program.plan("INDIVIDUAL", leader, dee, starts=at + timedelta(hours=1), title="Safety at home")
    series = await program.coordinator.post(
        "/v1/series",
        {
            "kind": "SESSION_KIND_CHECK_IN",
            "title": "Safety check-in",
            "personIds": [dee.person_id],
            "facilitatorId": leader.sub,
            "pattern": program.pattern(["WEDNESDAY"], "13:00", 20),
        },
    )
    group = await program.group(await program.leader("Lou"), title="Safety group")
    await program.series(group, ["THURSDAY"], "13:00", 60)
    (place,) = await program.enrol(group, dee)
    await leader.put(
        f"/v1/sessions/{alone['sessionId']}/agenda",
        {"title": "Safety plan", "items": [{"kind": "AGENDA_ITEM_KIND_SKILL", "title": "Safety", "minutes": 50}]},
    )
    private = ids((await dee.get("/v1/sessions"))["sessions"]) - {both["sessionId"]}
    assert len(private) == 5
    # What intake told before, the link too, is known everywhere once this is: nothing is hidden only by being late.
    room = f"/v1/rooms/{both['sessionId']}"
    team = {program.therapist: "INDIVIDUAL_THERAPIST", program.prescriber: "PRESCRIBER"}
    await program.care_team(eve, team)
    for path in ("week", "attendance"):
        await program.prescriber.eventually(f"/v1/people/{eve.person_id}/{path}", lambda _: True)
    await eve.eventually(f"{room}/agreement", lambda found: found.get("agreementId"))
    await dee.eventually(f"/v1/rooms/{alone['sessionId']}/agreement", lambda found: found.get("agreementId"))

    span = {"from": timestamp(program.now()), "to": timestamp(program.now() + timedelta(weeks=4))}
    seen = [
        await eve.get("/v1/sessions", **span, include_cancelled="true"),
        await eve.get("/v1/sessions", group_id=group),
        await eve.get(f"/v1/sessions/{both['sessionId']}"),
        await eve.get("/v1/activities", page_size=200),
        await week_of(eve),
        await eve.get(f"/v1/people/{eve.person_id}/calendar-feed"),
        await eve.get(f"/v1/people/{eve.person_id}/enrolments"),
        await fitting(eve, eve),
        await eve.get(room),
        await eve.get(f"/v1/people/{eve.person_id}/attendance"),
    ]
    assert ids(seen[0]["sessions"]) == {both["sessionId"]}
    hidden = [*private, dee.person_id, series["seriesId"], place["enrolmentId"], "Safety at home", "Safety check-in"]
    for each in seen:
        for what in hidden:
            assert what not in str(each)
    for session in private:
        for path in (f"/v1/sessions/{session}", f"/v1/sessions/{session}/agenda", f"/v1/rooms/{session}"):
            with refused(404):
                await eve.get(path)
        with refused(404):
            await eve.post(f"/v1/rooms/{session}:join", {"displayName": "Eve"})
    for path in ("week", "availability", "enrolments", "calendar-feed", "attendance"):
        with refused(404):
            await eve.get(f"/v1/people/{dee.person_id}/{path}")
    with refused(404):
        await eve.get("/v1/sessions", person_id=dee.person_id)
    with refused(403):
        await eve.get(f"/v1/series/{series['seriesId']}")
    wish = {"couple": "COUPLE_WISH_TOGETHER", "partnerPersonId": dee.person_id}
    with refused(403):
        await eve.post(f"/v1/people/{eve.person_id}:proposeGroups", wish)

    partner = Actor(program.day.web, "Eve", "partner", person_id=eve.person_id)
    assert ids((await partner.get("/v1/sessions", **span))["sessions"]) == {both["sessionId"]}
    for path in ("/v1/sessions", f"/v1/people/{dee.person_id}/enrolments", f"/v1/people/{dee.person_id}/attendance"):
        with refused(404):
            await partner.get(path, **({"person_id": dee.person_id} if path == "/v1/sessions" else {}))
    for session in private:
        for path in (f"/v1/sessions/{session}", f"/v1/sessions/{session}/agenda", f"/v1/rooms/{session}"):
            with refused(404):
                await partner.get(path)
