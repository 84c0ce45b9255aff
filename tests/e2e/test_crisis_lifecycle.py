"""An alert that goes through several hands, from the press to the second signature, through the gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aiohttp
import pytest_asyncio

from haven_dev.day import before
from haven_dev.runner import Platform
from tests.e2e.program import Program, refused, timestamp


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    """A program with two responders on call."""
    made = Program.begin(platform, http)
    await before.on_call(made.day)
    return made


async def test_an_alert_goes_through_several_hands_and_is_signed(program: Program) -> None:
    robin = await program.referred("Robin")
    await program.care_team(robin, {program.therapist: "INDIVIDUAL_THERAPIST"})
    first, second = program.day.first_responder, program.day.second_responder
    called = await robin.post("/v1/signals", {"source": "SIGNAL_SOURCE_HELP_BUTTON"})
    alert = f"/v1/alerts/{called['alertId']}"
    await first.post(f"{alert}:acknowledge")
    await first.post(f"{alert}:renewLease", {"reason": "The line is busy."})
    offered = await first.post(f"{alert}:offerHandOver", {"responderId": second.sub, "note": "I have to leave."})
    assert (offered["responderId"], offered["offeredTo"]) == (first.sub, second.sub)
    taken = await second.post(f"{alert}:answerHandOver", {"accept": True})
    assert taken["responderId"] == second.sub
    await first.post(f"{alert}:observe")
    await second.post(f"{alert}:recordContact", {"reached": True, "way": "phone", "note": "Spoke."})
    counted = await second.get("/v1/alerts:count")
    assert counted["mine"] >= 1
    with refused(400, "who_was_told"):
        await second.post(f"{alert}:close", _closing(program))
    closed = await second.post(f"{alert}:close", {**_closing(program), "nobodyTold": True})
    assert closed["coSignature"] == "CO_SIGNATURE_AWAITED"
    assert (await robin.get(f"/v1/people/{robin.person_id}/help"))["state"] == "HELP_STATE_NONE"
    due = (await program.therapist.get("/v1/reviews"))["reviews"]
    assert {each["kind"] for each in due if each["alertId"] == called["alertId"]} == {
        "REVIEW_KIND_CO_SIGNATURE",
        "REVIEW_KIND_DEBRIEF",
    }
    signed = await program.therapist.post(f"{alert}:coSign", {"note": "Agreed."})
    assert signed["coSignature"] == "CO_SIGNATURE_GIVEN"
    debrief = {"wentWell": "Quick.", "toChange": "Nothing.", "supportOffered": "A peer call.", "tookPart": [second.sub]}
    await program.therapist.post(f"{alert}:recordDebrief", {"debrief": debrief})
    record = await program.therapist.get(f"{alert}/record")
    assert record["problem"] == ""
    assert record["chainHead"] == record["timeline"][-1]["hash"]
    kinds = [each["kind"].removeprefix("ENTRY_KIND_") for each in record["timeline"]]
    order = ["RAISED", "ACKNOWLEDGED", "LEASE_RENEWED", "HAND_OVER_OFFERED", "HAND_OVER_ACCEPTED", "OBSERVER_JOINED"]
    order += ["CONTACTED", "CLOSED", "CO_SIGNED", "DEBRIEFED"]
    assert [kind for kind in kinds if kind in order] == order
    await robin.eventually(f"/v1/people/{robin.person_id}/accesses", _seen("signed how your call for help was closed"))


def _closing(program: Program) -> dict[str, Any]:
    return {
        "disposition": "DISPOSITION_SUPPORTED",
        "riskLevel": "RISK_LEVEL_LOW",
        "followUpDueAt": timestamp(program.now() + timedelta(hours=20)),
    }


def _seen(words: str) -> Any:
    return lambda found: words in str(found)
