"""What programs need for community and safety among people, each need proven through the gateway."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
import pytest
import pytest_asyncio
from program import Program, refused

from haven_dev.runner import Platform


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    return Program.begin(platform, http)


@pytest.mark.capability("COM-15")
async def test_nobody_learns_who_else_is_in_a_group_nor_that_one_is_in_it(program: Program) -> None:
    leader = await program.leader("Kim")
    group = await program.group(leader, title="Rising group", track="iop-adult-co-occurring")
    await program.series(group, ["TUESDAY", "THURSDAY"], "09:00", 60, weeks=1)
    ana, ben = await program.referred("Ana"), await program.referred("Ben")
    await program.enrol(group, ana, ben)
    first, second = [each["sessionId"] for each in (await ana.get("/v1/sessions"))["sessions"]]

    # Under a name of one's choice, and as somebody else in the next room.
    ids_of_ana = []
    for session in (first, second):
        room = await program.opened(session, leader)
        await program.joined(room, ana, displayName="Heron")
        await program.joined(room, ben, displayName="Fern")
        seen = await ben.get(room)
        assert {each["displayName"] for each in seen["members"]} == {"Kim", "Heron", "Fern"}
        heron = next(each for each in seen["members"] if each["displayName"] == "Heron")
        ids_of_ana.append(heron["memberId"])
        for private in (ana.person_id, ana.sub):
            assert private not in str(seen)
        messages = await ana.post(f"{room}:sendMessage", {"text": "Hello"})
        assert messages["memberId"] == heron["memberId"]
        assert ana.person_id not in str(await ben.get(f"{room}/messages"))
        await leader.post(f"{room}:close")
    assert len({*ids_of_ana, ana.person_id, ana.sub}) == 4

    # Neither the calendar nor the roster tells who else comes.
    calendar = await ben.get("/v1/sessions", to=f"{program.date(14)}T00:00:00Z")
    assert {person for each in calendar["sessions"] for person in each["personIds"]} == {ben.person_id}
    with refused(403):
        await ben.get(f"/v1/groups/{group}/enrolments")
    for path in ("enrolments", "week", "attendance", "calendar-feed"):
        with refused(404):
            await ben.get(f"/v1/people/{ana.person_id}/{path}")

    # A calendar app on a shared screen shows an appointment, and what came of the data names no group and no one in it.
    feed = (await ana.get(f"/v1/people/{ana.person_id}/calendar-feed"))["icalendar"]
    summaries = {line.partition(":")[2] for line in feed.splitlines() if line.startswith("SUMMARY")}
    assert summaries == {"Appointment"}
    assert "Rising" not in feed
    history = await ana.eventually(
        f"/v1/people/{ana.person_id}/accesses",
        lambda found: {"scheduling", "sessions"} <= {each["service"] for each in found.get("accesses", [])},
        page_size=200,
    )
    for told in ("Rising", group, ben.person_id, ben.sub, "Fern", "co-occurring"):
        assert told not in str(history)


async def test_a_person_may_be_called_differently_in_each_room(program: Program) -> None:
    leader, ana = await program.leader("Kim"), await program.referred("Ana")
    for hours, name in enumerate(("Heron", "A."), start=1):
        starts = program.now() + timedelta(hours=hours)
        session = (await program.plan("INDIVIDUAL", leader, ana, starts=starts))["sessionId"]
        room = await program.opened(session, leader)
        await program.joined(room, ana, displayName=name)
        assert {each["displayName"] for each in (await leader.get(room))["members"]} == {"Kim", name}


@pytest.mark.capability("CAR-38")
async def test_people_say_how_safe_it_felt_and_nobody_learns_who_said_what(program: Program) -> None:
    group = await program.meeting("Ana", "Ben", "Cleo")
    ana, ben, cleo = group.people
    low = {"heard": 2, "respected": 4, "comfortable": 1, "private": 5}
    high = {"heard": 5, "respected": 4, "comfortable": 4, "private": 5}
    with refused(409, "not_over"):
        await ana.post(f"{group.room}:rate", low)
    await group.staff("close")
    for incomplete in ({"heard": 5}, high | {"private": 6}):
        with refused(400):
            await ana.post(f"{group.room}:rate", incomplete)
    await ana.post(f"{group.room}:rate", high)
    await ben.post(f"{group.room}:rate", high)
    few = await group.leader.get(f"{group.room}/safety")
    assert (few["answers"], few["heard"], few["comfortable"]) == (2, 0, 0), "two answers would tell whose they are"
    await cleo.post(f"{group.room}:rate", high)
    await cleo.post(f"{group.room}:rate", low)
    summary = await group.leader.get(f"{group.room}/safety")
    assert summary["answers"] == 3, "answering again replaces the answer"
    means = [summary[each] for each in ("heard", "respected", "comfortable", "private")]
    assert means == [4.0, 4.0, 3.0, 5.0]
    assert not any(each.person_id in str(summary) for each in group.people)
    with refused(403):
        await ana.get(f"{group.room}/safety")
    with refused(404):
        await (await program.leader("Another")).get(f"{group.room}/safety")
    with refused(404):
        await (await program.referred("Out")).post(f"{group.room}:rate", high)
