"""What intake must be able to do, through the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from haven_dev.day.actor import Actor
from haven_dev.day.day import Who
from haven_dev.issuer import Issuer
from haven_dev.runner import Platform
from tests.e2e.program import Program, refused


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    """A program with its staff."""
    return Program.begin(platform, http)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def robin(program: Program) -> Actor:
    """Someone whose referral is accepted, with an individual therapist."""
    someone = await program.referred("Robin")
    await program.care_team(someone, {program.therapist: "INDIVIDUAL_THERAPIST"})
    return someone


async def _prepared(program: Program, name: str) -> Actor:
    someone = await program.referred(name)
    await program.prepared(someone)
    return someone


def _record(someone: Actor, part: str) -> str:
    return f"/v1/people/{someone.person_id}/{part}"


async def _assess(someone: Actor, writer: Actor, **assessment: Any) -> Any:
    return await writer.put(_record(someone, "assessment"), {"assessment": assessment})


async def _prefer(someone: Actor, **preferences: Any) -> Any:
    return await someone.put(_record(someone, "preferences"), {"preferences": preferences})


def _told(message: dict[str, Any]) -> dict[str, Any]:
    """What a message says, without fields that are empty."""
    return {name: value for name, value in message.items() if value and not str(value).endswith("_UNSPECIFIED")}


@pytest.mark.capability("INT-01")
async def test_an_assessment_holds_history_challenges_goals_and_other_factors(program: Program, robin: Actor) -> None:
    facts = {
        "history": "Two years of sleepless nights.",
        "challenges": ["crowded rooms", "nights"],
        "goals": ["sleep through", "see my sister"],
        "otherFactors": ["works shifts", "no car"],
    }
    written = await _assess(robin, program.therapist, **facts)
    path = _record(robin, "assessment")
    for reader in (robin, program.therapist, program.coordinator):
        found = await reader.get(path)
        assert {name: found[name] for name in facts} == facts
    with refused(404):
        await program.staff("Elsewhere", "individual_therapist").get(path)
    await robin.put(path, {"assessment": facts | {"goals": ["sleep"]}, "etag": written["etag"]})
    with refused(412):
        await program.therapist.put(path, {"assessment": facts, "etag": written["etag"]})
    assert (await program.therapist.get(path))["goals"] == ["sleep"]


@pytest.mark.capability("INT-02")
async def test_what_the_assessment_finds_suggests_the_plan_and_the_plan_is_admitted_with_it(program: Program) -> None:
    someone = await _prepared(program, "Uma")
    found = await _assess(someone, program.therapist, history="Nothing particular.")
    assert found["planSuggestions"] == []
    low = (await _assess(someone, program.therapist, depression=True))["planSuggestions"]
    worried = (await _assess(someone, program.therapist, anxiety=True))["planSuggestions"]
    assert len(low) == len(worried) == 1
    assert "activation" in low[0]
    assert "worry" in worried[0]
    goals = [{"text": "Leave the house each day", "steps": worried}]
    await program.admit(someone, goals=goals, modalities=["cbt", "mindfulness"])
    plan = await someone.get(_record(someone, "care-plan"))
    assert plan["goals"][0]["steps"] == worried
    assert plan["modalities"] == ["cbt", "mindfulness"]


@pytest.mark.capability("INT-03")
async def test_trauma_history_and_triggers_are_told_at_ones_own_pace_and_shape_what_is_offered(
    program: Program, robin: Actor
) -> None:
    history = {"traumaHistory": "An accident in 2019.", "traumaTriggers": ["sirens", "brakes"]}
    suggested = " ".join((await _assess(robin, robin, **history))["planSuggestions"])
    assert "Trauma-focused therapy" in suggested
    assert "triggers announced" in suggested
    seen = await program.therapist.get(_record(robin, "assessment"))
    assert {name: seen[name] for name in history} == history
    less = " ".join((await _assess(robin, robin, traumaTriggers=["sirens"]))["planSuggestions"])
    assert "Trauma-focused" not in less
    assert "triggers announced" in less


@pytest.mark.capability("INT-04")
async def test_problems_that_come_together_are_recorded_together_and_treated_in_one_plan(
    program: Program, robin: Actor
) -> None:
    drinks = {"substanceUse": True, "substanceUseHistory": "Wine, most evenings."}
    alone = " ".join((await _assess(robin, robin, **drinks))["planSuggestions"])
    assert "craving skills" in alone
    assert "Integrated treatment" not in alone
    for other in ("anxiety", "depression", "trauma"):
        found = await _assess(robin, robin, **drinks, **{other: True})
        assert any("Integrated treatment" in each for each in found["planSuggestions"]), other
        assert found[other] is True
    # Substance-use records are open to the counselor who treats it, to others by consent alone (42 CFR part 2).
    unnamed = _told(await program.therapist.get(_record(robin, "assessment")))
    assert unnamed["trauma"] is True
    assert not {"substanceUse", "substanceUseHistory"} & set(unnamed)
    assert "Integrated" not in str(unnamed)
    members = {program.therapist: "INDIVIDUAL_THERAPIST", program.counselor: "SUBSTANCE_USE_COUNSELOR"}
    await program.care_team(robin, members)
    seen = await program.counselor.get(_record(robin, "assessment"))
    assert {name: seen[name] for name in drinks} == drinks


@pytest.mark.capability("INT-05")
@pytest.mark.parametrize(
    ("facts", "fitting"),
    [
        ({"emotionalBehavioral": 1, "hoursPerWeek": 2}, {"outpatient"}),
        ({"emotionalBehavioral": 2, "hoursPerWeek": 15}, {"iop"}),
        ({"relapsePotential": 3, "hoursPerWeek": 20}, {"php", "residential"}),
        ({"recoveryEnvironment": 3, "needs24HourCare": True}, {"residential"}),
        ({"biomedical": 4, "needs24HourCare": True}, {"inpatient"}),
    ],
)
async def test_the_facts_decide_which_level_of_care_fits(
    program: Program, robin: Actor, facts: dict[str, Any], fitting: set[str]
) -> None:
    path = f"/v1/people/{robin.person_id}:checkEligibility"
    levels = (await program.therapist.post(path, {"facts": facts}))["levels"]
    assert {each["levelOfCare"] for each in levels if each["fits"]} == fitting
    assert all(each["reasons"] for each in levels if not each["fits"])


@pytest.mark.capability("INT-05")
async def test_nobody_is_admitted_to_a_level_that_does_not_fit(program: Program) -> None:
    someone = await _prepared(program, "Lev")
    with refused(400, "level_of_care_hours"):
        await program.admit(someone, days=5, hours=25)
    for unfit in ({"emotionalBehavioral": 3}, {"emotionalBehavioral": 2, "needs24HourCare": True}, {}):
        with refused(409, "level_of_care"):
            await program.admit(someone, facts=unfit)
    assert (await program.admit(someone))["levelOfCare"] == "iop"


@pytest.mark.capability("INT-06")
@pytest.mark.parametrize(("kind", "sender"), [("STEP_DOWN", "Lakeside Residential"), ("STEP_UP", "Elm Outpatient")])
async def test_people_are_referred_from_more_and_from_less_intensive_care(
    program: Program, kind: str, sender: str
) -> None:
    who = Who.anyone()
    person = {"givenName": who.given, "familyName": who.family, "birthDate": who.birth_date}
    sent = await program.staff("Dr. Ode", "individual_therapist").post(
        "/v1/referrals",
        {
            "person": person,
            "kind": f"REFERRAL_KIND_{kind}",
            "referrer": {"organization": sender, "practitioner": "Dr. Ode"},
            "reason": "The level of care is to change.",
        },
    )
    listed = await program.coordinator.get("/v1/referrals", state="REFERRAL_STATE_RECEIVED", page_size=20)
    found = next(each for each in listed["referrals"] if each["referralId"] == sent["referralId"])
    assert found["kind"] == f"REFERRAL_KIND_{kind}"
    assert found["referrer"]["organization"] == sender
    accepted = await program.coordinator.post(f"/v1/referrals/{sent['referralId']}:accept")
    assert (accepted["state"], accepted["kind"]) == ("REFERRAL_STATE_ACCEPTED", f"REFERRAL_KIND_{kind}")


@pytest.mark.capability("INT-11")
async def test_only_a_sign_in_that_holds_opens_anything(
    platform: Platform, http: aiohttp.ClientSession, program: Program, robin: Actor, tmp_path: Path
) -> None:
    now = program.now().timestamp()
    claims = {"sub": "someone", "roles": ["participant"], "person_id": robin.person_id}
    sign = platform.issuer.sign
    forger = Issuer(tmp_path)
    forger.port = platform.issuer.port

    async def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with http.get(f"{platform.gateway_url}/v1/people/{robin.person_id}", headers=headers) as answer:
            return answer.status

    good = sign(claims, at=now)
    head, body, signature = good.split(".")
    assert await status(good) == 200
    assert await status("") == 401
    assert await status(forger.sign(claims, at=now)) == 401, "signed by another key"
    assert await status(f"{head}.{body}.{signature[:-6]}AAAAAA") == 401, "changed on the way"
    assert await status(sign(claims, at=now - 7200, lifetime_s=3600)) == 401, "expired"
    assert await status(sign(claims | {"aud": "another program"}, at=now)) == 401, "for another program"
    assert await status(sign(claims | {"iss": "https://elsewhere.example"}, at=now)) == 401, "by another issuer"
    assert await status(sign(claims | {"person_id": program.coordinator.sub}, at=now)) == 404, "another's record"


@pytest.mark.capability("INT-14")
async def test_others_in_the_group_learn_no_more_than_the_name_chosen_for_it(program: Program) -> None:
    discreet, other = await program.admitted("Blue Heron"), await program.admitted("Sam")
    await _prefer(discreet, display="DISPLAY_PREFERENCE_DISCREET", discreetName="Blue Heron")
    assert (await program.therapist.get(_record(discreet, "preferences")))["discreetName"] == "Blue Heron"
    leader = await program.leader("Kim")
    group = await program.group(leader)
    await program.series(group, ["MONDAY"], "09:00", 180)
    await program.coordinator.eventually(f"/v1/groups/{group}", lambda found: found["groupId"])
    for each in (discreet, other):
        await program.coordinator.once_possible(f"/v1/groups/{group}/enrolments", {"personId": each.person_id})
    listed = await program.coordinator.eventually("/v1/sessions", lambda found: found["sessions"], group_id=group)
    first = min(listed["sessions"], key=lambda each: str(each["startsAt"]))
    program.clock.set(program.now().replace(hour=9, minute=0, second=0, microsecond=0))
    room = await program.opened(first["sessionId"], leader, discreet, other)
    seen = await other.get(room)
    shown = next(each for each in seen["members"] if each["displayName"] == "Blue Heron")
    assert set(_told(shown)) <= {"memberId", "displayName", "participation"}, "no picture, no person"
    who = await program.coordinator.get(f"/v1/people/{discreet.person_id}")
    for secret in (discreet.person_id, who["givenName"], who["familyName"], who["phones"][0]["value"]):
        assert secret not in str(seen)
    staff = next(each for each in (await leader.get(room))["members"] if each["displayName"] == "Blue Heron")
    assert staff["personId"] == discreet.person_id, "staff know whom to help"
    with refused(404):
        await other.get(f"/v1/people/{discreet.person_id}")


@pytest.mark.capability("INT-15")
async def test_who_someone_is_and_what_matters_to_them_is_known_wherever_they_are_met(
    program: Program, robin: Actor
) -> None:
    identity = ["nonbinary", "Pentecostal", "home language Spanish", "family decides together"]
    legal = (await robin.get(f"/v1/people/{robin.person_id}"))["givenName"]
    await _prefer(robin, chosenName="Sky", pronouns="they/them", identityAndValues=identity)
    for reader in (robin, program.therapist, program.coordinator):
        assert (await reader.get(_record(robin, "preferences")))["identityAndValues"] == identity
        met = await reader.get(f"/v1/people/{robin.person_id}")
        assert (met["displayName"], met["pronouns"]) == ("Sky", "they/them")
        assert met["givenName"] == legal, "the legal name stays for claims"
    await _prefer(robin, identityAndValues=["prefers not to say"])
    assert (await program.therapist.get(f"/v1/people/{robin.person_id}"))["displayName"] == legal
    with refused(404):
        await program.staff("Elsewhere", "facilitator").get(_record(robin, "preferences"))


@pytest.mark.capability("INT-16")
async def test_what_someone_needs_to_take_part_is_known_to_those_who_arrange_it(program: Program) -> None:
    needs = ["from home, no bus on Mondays", "captions", "wheelchair at retreats"]
    who = Who.anyone()
    person = {"givenName": who.given, "familyName": who.family, "birthDate": who.birth_date}
    no_transport = {"kind": "transport", "label": "Lack of access to transportation"}
    sent = await program.coordinator.post("/v1/referrals", {"person": person, "summary": {"flags": [no_transport]}})
    someone = Actor(program.day.web, "Tove", "participant", person_id=sent["personId"])
    await program.care_team(someone, {program.therapist: "INDIVIDUAL_THERAPIST", program.facilitator: "FACILITATOR"})
    await _prefer(someone, accessNeeds=needs)
    for reader in (program.therapist, program.facilitator, program.coordinator):
        assert (await reader.get(_record(someone, "preferences")))["accessNeeds"] == needs
    found = await _assess(someone, program.therapist, history="Lives far out.")
    assert found["planSuggestions"] == ["Remote attendance from home"]


@pytest.mark.capability("INT-17")
async def test_animals_that_help_are_registered_as_what_they_are(program: Program, robin: Actor) -> None:
    animals = [
        {"name": "Luna", "kind": "ANIMAL_KIND_SERVICE", "species": "dog"},
        {"name": "Miso", "kind": "ANIMAL_KIND_EMOTIONAL_SUPPORT", "species": "cat"},
        {"name": "Ari", "kind": "ANIMAL_KIND_THERAPY", "species": "horse"},
    ]
    await program.care_team(robin, {program.therapist: "INDIVIDUAL_THERAPIST", program.facilitator: "FACILITATOR"})
    await _prefer(robin, animals=animals)
    for reader in (program.therapist, program.facilitator, program.coordinator):
        assert (await reader.get(_record(robin, "preferences")))["animals"] == animals
    with refused(400):
        await _prefer(robin, animals=[{"name": "Rex", "species": "dog"}])


@pytest.mark.capability("INT-18")
async def test_people_are_linked_when_both_agree_and_see_of_each_other_what_each_allows(program: Program) -> None:
    one, sister = await program.referred("Ana"), await program.referred("Eva", "family_member")
    partner = await program.referred("Jo", "partner")
    ids = {"personId": one.person_id, "linkedPersonId": partner.person_id, "kind": "LINK_KIND_COUPLE"}
    await program.consent(one, "RELATIONSHIP", to=partner)
    with refused(409, "relationship_consent"):
        await program.coordinator.post("/v1/links", ids)
    joined = await program.link(one, partner)
    await program.link(one, sister, "FAMILY")
    listed = (await one.get(_record(one, "links")))["links"]
    assert {each["linkedPersonId"]: each["kind"] for each in listed} == {
        partner.person_id: "LINK_KIND_COUPLE",
        sister.person_id: "LINK_KIND_FAMILY",
    }
    path = f"/v1/people/{one.person_id}"
    with refused(404):
        await partner.get(path)
    await _prefer(one, chosenName="Sky", pronouns="they/them")
    await program.consent(one, "SHARE_WITH_PARTNER", to=partner, scopes=["SHARE_SCOPE_NAME"])
    known = {"personId": one.person_id, "displayName": "Sky", "pronouns": "they/them"}
    assert _told(await partner.get(path)) == known
    with refused(404):
        await sister.get(path)
    await program.consent(one, "SHARE_WITH_FAMILY", to=sister, scopes=["SHARE_SCOPE_NAME"])
    assert _told(await sister.get(path)) == known
    with refused(403):
        await partner.get(f"{path}/preferences")
    await one.post(f"/v1/links/{joined['linkId']}:end")
    with refused(404):
        await partner.get(path)


@pytest.mark.capability("INT-19")
async def test_a_couple_tells_its_story_together_and_each_a_part_apart(program: Program) -> None:
    one, other = await program.referred("Ana"), await program.referred("Jo", "partner")
    await program.care_team(one, {program.couples_therapist: "COUPLES_THERAPIST"})
    path = f"/v1/links/{(await program.link(one, other))['linkId']}/story"
    shared = {
        "narrative": "The fire, and the year after it.",
        "communication": "We go quiet; walks help.",
        "goals": ["argue without leaving", "one evening a week"],
    }
    first = await one.put(path, {"story": shared | {"privateParts": [{"text": "I am afraid some evenings."}]}})
    mine = {"privateParts": [{"text": "I drink when alone."}]}
    await other.put(path, {"story": shared | mine, "etag": first["etag"]})
    parts = {}
    for reader in (one, other, program.couples_therapist):
        found = await reader.get(path)
        assert {key: found[key] for key in shared} == shared
        parts[reader.name] = sorted(each["text"] for each in found["privateParts"])
    assert parts == {
        "Ana": ["I am afraid some evenings."],
        "Jo": ["I drink when alone."],
        "couples therapist": ["I am afraid some evenings.", "I drink when alone."],
    }
    theirs = {"privateParts": [{"personId": one.person_id, "text": "Not so."}]}
    with refused(400, "own"):
        await other.put(path, {"story": shared | theirs})
    with refused(404):
        await program.staff("Elsewhere", "couples_therapist").get(path)


@pytest.mark.capability("INT-20")
async def test_someone_finds_out_whether_the_program_fits_them(program: Program, robin: Actor) -> None:
    clinician = await program.licensed(program.staff("Dana Reyes", "individual_therapist"), modalities=["cbt", "emdr"])
    read = await robin.get(f"/v1/staff/{clinician.sub}/profile")
    assert (read["displayName"], read["modalities"]) == ("Dana Reyes", ["cbt", "emdr"])
    assert [each["credential"] for each in read["credentials"]] == ["lcsw"]
    payers = (await robin.get("/v1/payers", page_size=50))["payers"]
    assert {each["name"]: each["network"] for each in payers}["Example PPO"] == "NETWORK_IN"
    wishes = ["a licensed clinician", "EMDR", "takes my PPO"]
    await _prefer(robin, programFit=wishes)
    assert (await program.coordinator.get(_record(robin, "preferences")))["programFit"] == wishes
