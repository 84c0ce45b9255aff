"""Steps 1 to 3: a person is referred, says what they agree to and how they are, and is admitted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from haven_dev.day.bundle import bundle
from haven_dev.day.day import Day

NEEDED = ("TREATMENT", "GROUP_AGREEMENT", "PRIVACY_NOTICE", "BOUNDARIES", "TELEHEALTH", "BILLING")
LEVEL = {"levelOfCare": "iop", "track": "iop-adult-trauma", "daysPerWeek": 5, "hoursPerWeek": 15}
FACTS = {"emotionalBehavioral": 2, "relapsePotential": 1, "hoursPerWeek": 15}


async def referral(day: Day) -> None:
    """Step 1. The hospital's bundle becomes a referral; coming twice it stays one; the person gets an account."""
    text = {
        "bundleJson": bundle(day.who),
        "kind": "REFERRAL_KIND_HOSPITAL",
    }
    first = await day.coordinator.post("/v1/referrals:import", text)
    again = await day.coordinator.post("/v1/referrals:import", text)
    found = first["referral"]
    assert again["referral"]["referralId"] == found["referralId"], "a referral that comes twice is one"
    assert again["outcome"] == "IMPORT_OUTCOME_UNCHANGED", again["outcome"]
    day.made |= {"referral": found["referralId"], "person": found["personId"]}
    await day.coordinator.post(f"/v1/referrals/{found['referralId']}:accept")
    day.sign_in("rosa", "participant", person_id=found["personId"])
    flags = found["summary"]
    day.say(f"referral from {found['referrer']['organization']} accepted, no duplicate")
    shown, hidden = len(flags["flags"]), len(flags["partnerFlags"])
    day.say(f"findings that matter for safety: {shown} for the clinician, {hidden} more that no partner ever sees")


async def consents_and_screenings(day: Day) -> None:
    """Step 2. Consents one by one, preferences, how they join; four screenings, one of which calls for help."""
    person = day.made["person"]
    documents = (await day.rosa.get("/v1/consent-documents"))["documents"]
    version = {each["kind"]: each["version"] for each in documents}
    for kind in (f"CONSENT_KIND_{name}" for name in NEEDED):
        await day.rosa.post(
            f"/v1/people/{person}/consents",
            {"kind": kind, "documentVersion": version[kind], "signature": f"{day.who.given} {day.who.family}"},
        )
    await _preferences(day, person)
    await day.coordinator.put(
        f"/v1/people/{person}/care-team",
        {"members": [{"principalId": day.therapist.sub, "role": "ROLE_INDIVIDUAL_THERAPIST", "name": "Dr. Ito"}]},
    )
    await _safety_plan(day, person)
    for instrument in ("gad-7", "pcl-5", "c-ssrs-screener"):
        scored = await day.rosa.post(f"/v1/people/{person}/screenings", await _answers(day, instrument, 0))
        day.say(f"{instrument.upper()}: {_score(scored)}")
    await _phq9(day, person)


async def _preferences(day: Day, person: str) -> None:
    await day.rosa.put(
        f"/v1/people/{person}/preferences",
        {
            "preferences": {
                "chosenName": "Rosie",
                "pronouns": "she/her",
                "camera": "CAMERA_PREFERENCE_MY_CHOICE_EACH_TIME",
                "display": "DISPLAY_PREFERENCE_CHOSEN_NAME",
                "triggers": [{"what": "raised voices", "whatHelps": "a pause"}],
                "grounding": ["naming five things I see"],
                "safeContacts": [{"channel": "phone", "value": day.who.phone, "when": "mornings"}],
                "neverContactPartner": True,
                "animals": [{"name": "Luna", "kind": "ANIMAL_KIND_COMPANION", "species": "dog"}],
            }
        },
    )
    await day.rosa.put(
        f"/v1/people/{person}/readiness",
        {
            "readiness": {
                "downloadKbps": 20000,
                "uploadKbps": 5000,
                "cameraWorks": True,
                "microphoneWorks": True,
                "privatePlace": True,
                "state": "IL",
            }
        },
    )


async def _safety_plan(day: Day, person: str) -> None:
    await day.rosa.put(
        f"/v1/people/{person}/safety-plan",
        {
            "plan": {
                "personId": person,
                "warningSigns": ["not sleeping"],
                "coping": ["walking Luna"],
                "distractions": ["the library"],
                "peopleToAsk": ["my sister Ana"],
                "professionals": ["Dr. Ito"],
                "saferSurroundings": ["medicine kept by Ana"],
            }
        },
    )
    ways = [{"kind": "phone", "address": "312-555-0177"}]
    contacts = [
        {"name": "Ana Alvarez", "relationship": "sister", "ways": ways, "consented": True},
        {"name": "Former partner", "relationship": "partner", "neverContact": True},
    ]
    await day.rosa.put(f"/v1/people/{person}/crisis-contacts", {"contacts": {"personId": person, "contacts": contacts}})


async def _answers(day: Day, instrument: str, value: int) -> dict[str, object]:
    items = (await day.rosa.get(f"/v1/instruments/{instrument}"))["items"]
    asked = [each for each in items if not each.get("askedWhenPositive")]
    return {"instrumentId": instrument, "answers": [{"itemId": each["itemId"], "value": value} for each in asked]}


def _score(screening: dict[str, dict[str, object]]) -> str:
    score = screening["score"]
    return f"{score.get('total', 0)}, {score['severity']}"


