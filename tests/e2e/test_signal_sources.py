"""Each source of a call for help, through the whole platform: from what is told or seen to the responder's alert."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest_asyncio

from haven_dev.day import before
from haven_dev.day.actor import Actor, CallFailed
from haven_dev.runner import Platform
from haven_kit.testing import eventually
from tests.e2e.program import Program, refused, timestamp


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    """A program with responders on call."""
    made = Program.begin(platform, http)
    await before.on_call(made.day)
    return made


def _today(program: Program) -> Program:
    """The same program, its staff signed in anew: days pass here."""
    signed = Program(program.day)
    signed.coordinator = program.again(program.coordinator, "care_coordinator")
    signed.therapist = program.again(program.therapist, "individual_therapist")
    return signed


async def _alert(program: Program, someone: Actor) -> Any:
    """The person's open alert, as a responder finds it."""
    responder = program.again(program.day.first_responder, "on_call_responder")
    found = await responder.eventually(
        "/v1/alerts", lambda found: found["alerts"], person_id=someone.person_id, page_size=1
    )
    return found["alerts"][0]


async def _source(program: Program, alert: Any) -> str:
    responder = program.again(program.day.first_responder, "on_call_responder")
    timeline = await responder.get(f"/v1/alerts/{alert['alertId']}/timeline")
    return str(timeline["entries"][0]["facts"]["source"])


async def test_an_answer_of_intent_is_immediate(program: Program) -> None:
    someone = await program.referred("Ines")
    yes = [{"itemId": item, "value": 1} for item in ("cssrs-2", "cssrs-4")]
    answered = await someone.post(
        f"/v1/people/{someone.person_id}/screenings", {"instrumentId": "c-ssrs-screener", "answers": yes}
    )
    assert answered["concernRaised"]
    alert = await _alert(program, someone)
    assert alert["severity"] == "SEVERITY_IMMEDIATE"
    assert await _source(program, alert) == "screening"


async def test_days_that_became_worse_bring_somebody_the_same_day(program: Program) -> None:
    someone = await program.referred("Tam")
    message = ""
    for mood in (7, 6, 7, 6, 7, 4, 4, 3):
        assert not message, "nobody is called before it lasts"
        someone = program.again(someone)
        made = await someone.post(f"/v1/people/{someone.person_id}/check-ins", {"checkIn": {"mood": mood}})
        message = made["message"]
        program.clock.set(program.now() + timedelta(days=1))
    assert "988" in message
    alert = await _alert(program, someone)
    assert alert["severity"] == "SEVERITY_ELEVATED"
    assert await _source(program, alert) == "check_in_trend"


async def test_who_is_at_risk_and_does_not_come_is_looked_after(program: Program) -> None:
    program.clock.set((program.now() + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0))
    signed = _today(program)
    leader = await signed.leader("Kim")
    watched, other = await signed.referred("Wren"), await signed.referred("Oli")
    await signed.care_team(watched, {signed.therapist: "INDIVIDUAL_THERAPIST"})
    watch = {"until": timestamp(signed.now() + timedelta(days=10)), "reason": "Said goodbye last week."}
    path = f"/v1/people/{watched.person_id}/risk-watch"

    async def put() -> Any:
        return await signed.therapist.put(path, {"watch": watch})

    await _once(put)
    assert (await watched.get(path))["setBy"] == signed.therapist.sub
    with refused(404):
        await other.get(path)
    starts = signed.now() + timedelta(hours=1)
    planned = await signed.plan("GROUP", leader, watched, other, starts=starts, capacity=8)
    signed.clock.set(starts)
    await signed.opened(planned["sessionId"], leader)
    signed.clock.set(starts + timedelta(minutes=16))
    alert = await _alert(signed, watched)
    assert (alert["severity"], alert["sessionId"]) == ("SEVERITY_ELEVATED", planned["sessionId"])
    assert await _source(signed, alert) == "no_show"
    responder = program.again(program.day.first_responder, "on_call_responder")
    assert not (await responder.get("/v1/alerts", person_id=other.person_id))["alerts"], "for others it is no concern"


async def _once(put: Callable[[], Awaitable[Any]]) -> None:
    """The care team reaches crisis by event, a moment after it was set."""

    async def done() -> Any:
        try:
            return await put()
        except CallFailed as failed:
            if failed.status != 404:
                raise
            return None

    await eventually(done)


async def test_another_system_calls_past_the_gateway(
    program: Program, platform: Platform, http: aiohttp.ClientSession
) -> None:
    someone = await _today(program).referred("Noor")
    administrator = program.again(program.administrator, "administrator")
    made = await administrator.post("/v1/integrated-systems", {"name": "Night sensor"})
    system = made["system"]["systemId"]
    named = {"externalId": "bed 7", "personId": someone.person_id}
    await administrator.post(f"/v1/integrated-systems/{system}:linkPerson", named)
    body = json.dumps({"type": "signal.raised", "data": {"external_id": "bed 7", "note": "No movement."}}).encode()
    at = str(int(program.now().timestamp()))
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    mac = base64.b64encode(hmac.digest(key, f"evt-1.{at}.".encode() + body, "sha256")).decode()
    headers = {"webhook-id": "evt-1", "webhook-timestamp": at, "webhook-signature": f"v1,{mac}"}
    async with http.post(f"{platform.crisis_url}/inbound/v1/{system}", data=body, headers=headers) as answer:
        assert answer.status == 202
        assert (await answer.json())["identified"]
    alert = await _alert(program, someone)
    assert await _source(program, alert) == "integrated_system"
    listed = await administrator.eventually(
        "/v1/integrated-systems", lambda found: found["systems"][-1].get("lastSeenAt")
    )
    assert "whsec" not in str(listed)
    someone = program.again(someone)
    history = f"/v1/people/{someone.person_id}/accesses"
    await someone.eventually(history, lambda found: "called for help for you" in str(found))


async def test_a_partner_calls_and_learns_nothing(program: Program) -> None:
    signed = _today(program)
    one, other = await signed.referred("Lou"), await signed.referred("Max", "partner")
    await signed.link(one, other)
    called = await other.once_possible("/v1/signals", {"personId": one.person_id, "note": "Not answering."})
    assert not called["alertId"]
    alert = await _alert(program, one)
    assert await _source(program, alert) == "partner_or_family"
    with refused(403):
        await other.get("/v1/alerts")
    with refused(403):
        await other.get(f"/v1/people/{one.person_id}/help")
    responder = program.again(program.day.first_responder, "on_call_responder")
    view = await responder.get(f"/v1/alerts/{alert['alertId']}/view")
    assert any("Tell them, and anybody at home, nothing" in each for each in view["cautions"])
