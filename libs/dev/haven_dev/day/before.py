"""What a program has set up before its day begins: on-call duty, staff, and a group that meets today."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from haven_dev.codes import Codes
from haven_dev.day.actor import CallFailed
from haven_dev.day.day import ZONE, Day

SESSION_MINUTES = 180
ESCALATE_AFTER = "2s"


async def on_call(day: Day) -> None:
    """Two responders, each reached by webhook and by email, and the policy that goes from one to the other."""
    for number, name in enumerate(("first_responder", "second_responder"), start=1):
        webhook = day.platform.webhook.url.replace("/page", f"/page/{name}")
        channels = [{"webhook": {"url": webhook}}, {"email": {"address": f"{name}@example.org"}}]
        await responder(day, day.people[name].sub, f"Responder {number}", channels)
    steps = [
        {"targets": [{"responderId": day.people[name].sub}], "wait": ESCALATE_AFTER}
        for name in ("first_responder", "second_responder")
    ]
    policy_id = "0197c0de-0000-7000-8000-000000000001"
    await day.administrator.put(
        f"/v1/on-call/policies/{policy_id}",
        {
            "policy": {
                "policyId": policy_id,
                "name": "Clinical on call",
                "steps": steps,
                "repeats": 2,
                "lastResort": {"targets": [each["targets"][0] for each in steps], "wait": "60s"},
                "isDefault": True,
            }
        },
    )


async def responder(day: Day, responder_id: str, name: str, channels: list[dict[str, Any]]) -> None:
    """A responder whose channels are all verified, by the codes that come to webhooks and mailboxes on this machine."""
    path = f"/v1/on-call/responders/{responder_id}"
    codes = Codes([day.platform.webhook], day.platform.smtp)
    saved = await day.administrator.put(path, {"name": name, "channels": channels})
    for each in saved["channels"]:
        address = each["webhook"]["url"] if each.get("webhook") else each["email"]["address"]
        channel = {"channelId": each["channelId"]}
        # A call that was made again while a part was away may be told that a code is on its way: then it comes.
        with suppress(CallFailed):
            await day.administrator.post(f"{path}:sendCode", channel)
        code = await codes.take(address)
        await day.administrator.post(f"{path}:verifyChannel", channel | {"code": code})


async def group(day: Day) -> None:
    """A trauma group that meets five days a week at nine, with today's agenda."""
    now = day.clock.now()
    every_day = [f"WEEKDAY_{name}" for name in ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY")]
    windows = [{"day": name, "startTime": "07:00", "endTime": "19:00"} for name in every_day]
    await day.facilitator.put(
        f"/v1/staff/{day.facilitator.sub}/profile",
        {
            "principalId": day.facilitator.sub,
            "displayName": "Facilitator",
            "specialties": ["trauma"],
            "credentials": [{"credential": "lcsw", "jurisdiction": "US-IL", "expiresOn": "2030-01-01"}],
            "modalities": ["cbt"],
            "languages": [day.who.language],
            "timeZone": ZONE.key,
            "windows": windows,
            "acceptsNew": True,
        },
    )
    made = await day.coordinator.post(
        "/v1/groups",
        {
            "details": {
                "title": "Morning group",
                "track": "iop-adult-trauma",
                "kind": "GROUP_KIND_THERAPY",
                "challenges": ["trauma"],
                "modalities": ["cbt"],
                "language": day.who.language,
                "format": "FORMAT_VIRTUAL",
                "capacity": 8,
                "facilitatorId": day.facilitator.sub,
            }
        },
    )
    day.made["group"] = made["groupId"]
    await day.coordinator.post(
        f"/v1/groups/{made['groupId']}/series",
        {
            "pattern": {
                "days": every_day,
                "startTime": "09:00",
                "minutes": SESSION_MINUTES,
                "timeZone": ZONE.key,
                "firstDate": now.date().isoformat(),
                "lastDate": (now + timedelta(days=55)).date().isoformat(),
            }
        },
    )
    listed = await day.coordinator.eventually(
        "/v1/sessions", lambda found: found.get("sessions"), group_id=made["groupId"], page_size=50
    )
    first = min(listed["sessions"], key=lambda each: str(each["startsAt"]))
    day.made["session"] = first["sessionId"]
    await day.facilitator.put(
        f"/v1/sessions/{first['sessionId']}/agenda",
        {
            "sessionId": first["sessionId"],
            "title": "Feeling safe in the body",
            "objectives": ["Know what today brings", "Practice one grounding skill"],
            "items": [
                {"kind": "AGENDA_ITEM_KIND_OPENING", "title": "Arriving", "minutes": 15},
                {"kind": "AGENDA_ITEM_KIND_SKILL", "title": "Grounding by the senses", "minutes": 60},
                {"kind": "AGENDA_ITEM_KIND_PET_BREAK", "title": "Pet break", "minutes": 15},
                {"kind": "AGENDA_ITEM_KIND_BREAKOUT", "title": "Small rooms", "minutes": 60, "optional": True},
                {"kind": "AGENDA_ITEM_KIND_CLOSING", "title": "Closing", "minutes": 30},
            ],
        },
    )
