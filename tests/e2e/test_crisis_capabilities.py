"""What crisis must be able to do, through the gateway."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from haven_dev.day import before
from haven_dev.day.actor import Actor
from haven_dev.runner import Platform
from tests.e2e.program import Program, refused, timestamp

PLAN = {
    "warningSigns": ["not sleeping", "everything feels far away"],
    "coping": ["cold water on my wrists", "counting breaths"],
    "distractions": ["the library"],
    "peopleToAsk": ["my sister Ana"],
    "professionals": ["Dr. Ito", "988"],
    "saferSurroundings": ["medicine kept by Ana"],
}
HOME = {"address": "18 Elm Street, Chicago", "region": "IL", "country": "US"}
BUTTON = {"source": "SIGNAL_SOURCE_HELP_BUTTON"}
HURT = re.compile(
    r"\b(must|should|failed|fault|wrong|immediately|hurry|attention|patient|overreact\w*)\b", re.IGNORECASE
)
"""Words that blame, hurry or label."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    """A program with two responders on call, of whom the second is paged when the first does not answer."""
    made = Program.begin(platform, http)
    await before.on_call(made.day)
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def robin(program: Program) -> Actor:
    """Someone with an individual therapist, a safety plan and a place."""
    someone = await program.referred("Robin")
    await program.care_team(someone, {program.therapist: "INDIVIDUAL_THERAPIST"})
    await someone.put(_record(someone, "safety-plan"), {"plan": PLAN})
    await someone.put(_record(someone, "location"), {"location": HOME})
    return someone


def _record(someone: Actor, part: str) -> str:
    return f"/v1/people/{someone.person_id}/{part}"


async def _alert(program: Program, someone: Actor, responder: Actor) -> str:
    """The open alert of a person, as a responder on duty finds it."""

    def theirs(found: Any) -> list[Any]:
        return [each for each in found["alerts"] if each["personId"] == someone.person_id]

    return str(theirs(await responder.eventually("/v1/alerts", theirs))[0]["alertId"])


async def _end(program: Program, alert: str, responder: Actor) -> Any:
    await responder.post(f"/v1/alerts/{alert}:recordContact", {"reached": True, "way": "phone", "note": "Spoke."})
    return await responder.post(
        f"/v1/alerts/{alert}:close",
        {
            "disposition": "DISPOSITION_SAFETY_PLAN_USED",
            "riskLevel": "RISK_LEVEL_LOW",
            "nobodyTold": True,
            "followUpDueAt": timestamp(program.now() + timedelta(hours=20)),
        },
    )


async def _view(program: Program, someone: Actor) -> tuple[Any, Any]:
    """Call for help, and look at it as the responder who takes it, once intake has brought the card; then end it."""
    responder = program.day.first_responder
    called = await someone.post("/v1/signals", BUTTON)
    await responder.post(f"/v1/alerts/{called['alertId']}:acknowledge")
    view = await responder.eventually(
        f"/v1/alerts/{called['alertId']}/view", lambda found: found["person"] and found["person"]["chosenName"]
    )
    await _end(program, called["alertId"], responder)
    return called, view


@pytest.mark.capability("CRI-01", "CRI-02")
async def test_the_plan_for_hard_moments_is_written_together_and_is_there_when_one_comes(
    program: Program, robin: Actor
) -> None:
    path = _record(robin, "safety-plan")
    read = await program.therapist.eventually(path, lambda found: found["coping"])
    assert {name: read[name] for name in PLAN} == PLAN
    together = PLAN | {"coping": [*PLAN["coping"], "calling Ana first"]}
    changed = await program.therapist.put(path, {"plan": together | {"etag": read["etag"]}})
    with refused(412):
        await robin.put(path, {"plan": PLAN | {"etag": read["etag"]}})
    with refused(404):
        await program.staff("Elsewhere", "individual_therapist").get(path)
    _, view = await _view(program, robin)
    assert {name: view["safetyPlan"][name] for name in PLAN} == together
    assert view["safetyPlan"]["etag"] == changed["etag"]
    unplanned = await program.referred("Uma")
    _, view = await _view(program, unplanned)
    assert "There is no safety plan." in view["cautions"]


@pytest.mark.capability("CRI-03")
async def test_whom_to_reach_in_an_emergency_is_shown_to_both_sides(program: Program, robin: Actor) -> None:
    calm = await robin.get(_record(robin, "help"))
    assert calm["state"] == "HELP_STATE_NONE"
    assert "988" in [each["number"] for each in calm["helpLines"]]
    ways = [{"kind": "phone", "address": "312-555-0177"}]
    contacts = [{"name": "Ana", "relationship": "sister", "ways": ways, "consented": True}]
    await robin.put(_record(robin, "crisis-contacts"), {"contacts": {"contacts": contacts}})
    assert (await robin.get(_record(robin, "crisis-contacts")))["contacts"][0]["name"] == "Ana"
    called, view = await _view(program, robin)
    assert "988" in [each["number"] for each in called["helpLines"]]
    assert view["emergencyLines"][0]["number"] == "911"
    assert view["location"]["address"] == HOME["address"]
    assert view["contacts"]["contacts"][0]["ways"][0]["address"] == "312-555-0177"
    await robin.put(_record(robin, "location"), {"location": {"address": "Hauptstraße 1, Berlin", "country": "DE"}})
    _, view = await _view(program, robin)
    assert view["emergencyLines"][0]["number"] == "112", "the number of the place where the person is"
    await robin.put(_record(robin, "location"), {"location": HOME})


@pytest.mark.capability("CRI-04")
async def test_only_those_who_are_safe_to_reach_can_be_reached(program: Program) -> None:
    someone = await program.referred("Ines")
    phone = [{"kind": "phone", "address": "312-555-0101"}]
    contacts = [
        {"name": "Former partner", "relationship": "partner", "ways": phone, "neverContact": True},
        {"name": "Neighbor", "relationship": "neighbor", "ways": phone},
        {"name": "Ana", "relationship": "sister", "ways": phone, "consented": True},
    ]
    await someone.put(_record(someone, "crisis-contacts"), {"contacts": {"contacts": contacts}})
    safe = {"channel": "text", "value": "312-555-0144", "when": "before three", "messageOk": False}
    preferences = {"safeContacts": [safe], "codeWord": "marigold", "neverContactPartner": True}
    await someone.put(_record(someone, "preferences"), {"preferences": preferences})
    called = await someone.post("/v1/signals", BUTTON)
    responder = program.day.first_responder
    await responder.post(f"/v1/alerts/{called['alertId']}:acknowledge")
    view = await responder.eventually(
        f"/v1/alerts/{called['alertId']}/view",
        lambda found: found["person"] and found["person"]["ways"] and found["person"]["ways"][0]["kind"] == "text",
    )
    assert [(each["name"], bool(each["ways"])) for each in view["contacts"]["contacts"]] == [
        ("Ana", True),
        ("Neighbor", False),
        ("Former partner", False),
    ]
    (way,) = view["person"]["ways"]
    assert (way["address"], way["safeTimes"], way["mayLeaveMessage"]) == ("312-555-0144", "before three", False)
    assert "marigold" in way["safeWords"]
    assert "tell nobody at home" in view["cautions"][0]
    assert any("never be told" in each for each in view["cautions"])
    await _end(program, called["alertId"], responder)


@pytest.mark.capability("CRI-06")
async def test_a_call_for_help_reaches_a_counselor_at_once_and_the_next_when_the_first_is_away(
    program: Program, platform: Platform, robin: Actor
) -> None:
    first, second = program.day.first_responder, program.day.second_responder
    seen = len(platform.webhook.received)
    called = await robin.post("/v1/signals", {"note": "I do not feel safe."})
    alert = called["alertId"]

    def paged(whom: Actor) -> Any:
        return lambda found: [
            each
            for each in found["pages"]
            if each["responderId"] == whom.sub and each["state"] == "PAGE_STATE_ACCEPTED"
        ]

    await first.eventually(f"/v1/alerts/{alert}/pages", paged(first))
    assert (await robin.get(_record(robin, "help")))["state"] == "HELP_STATE_CALLING"
    found = await first.eventually(f"/v1/alerts/{alert}/pages", paged(second))
    stages = {each["responderId"]: each["stage"] for each in found["pages"]}
    assert stages[first.sub] < stages[second.sub]
    received = [page.path for page in platform.webhook.received[seen:] if alert.encode() in page.body]
    assert received.index("/page/first_responder") < received.index("/page/second_responder")
    await second.post(f"/v1/alerts/{alert}:acknowledge")
    with refused(409, "taken"):
        await first.post(f"/v1/alerts/{alert}:acknowledge")
    coming = await robin.get(_record(robin, "help"))
    assert (coming["state"], coming["helperName"]) == ("HELP_STATE_COMING", "Responder 2")
    with refused(409):
        await second.post(
            f"/v1/alerts/{alert}:close",
            {
                "disposition": "DISPOSITION_SUPPORTED",
                "riskLevel": "RISK_LEVEL_LOW",
                "nobodyTold": True,
                "followUpDueAt": timestamp(program.now() + timedelta(hours=20)),
            },
        )
    await second.post(f"/v1/alerts/{alert}:recordContact", {"reached": True, "way": "phone"})
    assert (await robin.get(_record(robin, "help")))["state"] == "HELP_STATE_IN_TOUCH"
    closed = await _end(program, alert, second)
    assert closed["state"] == "ALERT_STATE_CLOSED"
    due = (await second.get("/v1/follow-ups"))["followUps"]
    assert closed["followUpId"] in {each["followUpId"] for each in due}
    assert (await robin.get(_record(robin, "help")))["state"] == "HELP_STATE_NONE"


@pytest.mark.capability("CRI-07")
async def test_help_comes_into_the_session_and_the_group_does_not_see_it(program: Program) -> None:
    caller, other = await program.admitted("Lev"), await program.admitted("Sam")
    leader = await program.leader("Kim")
    starts = program.now().replace(hour=10, minute=0, second=0, microsecond=0)
    planned = await program.coordinator.once_possible(
        "/v1/sessions",
        {
            "kind": "SESSION_KIND_GROUP",
            "title": "Morning group",
            "startsAt": timestamp(starts),
            "minutes": 60,
            "timeZone": "America/Chicago",
            "facilitatorId": leader.sub,
            "personIds": [caller.person_id, other.person_id],
            "format": "FORMAT_VIRTUAL",
        },
    )
    program.clock.set(starts)
    room = await program.opened(planned["sessionId"], leader)
    for each in (caller, other):
        await program.joined(room, each, location=HOME)
    pressed = await caller.post(f"{room}:callForHelp", {"note": "It is coming back."})
    assert pressed["reachedCrisis"]
    assert "988" in pressed["text"]
    responder = program.day.first_responder
    alert = await _alert(program, caller, responder)
    told = await leader.eventually(room, lambda found: found["help"])
    assert told["help"][0]["personId"] == caller.person_id
    assert not (await other.get(room))["help"], "the group sees nothing of it"
    assert not (await caller.get(room))["help"]
    await responder.post(f"/v1/alerts/{alert}:acknowledge")
    view = await responder.eventually(
        f"/v1/alerts/{alert}/view", lambda found: found["presentFacilitatorId"] == leader.sub
    )
    assert view["alert"]["sessionId"] == planned["sessionId"]
    assert view["location"]["address"] == HOME["address"]
    assert "It is coming back." in str(view["timeline"])
    await responder.post(f"/v1/alerts/{alert}:recordContact", {"reached": True, "way": "in_session"})
    await leader.eventually(room, lambda found: found["help"][0]["state"] == "HELP_STATE_CONTACT_MADE")
    await _end(program, alert, responder)


@pytest.mark.capability("CRI-08")
async def test_who_comes_knows_what_to_avoid_and_what_helps_and_the_person_is_never_blamed_or_hurried(
    program: Program,
) -> None:
    someone = await program.referred("Noa")
    preferences = {
        "chosenName": "Sky",
        "pronouns": "they/them",
        "triggers": [{"what": "raised voices", "whatHelps": "a pause"}, {"what": "being touched"}],
        "grounding": ["naming five things I see"],
    }
    await someone.put(_record(someone, "preferences"), {"preferences": preferences})
    called = await someone.post("/v1/signals", BUTTON)
    responder = program.day.first_responder
    texts = [called["message"], called["withdraw"], (await someone.get(_record(someone, "help")))["message"]]
    await responder.post(f"/v1/alerts/{called['alertId']}:acknowledge")
    view = await responder.eventually(
        f"/v1/alerts/{called['alertId']}/view",
        lambda found: found["person"] and found["person"]["chosenName"] == "Sky",
    )
    assert view["person"]["avoid"] == ["raised voices", "being touched"]
    assert view["person"]["helps"] == ["naming five things I see"]
    assert view["person"]["pronouns"] == "they/them"
    texts.append((await someone.get(_record(someone, "help")))["message"])
    # Taking it back needs no reason, and changes nothing about being looked after.
    taken_back = await someone.post(f"/v1/signals/{called['signalId']}:withdraw")
    texts.append(taken_back["message"])
    view = await responder.get(f"/v1/alerts/{called['alertId']}/view")
    assert view["alert"]["withdrawn"]
    assert view["alert"]["state"] == "ALERT_STATE_ACKNOWLEDGED", "somebody still looks in"
    assert "mistake" in view["cautions"][0]
    await _end(program, called["alertId"], responder)
    texts.append((await someone.get(_record(someone, "help")))["message"])
    assert len(set(texts)) >= 5
    for text in texts:
        assert not HURT.search(text), text
        assert len(text) < 160


@pytest.mark.capability("CRI-05")
async def test_signs_of_distress_are_noted_quietly_suggest_what_helps_and_call_where_they_must(
    program: Program,
) -> None:
    group = await program.meeting("Ana", "Ben")
    ana, ben = group.people
    signs = {each["signId"]: each for each in (await group.leader.get("/v1/distress-signs"))["signs"]}
    assert {"hypervigilance", "dissociation", "sudden-shift", "freezing"} <= set(signs)
    assert all(each["looksLike"] and each["source"] for each in signs.values())
    far_away = {"signIds": ["dissociation", "hypervigilance"], "note": "Looks past the camera."}
    noted = await group.moderate("Ana", "observe", **far_away)
    assert noted["suggestions"] == ["SUGGESTION_CHECK_IN", "SUGGESTION_GROUNDING"]
    assert not noted["signalId"], "what calls for no help calls nobody"
    said = await ana.post(f"{group.room}:sayHowIAm", {"howIAm": 3})
    assert said["exercise"]["steps"]
    assert not HURT.search(said["text"])
    listed = (await group.leader.get(f"{group.room}/observations"))["observations"]
    assert [(each["personId"], each.get("howIAm")) for each in listed] == [(ana.person_id, 3), (ana.person_id, None)]
    for who in (ana, ben):
        with refused(403):
            await who.get(f"{group.room}/observations")
        assert "camera." not in str(await who.get(group.room))
    with refused(404):
        await ben.get(f"/v1/people/{ana.person_id}/observations")
    assert len((await ana.get(f"/v1/people/{ana.person_id}/observations"))["observations"]) == 2
    with refused(400, "known_sign"):
        await group.moderate("Ana", "observe", signIds=["is-difficult"])
    called = await group.moderate("Ana", "observe", signIds=["danger-now"], note="Has something sharp at hand.")
    assert called["reachedCrisis"]
    responder = program.day.first_responder
    alert = await _alert(program, ana, responder)
    await responder.post(f"/v1/alerts/{alert}:acknowledge")
    view = await responder.get(f"/v1/alerts/{alert}/view")
    assert view["alert"]["severity"] == "SEVERITY_IMMEDIATE"
    assert view["alert"]["facilitatorId"] == group.leader.sub
    assert "Has something sharp at hand." in str(view["timeline"])
    await ana.eventually(f"/v1/people/{ana.person_id}/accesses", lambda found: "noted how you seemed" in str(found))
    await _end(program, alert, responder)


async def _screened_after(program: Program, who: Actor, days: int, value: int) -> Actor:
    """Some days later, signed in anew, they answer the PHQ-9 with this everywhere but in its last item."""
    program.clock.set(program.now() + timedelta(days=days))
    who = program.again(who)
    items = (await who.get("/v1/instruments/phq-9"))["items"]
    answers = [{"itemId": each["itemId"], "value": value} for each in items[:-1]]
    answers.append({"itemId": items[-1]["itemId"], "value": 0})
    await who.post(f"/v1/people/{who.person_id}/screenings", {"instrumentId": "phq-9", "answers": answers})
    return who


@pytest.mark.capability("CRI-09")
async def test_symptoms_that_rise_or_calls_that_repeat_propose_more_care_and_people_decide(program: Program) -> None:
    rising, calling = await program.admitted("Rio"), await program.admitted("Cleo")
    for who, value in ((rising, 2), (calling, 0)):
        await _screened_after(program, who, 7, value)
    therapist = program.again(program.therapist, "individual_therapist")
    assert not (await therapist.get("/v1/step-up-proposals", person_id=rising.person_id))["proposals"], (
        "once is not yet"
    )
    rising = await _screened_after(program, rising, 7, 2)
    responder = program.again(program.day.first_responder, "on_call_responder")
    calling = program.again(calling)
    for _ in range(2):
        called = await calling.post("/v1/signals", BUTTON)
        await responder.post(f"/v1/alerts/{called['alertId']}:acknowledge")
        await _end(program, called["alertId"], responder)
    therapist = program.again(program.therapist, "individual_therapist")

    async def proposed(who: Actor) -> Any:
        found = await therapist.eventually(
            "/v1/step-up-proposals", lambda found: found["proposals"], person_id=who.person_id
        )
        return found["proposals"][0]

    first, second = await proposed(rising), await proposed(calling)
    assert (first["fromLevel"], first["toLevel"]) == ("iop", "php")
    assert (
        first["reasons"][0]["sentence"] == "Patient Health Questionnaire, nine items: rose from 0 to 16, and stayed up."
    )
    assert second["reasons"][0]["sentence"] == "2 calls for help in 30 days."
    with refused(404):
        await program.staff("Elsewhere", "individual_therapist").get(f"/v1/step-up-proposals/{first['proposalId']}")
    with refused(403):
        await rising.get("/v1/step-up-proposals")
    await therapist.post(
        f"/v1/people/{rising.person_id}:changeLevelOfCare",
        {
            "levelOfCare": "php",
            "daysPerWeek": 5,
            "hoursPerWeek": 20,
            "reason": "Symptoms rose and stay up.",
            "facts": {"emotionalBehavioral": 3},
        },
    )
    declined = await therapist.post(
        f"/v1/step-up-proposals/{second['proposalId']}:decline", {"reason": "Two hard days; support is in place."}
    )
    assert declined["state"] == "STEP_UP_STATE_DECLINED"
    taken = await therapist.get(f"/v1/step-up-proposals/{first['proposalId']}")
    assert (taken["state"], taken["decidedBy"]) == ("STEP_UP_STATE_TAKEN_UP", therapist.sub)
    assert (await rising.get(f"/v1/people/{rising.person_id}/admission"))["levelOfCare"] == "php"
