"""What programs need from scheduling, each need proven through the gateway."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from program import Program, refused, timestamp

from haven_dev.day.actor import Actor
from haven_dev.runner import Platform


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    return Program.begin(platform, http)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kim(program: Program) -> Actor:
    """A licensed facilitator. Sessions of different tests that Kim leads are at different times."""
    return await program.leader("Kim")


def ids(sessions: Iterable[Any]) -> set[str]:
    return {each["sessionId"] for each in sessions}


def tomorrow(program: Program, hour: int) -> datetime:
    return (program.now() + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)


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
    week = await zoe.get(f"/v1/people/{zoe.person_id}/week")
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
        await eve.get(f"/v1/people/{eve.person_id}/week"),
        await eve.get(f"/v1/people/{eve.person_id}/calendar-feed"),
        await eve.get(f"/v1/people/{eve.person_id}/enrolments"),
        await eve.post(f"/v1/people/{eve.person_id}:proposeGroups"),
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