async def _phq9(day: Day, person: str) -> None:
    """Item 9 is answered while the rest is still open: the signal goes out at once."""
    draft = await day.rosa.post(f"/v1/people/{person}/screenings", {"instrumentId": "phq-9", "answers": []})
    path = f"/v1/people/{person}/screenings/{draft['screeningId']}:answer"
    asked = await day.rosa.post(path, {"answer": {"itemId": "phq9-9", "value": 1}})
    assert asked["concernRaised"], "a positive item 9 raises a concern before the rest is answered"
    assert "988" in str(asked["help"]), "the person is told how to reach help meanwhile"
    day.say("PHQ-9 item 9 answered above zero: the on-call team is asked at once, eight items still open")
    alert = await _handled(day, person)
    screening = draft
    for number in range(1, 9):
        screening = await day.rosa.post(path, {"answer": {"itemId": f"phq9-{number}", "value": 2}})
    day.say(f"PHQ-9: {_score(screening)}")
    day.made["first_alert"] = alert


async def _handled(day: Day, person: str) -> str:
    """The responder on duty takes the alert, speaks with the person, and closes it with a follow-up."""
    responder = day.first_responder
    found = await responder.eventually(
        "/v1/alerts", lambda page: [a for a in page.get("alerts", []) if a["personId"] == person]
    )
    alert = str(next(a for a in found["alerts"] if a["personId"] == person)["alertId"])
    await responder.post(f"/v1/alerts/{alert}:acknowledge")
    await close(day, "first_responder", alert)
    return alert


async def close(day: Day, name: str, alert: str) -> None:
    """Record contact, that the person is safe, and how it ended; the follow-up is due within a day."""
    responder = day.people[name]
    await responder.post(
        f"/v1/alerts/{alert}:recordContact", {"reached": True, "way": "phone", "note": "Spoke by phone."}
    )
    await responder.post(f"/v1/alerts/{alert}:recordStabilised", {"note": "Plan reviewed together."})
    await responder.post(
        f"/v1/alerts/{alert}:close",
        {
            "disposition": "DISPOSITION_SAFETY_PLAN_USED",
            "riskLevel": "RISK_LEVEL_LOW",
            "disclosures": [{"told": "Dr. Ito", "ground": "LEGAL_GROUND_TREATMENT"}],
            "followUpDueAt": _timestamp(day.clock.now() + timedelta(hours=20)),
        },
    )


def _timestamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def admission(day: Day) -> None:
    """Step 3. A clinician admits with a plan; billing knows what is covered; groups are proposed that fit the plan."""
    person = day.made["person"]
    goals = [{"text": "Feel safe at home", "steps": ["practice grounding daily"]}]
    await day.therapist.post(
        f"/v1/people/{person}:admit",
        LEVEL
        | {
            "facts": FACTS,
            "diagnoses": ["F43.10"],
            "goals": goals,
            "modalities": ["cbt"],
            "attendingName": "Ada Byron",
            "attendingNpi": "1992999825",
        },
    )
    await coverage(day, person)
    await day.rosa.put(
        f"/v1/people/{person}/availability",
        {
            "timeZone": "America/Chicago",
            "windows": [
                {"day": f"WEEKDAY_{name}", "startTime": "08:00", "endTime": "14:00"}
                for name in ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY")
            ],
        },
    )
    wish = {"challenges": ["trauma"], "language": day.who.language, "format": "FORMAT_VIRTUAL"}
    proposed = await day.therapist.once_possible(f"/v1/people/{person}:proposeGroups", wish)
    best = proposed["proposals"][0]
    assert best["meetsPlan"], f"a group fits the plan: {proposed}"
    assert best["groupIds"] == [day.made["group"]]
    await day.coordinator.post(f"/v1/groups/{day.made['group']}/enrolments", {"personId": person})
    day.say(f"admitted to intensive outpatient; a group of {best['days']} days a week fits, seat taken")


async def coverage(day: Day, person: str) -> None:
    """Coverage recorded and verified, days authorized, and what it is likely to cost, in plain words."""
    payers = (await day.biller.get("/v1/payers", page_size=50))["payers"]
    payer = next(each for each in payers if each["name"] == "Example PPO")
    covered = await day.biller.once_possible(
        f"/v1/people/{person}/coverages",
        {
            "payerId": payer["payerId"],
            "memberId": "EXP123456789",
            "relationship": "RELATIONSHIP_SELF",
            "activeFrom": "2026-01-01",
        },
    )
    dollars = {"currency": "USD"}
    await day.biller.post(
        f"/v1/coverages/{covered['coverageId']}:verify",
        {
            "active": True,
            "activeFrom": "2026-01-01",
            "costShare": {
                "copayPerDay": dollars | {"minorUnits": "4000"},
                "deductibleLeft": dollars | {"minorUnits": "0"},
                "outOfPocketLeft": dollars | {"minorUnits": "200000"},
            },
        },
    )
    today = day.clock.now().date()
    await day.biller.post(
        f"/v1/people/{person}/authorizations",
        {
            "coverageId": covered["coverageId"],
            "payerNumber": "AUTH20260001",
            "days": 20,
            "validFrom": today.isoformat(),
            "validTo": today.replace(year=today.year + 1, day=1).isoformat(),
        },
    )
    estimate = await day.rosa.once_possible(f"/v1/people/{person}:estimateCost", {"weeks": 6, "daysPerWeek": 5})
    owed = int(estimate["likelyToOwe"]["minorUnits"]) / 100
    day.say(f"coverage verified, 20 days authorized; Rosa is likely to owe ${owed:,.2f} for six weeks")
