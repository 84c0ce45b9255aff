"""A platform of their own for tests that break things."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from attack import Target

from haven_dev.day.actor import Actor
from haven_dev.day.day import STAFF, Day, Who
from haven_dev.day.play import FAST, play_steps
from haven_dev.day.room import accept_and_join
from haven_dev.runner import Platform

HIGH = {f"HAVEN_{whom}_{what}": "1000000" for whom in ("PERSON", "ADDRESS", "HELP") for what in ("RATE", "BURST")}
"""Limits so high that what is refused is refused for what it is."""
SHORT = {"HAVEN_BODY_SECONDS": "2", "HAVEN_HEADER_SECONDS": "2"}
"""Waits for slow clients, short enough to wait them out."""

TWILIO = {
    "HAVEN_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "HAVEN_TWILIO_AUTH_TOKEN": "a token of nobody",
    "HAVEN_TWILIO_FROM": "+15005550006",
}
"""An account, so that what is signed with its token is looked at."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def target(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """A platform with high limits on which the day was played; the platform of other tests stays clean."""
    limits = HIGH | SHORT
    crisis = {**FAST["crisis"], **HIGH, **SHORT, **TWILIO}
    environment: dict[str, Mapping[str, str]] = {**FAST, "gateway": limits, "crisis": crisis}
    folder = Path(tmp_path_factory.mktemp("target"))
    async with (
        Platform(folder, ephemeral=True, environment=environment) as platform,
        aiohttp.ClientSession() as session,
    ):
        day = Day.begin(platform, session, lambda _: None, Who.anyone())
        made = Target(platform, session, day, limits)

        def learn(status: int, text: str, _: Mapping[str, str]) -> None:
            if status < 300 and text:
                made.learn(json.loads(text))

        def note(verb: str, path: str, body: Any) -> Any:
            made.commands.append((verb, path, body))
            return body

        day.web.after_answer, day.web.change_body = learn, note
        await play_steps(day, lambda _: None)
        await _meet_again(day)
        made.ids["sessionId"].insert(0, day.made["session"])
        yield made


async def _meet_again(day: Day) -> None:
    """The group's next session, with its room open and people in it, so that what is asked of a room reaches it."""
    listed = await day.coordinator.get("/v1/sessions", group_id=day.made["group"], page_size=50)
    _, following, *_ = sorted(listed["sessions"], key=lambda each: str(each["startsAt"]))
    day.made["session"] = following["sessionId"]
    day.clock.set(datetime.fromisoformat(following["startsAt"]))
    for name, actor in list(day.people.items()):  # signed in anew: it is another day
        roles = STAFF.get(name, ("participant",))
        day.people[name] = Actor(day.web, name, *roles, person_id=actor.person_id or None, sub=actor.sub)
    await day.facilitator.once_possible(f"/v1/rooms/{day.made['session']}:open")
    await accept_and_join(day, "facilitator", "Facilitator")
    await accept_and_join(day, "rosa", "Rosie")
