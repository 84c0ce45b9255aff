"""What programs need from the live sessions, each need proven through the gateway. Video is not among them yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from program import WEEKDAYS, Program, refused

from haven_dev.day.actor import Actor
from haven_dev.runner import Platform


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    return Program.begin(platform, http)


async def me(who: Actor, room: str) -> Any:
    """How somebody sees themselves in the room."""
    found = await who.get(room)
    return next(each for each in found["members"] if each["memberId"] == found["myMemberId"])


def names(found: Any) -> set[str]:
    return {each["displayName"] for each in found["members"]}


def kinds(events: list[Any]) -> set[str]:
    return {key for each in events for key in each if key not in ("eventId", "at")}


@pytest.mark.capability("SES-05")
async def test_couples_attend_together(program: Program) -> None:
    leader = await program.leader("Dr. Lee", "couples_therapist")
    jo, sam = await program.referred("Jo"), await program.referred("Sam", "partner")
    await program.link(jo, sam, "COUPLE")
    starts = program.now() + timedelta(hours=1)
    with refused(400, "people_of_kind"):
        await program.plan("COUPLES", leader, jo, starts=starts)
    planned = await program.plan("COUPLES", leader, jo, sam, starts=starts)
    room = await program.opened(planned["sessionId"], leader, jo, sam)
    for each in (jo, sam):
        seen = await each.get(room)
        assert (seen["kind"], names(seen)) == ("couples", {"Dr. Lee", "Jo", "Sam"})
    with refused(404):
        await (await program.referred("Out")).post(f"{room}:join", {"displayName": "Out"})
    await jo.post(f"{room}:leave")
    assert names(await sam.get(room)) == {"Dr. Lee", "Sam"}
    await jo.post(f"{room}:join", {"displayName": "Jo"})
    await leader.post(f"{room}:close")
    attended = await leader.get(f"{room}/attendance")
    assert {(each["personId"], each["kind"]) for each in attended["attendance"]} == {
        (jo.person_id, "couples"),
        (sam.person_id, "couples"),
    }


@pytest.mark.capability("SES-08")
async def test_psychoeducation_is_planned_found_and_held(program: Program) -> None:
    leader = await program.leader("Lee")
    with refused(409, "facilitator_not_licensed"):
        await program.group(program.staff("Nobody", "facilitator"), kind="GROUP_KIND_PSYCHOEDUCATION")
    group = await program.group(leader, kind="GROUP_KIND_PSYCHOEDUCATION", title="How trauma works")
    await program.series(group, WEEKDAYS, "15:00", 60, weeks=1)
    mia = await program.referred("Mia")
    listed = await mia.get("/v1/groups", kind="GROUP_KIND_PSYCHOEDUCATION", page_size=200)
    assert group in {each["groupId"] for each in listed["groups"]}
    await program.enrol(group, mia)
    session = (await mia.get("/v1/sessions"))["sessions"][0]
    assert session["title"] == "How trauma works"
    items = [
        {"kind": "AGENDA_ITEM_KIND_OPENING", "title": "Arriving", "minutes": 10},
        {"kind": "AGENDA_ITEM_KIND_PSYCHOEDUCATION", "title": "What the body remembers", "minutes": 50},
    ]
    agenda = {"title": "The body", "objectives": ["Know why the body startles"], "items": items}
    await leader.put(f"/v1/sessions/{session['sessionId']}/agenda", agenda)
    room = await program.opened(session["sessionId"], leader, mia)
    await leader.post(f"{room}:moveAgenda", {"agendaPosition": 1})
    seen = await mia.get(room)
    assert seen["agenda"][seen["agendaPosition"]] == {"title": "What the body remembers", "minutes": 50}


@pytest.mark.capability("SES-10")
async def test_breakout_rooms_are_a_choice(program: Program) -> None:
    group = await program.meeting("Ana", "Ben", "Cleo")
    ana, ben, cleo = group.people
    together = {"name": "Garden", "memberIds": [group.member["Ana"], group.member["Ben"]]}
    await group.staff("keepApart", pairs=[{"memberId": group.member["Ana"], "fromMemberId": group.member["Ben"]}])
    with refused(409, "kept_apart"):
        await group.staff("openBreakouts", breakouts=[together])
    await group.staff("keepApart", pairs=[])
    opened = (await group.staff("openBreakouts", breakouts=[together]))["breakouts"]
    (garden,) = (each["breakoutId"] for each in opened)

    assert [each["name"] for each in (await ana.get(group.room))["breakouts"]] == ["Garden"]
    assert (await cleo.get(group.room))["breakouts"] == [], "who is not invited does not learn of it"
    with refused(404):
        await cleo.post(f"{group.room}:joinBreakout", {"breakoutId": garden})
    assert (await me(ana, group.room))["breakoutId"] == "", "nobody is moved"
    await ana.post(f"{group.room}:joinBreakout", {"breakoutId": garden})
    assert (await me(ana, group.room))["breakoutId"] == garden
    await ben.post(f"{group.room}:leaveBreakout")
    assert (await me(ben, group.room))["breakoutId"] == "", "declining is staying in the main room"
    await ana.post(f"{group.room}:leaveBreakout")
    assert (await me(ana, group.room))["breakoutId"] == ""
    await ana.post(f"{group.room}:joinBreakout", {"breakoutId": garden})
    await group.staff("closeBreakouts")
    assert (await me(ana, group.room))["breakoutId"] == ""
    (told,) = await group.seen_until_closed(cleo)
    assert kinds(told).isdisjoint({"breakoutOpened", "breakoutMoved", "breakoutsClosed", "keptApart"})


@pytest.mark.capability("SES-11")
async def test_a_check_in_takes_place_in_the_middle_and_the_others_do_not_know(program: Program) -> None:
    group = await program.meeting("Ana", "Ben")
    ana, ben = group.people
    started = await group.staff("startCheckIn", memberId=group.member["Ana"])
    (check_in,) = started["breakouts"]
    assert check_in["checkIn"]
    assert [each["breakoutId"] for each in (await ana.get(group.room))["breakouts"]] == [check_in["breakoutId"]]
    await ana.post(f"{group.room}:joinBreakout", {"breakoutId": check_in["breakoutId"]})
    inside = {each["displayName"] for each in (await ana.get(group.room))["members"] if each["breakoutId"]}
    assert inside == {"Kim", "Ana"}
    seen = await ben.get(group.room)
    assert seen["breakouts"] == []
    assert {each["breakoutId"] for each in seen["members"]} == {""}
    with refused(404):
        await ben.post(f"{group.room}:joinBreakout", {"breakoutId": check_in["breakoutId"]})
    await ana.post(f"{group.room}:leaveBreakout")
    await group.staff("leaveBreakout")
    assert (await group.leader.get(group.room))["breakouts"] == [], "it ends when both have left it"
    hers, his = await group.seen_until_closed(ana, ben)
    assert {"breakoutOpened", "breakoutMoved", "breakoutsClosed"} <= kinds(hers)
    assert kinds(his).isdisjoint({"breakoutOpened", "breakoutMoved", "breakoutsClosed"})


@pytest.mark.capability("SES-12")
async def test_everyone_takes_part_at_their_own_pace(program: Program) -> None:
    group = await program.meeting("Ana", "Ben")
    ana, ben = group.people
    assert (await me(ana, group.room))["participation"] == "PARTICIPATION_LISTEN", "nobody has to choose"
    for how in ("LISTEN", "CHAT"):
        await ana.post(f"{group.room}:chooseParticipation", {"participation": f"PARTICIPATION_{how}"})
        with refused(409, "own_pace"):
            await group.staff("giveTurn", memberId=group.member["Ana"])
    await ana.post(f"{group.room}:raiseHand")
    await group.staff("giveTurn", memberId=group.member["Ana"])
    await ana.post(f"{group.room}:lowerHand")
    with refused(409, "own_pace"):
        await group.staff("giveTurn", memberId=group.member["Ana"])
    await ben.post(f"{group.room}:chooseParticipation", {"participation": "PARTICIPATION_SPEAK"})
    await group.staff("giveTurn", memberId=group.member["Ben"])
    await ben.post(f"{group.room}:chooseParticipation", {"participation": "PARTICIPATION_LISTEN"})
    with refused(409, "own_pace"):
        await group.staff("giveTurn", memberId=group.member["Ben"])
    (told,) = await group.seen_until_closed(ana)
    turns = [each["turnChanged"]["memberId"] for each in told if "turnChanged" in each]
    assert turns == [group.member["Ana"], "", group.member["Ben"], ""], "skipping gives the floor back"


@pytest.mark.capability("SES-13")
async def test_pet_breaks(program: Program) -> None:
    group = await program.meeting("Ana", "Ben")
    ana, ben = group.people
    for each in group.people:
        with refused(403):
            await each.post(f"{group.room}:startPause", {"kind": "PAUSE_KIND_PET_BREAK", "minutes": 10})
    await group.staff("startPause", kind="PAUSE_KIND_PET_BREAK", minutes=10)
    for each in (ana, ben):
        pause = (await each.get(group.room))["pause"]
        assert pause["kind"] == "PAUSE_KIND_PET_BREAK"
        assert pause["endsAt"] > pause["startedAt"]
    with refused(409, "already_paused"):
        await group.staff("startPause", kind="PAUSE_KIND_BREAK", minutes=5)
    await group.staff("endPause")
    assert not (await ana.get(group.room)).get("pause")
    templates = (await group.leader.get("/v1/agenda-templates"))["templates"]
    assert "AGENDA_ITEM_KIND_PET_BREAK" in {item["kind"] for each in templates for item in each["items"]}


@pytest.mark.capability("SES-15")
async def test_sessions_are_led_by_people_licensed_for_them(program: Program) -> None:
    starts = program.now() + timedelta(hours=1)
    ana, ben = await program.referred("Ana"), await program.referred("Ben")
    expired = [{"credential": "lcsw", "jurisdiction": "US-IL", "expiresOn": program.date(-1)}]
    lapsed = await program.licensed(program.staff("Lapsed", "facilitator"), credentials=expired)
    with refused(409, "facilitator_not_licensed"):
        await program.plan("INDIVIDUAL", lapsed, ana, starts=starts)

    other_field = await program.leader("Counselor", "substance_use_counselor")
    couples = await program.plan("COUPLES", other_field, ana, ben, starts=starts)
    path = f"/v1/rooms/{couples['sessionId']}"
    await ana.eventually(path, lambda found: found["state"] == "ROOM_STATE_WAITING")
    with refused(409, "licensed_facilitator"):
        await other_field.post(f"{path}:open")

    right = await program.leader("Right", "couples_therapist")
    change = {"startsAt": couples["startsAt"], "facilitatorId": right.sub, "etag": couples["etag"]}
    await program.coordinator.post(f"/v1/sessions/{couples['sessionId']}:reschedule", change)
    await right.once_possible(f"{path}:open")
    with refused(404):
        await (await program.leader("Another", "couples_therapist")).post(f"{path}:open")
    with refused(403):
        await ana.post(f"{path}:open")


@pytest.mark.capability("SES-16")
async def test_a_facilitator_keeps_the_room_safe_and_can_take_it_back(program: Program) -> None:
    group = await program.meeting("Ana", "Ben")
    ana, ben = group.people
    await group.moderate("Ben", "mute")
    assert (await me(ben, group.room))["muted"]
    assert not any(each["muted"] for each in (await ana.get(group.room))["members"]), "not in front of the others"
    await group.moderate("Ben", "unmute")
    assert not (await me(ben, group.room))["muted"]

    await group.moderate("Ben", "moveToLobby", reason="REMOVAL_REASON_AGREEMENT")
    assert names(await ana.get(group.room)) == {"Kim", "Ana"}
    assert (await ben.get(group.room))["members"] == []
    for act, body in (("join", {"displayName": "Ben"}), ("sendMessage", {"text": "hello"})):
        with refused(409):
            await ben.post(f"{group.room}:{act}", body)
    await ben.post(f"{group.room}:sendMessage", {"text": "I am calm now", "toStaff": True})
    await group.moderate("Ben", "admit")
    await ben.post(f"{group.room}:join", {"displayName": "Ben"})
    assert names(await ana.get(group.room)) == {"Kim", "Ana", "Ben"}

    await group.moderate("Ben", "remove", reason="REMOVAL_REASON_SAFETY")
    with refused(409, "removed"):
        await ben.post(f"{group.room}:join", {"displayName": "Ben"})
    assert names(await ana.get(group.room)) == {"Kim", "Ana"}
    with refused(403):
        await ana.post(f"{group.room}/members/{group.member['Ben']}:remove", {"reason": "REMOVAL_REASON_SAFETY"})
    await group.moderate("Ben", "admit")
    await ben.post(f"{group.room}:join", {"displayName": "Ben"})
    hers, staffs = await group.seen_until_closed(ana, group.leader)
    assert "moderated" not in kinds(hers)
    reasons = [each["moderated"]["reason"] for each in staffs if "moderated" in each]
    assert "REMOVAL_REASON_SAFETY" in reasons


@pytest.mark.capability("SES-17")
async def test_the_facilitator_sees_who_has_not_been_heard(program: Program) -> None:
    group = await program.meeting("Ana", "Ben", "Cleo")
    for each in group.people[:2]:
        await each.post(f"{group.room}:chooseParticipation", {"participation": "PARTICIPATION_SPEAK"})
    await group.staff("giveTurn", memberId=group.member["Ana"])
    await group.later(minutes=2)
    await group.staff("giveTurn", memberId="")
    speaking = {each["memberId"]: each for each in (await group.leader.get(group.room))["speaking"]}
    ana, ben, cleo = (speaking[group.member[each]] for each in ("Ana", "Ben", "Cleo"))
    assert 120 <= ana["seconds"] < 180
    assert (ana["share"], ana["invite"]) == (1.0, False)
    assert (ben["share"], ben["invite"]) == (0.0, True)
    assert not cleo["invite"], "who listens is not named as quiet"
    for each in group.people:
        assert (await each.get(group.room))["speaking"] == []
    await group.staff("giveTurn", memberId=group.member["Ben"])
    await group.later(minutes=2)
    after = (await group.leader.get(group.room))["speaking"]
    assert not any(each["invite"] for each in after)


@pytest.mark.capability("SES-18")
async def test_everyone_agrees_to_listen_and_not_to_interrupt_judge_or_criticize(program: Program) -> None:
    leader, ana = await program.leader("Lee"), await program.referred("Ana")
    starts = program.now() + timedelta(hours=1)
    first, second = [
        (await program.plan("GROUP", leader, ana, starts=starts + timedelta(hours=each)))["sessionId"]
        for each in range(2)
    ]
    room = f"/v1/rooms/{first}"
    await leader.once_possible(f"{room}:open")
    agreement = await ana.eventually(f"{room}/agreement", lambda found: found["agreementId"])
    rules = {each["ruleId"]: each["text"] for each in agreement["rules"]}
    assert {"listening", "no_interrupting", "no_judgement", "no_criticism"} <= set(rules)
    assert all(rules.values())
    assert not agreement["accepted"]
    for each in (ana, leader):
        with refused(409, "group_agreement"):
            await each.post(f"{room}:join", {"displayName": "A"})
    with refused(409, "agreement_version"):
        await ana.post(f"{room}:acceptAgreement", {"agreementId": "group-agreement/0"})
    await ana.post(f"{room}:acceptAgreement", {"agreementId": agreement["agreementId"]})
    assert (await ana.post(f"{room}:join", {"displayName": "Ana"}))["myMemberId"]
    await leader.once_possible(f"/v1/rooms/{second}:open")
    assert (await ana.get(f"/v1/rooms/{second}/agreement"))["accepted"], "asked once, not each time"
    await ana.once_possible(f"/v1/rooms/{second}:join", {"displayName": "Ana"})


@pytest.mark.capability("SES-19")
async def test_chat(program: Program) -> None:
    group = await program.meeting("Ana", "Ben")
    ana, ben = group.people
    for who, text in ((ana, "Good morning"), (ben, "Hello Ana"), (group.leader, "Welcome")):
        await who.post(f"{group.room}:sendMessage", {"text": text})
    await ana.post(f"{group.room}:sendMessage", {"text": "I would like a moment with you", "toStaff": True})
    everyone = [("Ana", "Good morning"), ("Ben", "Hello Ana"), ("Kim", "Welcome")]
    quiet = [("Ana", "I would like a moment with you")]
    writer = {member: name for name, member in group.member.items()}
    for who, sees in ((ana, everyone + quiet), (ben, everyone), (group.leader, everyone + quiet)):
        found = (await who.get(f"{group.room}/messages"))["messages"]
        assert [(writer[each["memberId"]], each["text"]) for each in found] == sees
    paged = await ben.get(f"{group.room}/messages", page_size=2)
    rest = await ben.get(f"{group.room}/messages", page_size=2, page_token=paged["nextPageToken"])
    assert [each["text"] for each in paged["messages"] + rest["messages"]] == [text for _, text in everyone]
    with refused(404):
        await (await program.referred("Out")).get(f"{group.room}/messages")
    await ben.post(f"{group.room}:leave")
    with refused(409, "not_joined"):
        await ben.post(f"{group.room}:sendMessage", {"text": "Bye"})
    hers, staffs = await group.seen_until_closed(ana, group.leader)
    assert [each["message"]["text"] for each in hers if "message" in each] == [text for _, text in everyone + quiet]
    assert len([each for each in staffs if "message" in each]) == 4


@pytest.mark.capability("SES-23")
async def test_grounding_is_at_hand_for_flashbacks(program: Program) -> None:
    group = await program.meeting("Ana", "Ben")
    ana, ben = group.people
    exercises = (await ana.get("/v1/grounding-exercises"))["exercises"]
    assert len(exercises) >= 4
    assert all(each["steps"] and each["source"] for each in exercises)
    thanks = await ana.post(f"{group.room}:askForPause")
    assert "nobody else" in thanks["text"]
    wanted = exercises[1]
    await group.staff("startPause", kind="PAUSE_KIND_GROUNDING", minutes=5, exerciseId=wanted["exerciseId"])
    for each in (ana, ben):
        pause = (await each.get(group.room))["pause"]
        assert pause["kind"] == "PAUSE_KIND_GROUNDING"
        assert pause["exercise"]["steps"] == wanted["steps"]
    await group.staff("endPause")
    with refused(400, "known_exercise"):
        await group.staff("startPause", kind="PAUSE_KIND_GROUNDING", minutes=5, exerciseId="no-such")
    his, staffs = await group.seen_until_closed(ben, group.leader)
    assert "pauseAsked" not in kinds(his)
    asked = [each["pauseAsked"]["memberId"] for each in staffs if "pauseAsked" in each]
    assert asked == [group.member["Ana"]]


@pytest.mark.capability("SES-29")
async def test_attendance_is_measured_and_corrections_are_accounted_for(program: Program) -> None:
    group = await program.meeting("Ana", "Ben")
    ana, ben = group.people
    absent = await program.referred("Cleo")
    await program.coordinator.post(f"/v1/sessions/{group.session}/seats", {"personId": absent.person_id})
    await absent.eventually(group.room, lambda found: found["state"] == "ROOM_STATE_OPEN")
    present = [ana, ben, group.leader]
    for step in range(1, 7):
        await group.later(minutes=5)
        for each in present:
            await each.post(f"{group.room}:heartbeat")
        if step == 3:
            await ben.post(f"{group.room}:leave")
            present.remove(ben)
    await group.staff("close")
    found = {each["personId"]: each for each in (await group.leader.get(f"{group.room}/attendance"))["attendance"]}
    minutes = {each.name: found[each.person_id]["attendedMinutes"] for each in (ana, ben, absent)}
    assert minutes == {"Ana": 30, "Ben": 15, "Cleo": 0}

    own = (await ben.get(f"/v1/people/{ben.person_id}/attendance"))["attendance"]
    assert [(each["sessionId"], each["attendedMinutes"]) for each in own] == [(group.session, 15)]
    with refused(404):
        await ana.get(f"/v1/people/{ben.person_id}/attendance")
    with refused(403):
        await ana.get(f"{group.room}/attendance")
    with refused(404):
        await (await program.leader("Another")).get(f"{group.room}/attendance")

    path = f"/v1/attendance/{own[0]['attendanceId']}:correct"
    by_phone = {"attendedMinutes": 25, "reason": "CORRECTION_REASON_TELEPHONE", "etag": own[0]["etag"]}
    corrected = await group.leader.post(path, by_phone)
    assert corrected["attendedMinutes"] == 25
    assert corrected["intervals"] == own[0]["intervals"], "what was measured stays"
    (noted,) = corrected["corrections"]
    assert (noted["minutesBefore"], noted["minutesAfter"]) == (15, 25)
    assert (noted["reason"], noted["correctedBy"]) == ("CORRECTION_REASON_TELEPHONE", group.leader.sub)
    with refused(412):
        await group.leader.post(path, by_phone)
    with refused(400, "planned_length"):
        await group.leader.post(path, by_phone | {"attendedMinutes": 61, "etag": corrected["etag"]})
    with refused(403):
        await ben.post(path, by_phone | {"etag": corrected["etag"]})
