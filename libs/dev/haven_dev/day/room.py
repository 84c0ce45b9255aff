"""Steps 4 to 6: the group meets, someone presses for help, and the day becomes a claim."""

from __future__ import annotations

import time
from datetime import date, timedelta

from haven_dev import clearinghouse
from haven_dev.day.arriving import close
from haven_dev.day.day import Day


async def session(day: Day) -> None:
    """Step 4. The agenda is there before; the agreement opens the door; pauses, small rooms, a pet break."""
    room = f"/v1/rooms/{day.made['session']}"
    agenda = await day.rosa.eventually(f"/v1/sessions/{day.made['session']}/agenda", lambda found: found.get("items"))
    day.say(f"agenda seen before the session: {agenda['title']}, {len(agenda['items'])} parts")
    day.clock.set(day.clock.now().replace(hour=9, minute=0, second=0, microsecond=0))
    await day.facilitator.once_possible(f"{room}:open")
    await accept_and_join(day, "facilitator", "Facilitator")
    await accept_and_join(day, "rosa", "Rosie")
    await day.facilitator.post(f"{room}:moveAgenda", {"agendaPosition": 1})
    await day.facilitator.post(f"{room}:startPause", {"kind": "PAUSE_KIND_GROUNDING", "minutes": 5})
    await day.facilitator.post(f"{room}:endPause")
    members = (await day.facilitator.get(room))["members"]
    rosa = next(each["memberId"] for each in members if not each.get("staff"))
    await day.facilitator.post(f"{room}:openBreakouts", {"breakouts": [{"name": "Small room", "memberIds": [rosa]}]})
    opened = (await day.rosa.get(room))["breakouts"]
    await day.rosa.post(f"{room}:joinBreakout", {"breakoutId": opened[0]["breakoutId"]})
    await day.facilitator.post(f"{room}:closeBreakouts")
    await day.facilitator.post(f"{room}:startPause", {"kind": "PAUSE_KIND_PET_BREAK", "minutes": 10})
    await day.facilitator.post(f"{room}:endPause")
    day.say("joined after accepting the group agreement; grounding pause, small rooms, pet break")


async def accept_and_join(day: Day, name: str, display_name: str) -> None:
    """Accept the group agreement, then join, saying where one is."""
    person, room = day.people[name], f"/v1/rooms/{day.made['session']}"
    agreement = await person.eventually(f"{room}/agreement", lambda found: found.get("agreementId"))
    await person.post(f"{room}:acceptAgreement", {"agreementId": agreement["agreementId"]})
    location = {"address": "18 Elm Street, Chicago", "region": "IL", "country": "US"}
    joined = await person.post(
        f"{room}:join",
        {"displayName": display_name, "participation": "PARTICIPATION_LISTEN"}
        | ({} if name == "facilitator" else {"location": location}),
    )
    if name != "facilitator" and not joined.get("locationConfirmed"):
        await person.put(f"/v1/people/{person.person_id}/location", {"location": location})


