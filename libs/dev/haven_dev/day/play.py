"""Play the whole day."""

from __future__ import annotations

import time

import aiohttp

from haven_dev.day import after, arriving, before, room
from haven_dev.day.day import Day, Say, Who
from haven_dev.day.stage import Stage

FAST = {
    "sessions": {"HAVEN_HEARTBEAT_SECONDS": "300", "HAVEN_LAPSE_SECONDS": "900"},
    "crisis": {"HAVEN_CRISIS_DRILL_MINUTES": "0"},
}
"""Settings for a clock that is set forward: signs of life as far apart as the room permits, and no hourly drill."""

STEPS = (
    ("A hospital refers a person", arriving.referral),
    ("Consents, preferences and screenings", arriving.consents_and_screenings),
    ("Admission, coverage and a group that fits", arriving.admission),
    ("The group meets", room.session),
    ("The quiet button", room.help_button),
    ("Attendance, claim and ledger", room.attendance_and_claim),
    ("Who has seen my data", after.accesses),
    ("One trace from the button to the page", after.trace),
)


async def prepare(day: Day) -> None:
    """What stands before the day begins."""
    await before.on_call(day)
    await before.group(day)


async def play(platform: Stage, session: aiohttp.ClientSession, say: Say, who: Who | None = None) -> Day:
    """Play the whole day. Raises where a step does not hold."""
    day = Day.begin(platform, session, lambda line: say(f"      {line}"), who)
    await play_steps(day, say)
    return day


async def play_steps(day: Day, say: Say) -> None:
    """Prepare, then play all eight steps."""
    await prepare(day)
    for number, (title, step) in enumerate(STEPS, start=1):
        began = time.monotonic()
        say(f"  {number}. {title}")
        await step(day)
        say(f"     held ({time.monotonic() - began:.1f} s)")
