"""What nobody should send to the addresses that crisis serves beside its contracts: signals of other systems, links of
pages, callbacks of providers, calendars, the console."""

from __future__ import annotations

import base64
import hmac
import json
import random
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from attack import Answer, Request, Target
from conftest import TWILIO
from corpus import BODIES, HEADERS, NUMBERS, OTHERS, QUERIES, SEGMENTS, TEXTS, VERBS

from haven_crisis import web
from haven_crisis.channels import twilio
from haven_dev.day.actor import Actor

ROUTES = {
    "/inbound/v1/{}": "POST",
    "/p/{}": "POST",
    "/callbacks/twilio/status": "POST",
    "/callbacks/twilio/key": "POST",
    "/callbacks/twilio/message": "POST",
    "/calendars/{}.ics": "GET",
    "/console": "GET",
    "/console/{}": "GET",
    "/console/config.json": "GET",
}
"""Each address, with what it is for."""
FORM = "application/x-www-form-urlencoded"
PAGES = ("text/html", "application/problem+json", "application/json", "text/plain")
DICE = random.Random(3)


def test_every_route_of_crisis_is_here() -> None:
    folder = Path(web.__file__).parent
    named = {found for file in folder.glob("*.py") for found in re.findall(r"Route\(\s*([^,]+),", file.read_text())}
    paths = {each.strip('"') if each.startswith('"') else getattr(twilio, each.split(".")[-1]) for each in named}
    assert {re.sub(r"\{[^}]*\}", "{}", each) for each in paths} == set(ROUTES)


def _well(answers: list[Answer]) -> None:
    """No fault of ours, no broken connection, and a refusal in words that a reader or a program knows."""
    wrong = [
        str(each)
        for each in answers
        if each.status < 100 or each.status >= 500 or (each.status >= 400 and each.media_type not in PAGES)
    ]
    assert not wrong, "\n".join(wrong[:40])
    assert answers


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(target: Target) -> Any:
    """A system that is registered: `system` and `secret`."""
    administrator = Actor(target.day.web, "administrator", "administrator")
    return await administrator.post("/v1/integrated-systems", {"name": "Night sensor"})


def _signed(target: Target, system: Any, body: bytes) -> Request:
    message_id, at = str(uuid.UUID(int=DICE.getrandbits(128))), str(int(target.day.clock.now().timestamp()))
    key = base64.b64decode(system["secret"].removeprefix("whsec_"))
    mac = base64.b64encode(hmac.digest(key, f"{message_id}.{at}.".encode() + body, "sha256")).decode()
    headers = {"webhook-id": message_id, "webhook-timestamp": at, "webhook-signature": f"v1,{mac}"}
    path = f"/inbound/v1/{system['system']['systemId']}"
    return Request("inbound", "POST", path, headers, body, base=target.platform.crisis_url)


def _callback(target: Target, path: str, fields: Mapping[str, str]) -> Request:
    """A callback with Twilio's own signature over what it says."""
    form = {"AccountSid": TWILIO["HAVEN_TWILIO_ACCOUNT_SID"], **fields}
    mac = twilio.signature(TWILIO["HAVEN_TWILIO_AUTH_TOKEN"], target.platform.crisis_url + path, form.items())
    headers = {"Content-Type": FORM, "X-Twilio-Signature": mac}
    body = urlencode(form, errors="replace").encode()
    return Request("twilio", "POST", path, headers, body, base=target.platform.crisis_url)


async def test_signed_signals_that_say_odd_things(target: Target, system: Any) -> None:
    person = target.day.made["person"]
    good = {"person_id": person, "external_id": "x", "level": "high", "note": "n", "raised_at": "2026-01-05T10:00:00Z"}
    sent = [_signed(target, system, body) for body in BODIES]
    for name in good:
        for value in (*TEXTS, *NUMBERS, *OTHERS):
            body = json.dumps({"type": "signal.raised", "data": good | {name: value}}).encode("utf-8", "replace")
            sent.append(_signed(target, system, body))
    answers = await target.send_all(sent)
    _well(answers)
    assert {each.status for each in answers} >= {202, 400, 413}
    odd = [each for each in answers if b"signal.raised" in (each.request.body or b"") and each.status != 202]
    # One id that is good is enough, whatever else is odd.
    assert {each.status for each in odd} <= {413}, "\n".join(str(each) for each in odd if each.status != 413)


async def test_signals_that_nobody_signed(target: Target, system: Any) -> None:
    good = _signed(target, system, b'{"data": {"external_id": "x"}}')
    changes = [
        {name: value}
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        for value in ("", "0", "-1", "9" * 200, "v1,", "v1," * 400, "\u00e9", "v1,AAAA v1,BBBB", "1e9", "١٢٣")
    ]
    sent = [
        Request("inbound", "POST", good.path, {**good.headers, **each}, good.body, base=good.base) for each in changes
    ]
    sent += [Request("inbound", "POST", good.path, {}, body, base=good.base) for body in BODIES]
    answers = await target.send_all(sent)
    _well(answers)
    assert 202 not in {each.status for each in answers}
    assert (await target.send(good)).status == 202


async def test_callbacks_with_twilio_s_signature_that_say_odd_things(target: Target) -> None:
    fields = ("MessageStatus", "MessageSid", "CallStatus", "CallSid", "Digits", "From", "Body", "ErrorCode")
    pages = ["", "?page=", "?page=x", "?page=%00", f"?page={uuid.uuid4()}", "?page=a&page=b"]
    sent = []
    for path in (twilio.STATUS_PATH, twilio.KEY_PATH, twilio.MESSAGE_PATH):
        sent += [_callback(target, path + page, {"MessageStatus": "delivered", "Digits": "1"}) for page in pages]
        sent += [_callback(target, path, {name: value}) for name in fields for value in TEXTS if len(value) < 1000]
    _well(await target.send_all(sent))


@pytest.mark.parametrize("route", ROUTES)
async def test_what_does_not_belong_there(target: Target, route: str) -> None:
    path, verb, base = route.format("x"), ROUTES[route], target.platform.crisis_url
    sent = [Request(route, verb, path, each, b"" if verb == "POST" else None, base=base) for each in HEADERS]
    sent += [Request(route, each, path, base=base) for each in (*VERBS, "GET", "POST")]
    sent += [Request(route, verb, f"{path}?{query}", base=base) for query in QUERIES]
    if "{}" in route:
        sent += [Request(route, verb, route.format(each), base=base) for each in SEGMENTS]
    if verb == "POST":
        kinds = ({"Content-Type": FORM}, {"Content-Type": "application/json"}, {})
        sent += [Request(route, verb, path, kind, body, base=base) for body in BODIES for kind in kinds]
    answers = await target.send_all(sent)
    _well(answers)
    assert not [each for each in answers if b"Traceback" in each.body or b"haven_crisis" in each.body]


def test_no_log_of_crisis_tells_of_a_mistake(target: Target) -> None:
    found = [each for each in target.faults() if each.startswith("crisis")]
    assert not found, "\n".join(found[:20])