async def help_button(day: Day) -> None:
    """Step 5. The quiet button: paged, escalated, acknowledged, helped, closed. Staff see it; the group does not."""
    person, room = day.made["person"], f"/v1/rooms/{day.made['session']}"
    before = len(day.platform.webhook.received)
    pressed = time.time()
    answer = await day.rosa.post(f"{room}:callForHelp", headers={"traceparent": _traceparent(day)})
    assert answer.get("reachedCrisis") or not day.undisturbed, "crisis was reached directly"
    listed = await day.second_responder.eventually(
        "/v1/alerts", lambda found: [a for a in found.get("alerts", []) if a["personId"] == person]
    )
    alert = next(a["alertId"] for a in listed["alerts"] if a["personId"] == person)
    day.made["alert"] = alert
    await day.second_responder.eventually(
        f"/v1/alerts/{alert}/pages",
        lambda found: [
            p
            for p in found.get("pages", [])
            if p["responderId"] == day.second_responder.sub and p["state"] == "PAGE_STATE_ACCEPTED"
        ],
    )
    pages = [page for page in day.platform.webhook.received[before:] if page.path.startswith("/page")]
    day.made["signal_to_page_ms"] = (pages[0].at - pressed) * 1000
    day.say(f"first page received {day.made['signal_to_page_ms']:.0f} ms after the button was pressed")
    day.say("nobody answered, so the policy went on; the second responder is paged")
    await day.second_responder.post(f"/v1/alerts/{alert}:acknowledge")
    view = await day.second_responder.get(f"/v1/alerts/{alert}/view")
    for part in ("person", "safetyPlan", "contacts", "location", "emergencyLines"):
        assert view.get(part), f"the responder sees {part}"
    seen = await day.rosa.eventually(f"/v1/people/{person}/help", lambda found: found["state"] == "HELP_STATE_COMING")
    day.say(f"Rosa reads: {seen['message']}")
    await close(day, "second_responder", alert)
    told = await day.facilitator.eventually(
        room, lambda found: [h for h in found.get("help", []) if h["state"] == "HELP_STATE_CLOSED"]
    )
    hidden = await day.rosa.get(room)
    assert told["help"], "the facilitator sees that help has arrived"
    assert not hidden.get("help"), "nothing of it is shown in the room"
    day.say("safety plan, contacts and place seen; contact, disposition and follow-up recorded; facilitator informed")


def _traceparent(day: Day) -> str:
    import secrets

    day.made["trace"] = secrets.token_hex(16)
    return f"00-{day.made['trace']}-{secrets.token_hex(8)}-01"


async def _until_noon(day: Day, room: str) -> None:
    """Set the clock forward to the session's end, with a sign of life from each as often as the room asks for one."""
    end = day.clock.now().replace(hour=12, minute=4, second=0, microsecond=0)
    alive = await day.rosa.post(f"{room}:heartbeat")
    while day.clock.now() < end:
        day.clock.set(min(end, day.clock.now() + timedelta(seconds=alive["everySeconds"])))
        for name in ("rosa", "facilitator"):
            await day.people[name].post(f"{room}:heartbeat")


async def attendance_and_claim(day: Day) -> None:
    """Step 6. Attended hours become a charge, a claim, a remittance, and a ledger that balances."""
    person, room = day.made["person"], f"/v1/rooms/{day.made['session']}"
    await _until_noon(day, room)
    await day.rosa.post(f"{room}:leave")
    await day.facilitator.post(f"{room}:close")
    charged = await day.biller.eventually(
        f"/v1/people/{person}/charges",
        lambda found: [c for c in found.get("charges", []) if c["state"] == "CHARGE_STATE_READY"],
    )
    charge = charged["charges"][0]
    today = day.clock.now().date().isoformat()
    claim = await day.biller.post(f"/v1/people/{person}/claims", {"from": today, "to": today})
    await day.biller.post(f"/v1/claims/{claim['claimId']}:submit", {"etag": claim["etag"]})
    document = await day.biller.get(f"/v1/claims/{claim['claimId']}/document")
    day.made |= {"claim": claim["claimId"], "x12_837": document["x12837"]}
    paid = clearinghouse.answer(
        document["x12837"],
        trace_number=f"EFT{claim['claimId'][-12:]}".upper(),
        paid_on=date.fromisoformat(today),
        contractual=9000,
        copay=4000,
    )
    await day.biller.post("/v1/remittances", {"x12835": paid})
    settled = await day.biller.get(f"/v1/claims/{claim['claimId']}")
    assert settled["state"] == "CLAIM_STATE_PAID", settled["state"]
    balance = await day.administrator.get("/v1/ledger/trial-balance")
    assert all(int(each.get("minorUnits", 0)) == 0 for each in balance["sums"]), "the ledger balances"
    statement = await day.rosa.get(f"/v1/people/{person}/statement")
    owed = int(statement["balance"]["minorUnits"]) / 100
    day.say(f"{charge['attendedMinutes']} minutes attended: one day under {charge['hcpcs']}, claim sent and paid")
    day.say(f"ledger balances; Rosa's statement: ${owed:,.2f}")
