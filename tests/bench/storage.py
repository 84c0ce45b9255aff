"""`make storage`: what the platform keeps of each thing that happens, in bytes, measured on PostgreSQL itself.

`python tests/bench/storage.py [--groups 5]`. Groups of eight people are referred, admitted, check in, meet, write, call
for help and are billed, through the public API. Around each of these the databases are vacuumed and measured: tables
with their indexes, by what they are for, and the write-ahead log. docs/operate/capacity.md has what was found.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
import uvloop

from haven_dev import clearinghouse, project
from haven_dev.day import arriving, before, room
from haven_dev.day.actor import Web
from haven_dev.day.day import STAFF, Clock, Day, Who
from haven_dev.runner import Platform

PEOPLE = 8
"""Of a group."""
CHECK_INS = 50
LINES = 25
CALLS = 5
"""Each person's own."""
LAPSE_S = 900
"""How long a room waits for a sign of life here, so that three hours pass in a few steps."""
SETTLED_S = 60.0
KINDS = {
    "audit_entry": "audit",
    "outbox": "passing",
    "inbox": "passing",
    "idempotency": "passing",
}
"""What a table is for; all others are records."""
SERVICES = ("intake", "scheduling", "sessions", "crisis", "billing")
_NO_LIMIT = "1000000000"
_LIMITS = ("PERSON_RATE", "PERSON_BURST", "ADDRESS_RATE", "ADDRESS_BURST", "HELP_RATE", "HELP_BURST")
_SIZES = """
SELECT c.relname AS name, pg_total_relation_size(c.oid) AS bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = 'public'
"""
_WAITING = """
SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL) + (SELECT count(*) FROM audit_entry WHERE hash IS NULL)
       AS waiting, (SELECT count(*) FROM outbox) + (SELECT count(*) FROM inbox) AS done
"""
Sizes = dict[str, int]
Measured = dict[str, dict[str, float]]
Stage = Callable[["Program"], Awaitable[int]]


def say(text: str) -> None:
    """Show progress."""
    sys.stderr.write(f"storage: {text}\n")


@dataclass
class Program:
    """Groups of people, each with its staff. `groups` has one list of days for each, the first of which leads."""

    groups: list[list[Day]]

    @property
    def days(self) -> list[Day]:
        """Everybody's."""
        return [day for group in self.groups for day in group]

    async def by_group(self, step: Callable[[Day], Awaitable[None]]) -> int:
        """The step for everybody; groups side by side, people of a group one after another. Returns for how many."""

        async def one_after_another(group: list[Day]) -> None:
            for day in group:
                await step(day)

        await asyncio.gather(*(one_after_another(group) for group in self.groups))
        return len(self.days)


async def prepared(platform: Platform, session: aiohttp.ClientSession, number: int) -> Program:
    """Staff, groups and the on-call policy, before anybody is referred."""
    clock = Clock(platform)
    web = Web(platform, session, clock.now)
    groups: list[list[Day]] = []
    for _ in range(number):
        language = Who.anyone().language
        lead = Day(platform, web, lambda _: None, clock, _speaking(language))
        for name, roles in STAFF.items():
            lead.sign_in(name, *roles)
        if groups:
            lead.people |= {name: groups[0][0].people[name] for name in ("first_responder", "second_responder")}
        else:
            await before.on_call(lead)
        await before.group(lead)
        others = [
            Day(platform, web, lead.say, clock, _speaking(language), dict(lead.made), people=dict(lead.people))
            for _ in range(PEOPLE - 1)
        ]
        groups.append([lead, *others])
    return Program(groups)


def _speaking(language: str) -> Who:
    one = Who.anyone()
    return Who(one.given, one.family, one.record_number, one.birth_date, one.phone, one.email, language)


async def arrival(program: Program) -> int:
    """Referred, consents, preferences, four screenings, a safety plan, and the call for help of one answer."""
    await program.by_group(arriving.referral)
    return await program.by_group(arriving.consents_and_screenings)


async def admission(program: Program) -> int:
    """Admitted with a plan, covered, authorized, in a group."""
    return await program.by_group(arriving.admission)


async def check_ins(program: Program) -> int:
    """Check-ins with a line of journal."""
    told = {"mood": 6, "sleepQuality": 5, "journal": "Slept better, walked the dog before breakfast."}

    async def each(day: Day) -> None:
        for _ in range(CHECK_INS):
            await day.rosa.post(f"/v1/people/{day.made['person']}/check-ins", {"checkIn": told})

    return await program.by_group(each) * CHECK_INS


async def joining(program: Program) -> int:
    """A session begins, and everybody is in the room."""
    clock = program.days[0].clock
    clock.set(clock.now().replace(hour=9, minute=0, second=0, microsecond=0))
    for group in program.groups:
        lead = group[0]
        await lead.facilitator.once_possible(f"/v1/rooms/{lead.made['session']}:open")
        await room.accept_and_join(lead, "facilitator", "Facilitator")

    async def each(day: Day) -> None:
        await room.accept_and_join(day, "rosa", "Rosie")

    return await program.by_group(each)


async def lines(program: Program) -> int:
    """Lines of chat."""

    async def each(day: Day) -> None:
        for number in range(LINES):
            text = {"text": f"That helps me too, thank you for saying it. ({number})"}
            await day.rosa.post(f"/v1/rooms/{day.made['session']}:sendMessage", text)

    return await program.by_group(each) * LINES


async def calls(program: Program) -> int:
    """Calls for help from the room, each acknowledged, seen, contacted, safe, closed and followed up."""
    responder = program.days[0].first_responder

    async def each(day: Day) -> None:
        person = day.made["person"]
        for _ in range(CALLS):
            await day.rosa.post(f"/v1/rooms/{day.made['session']}:callForHelp")
            alert = await _open_alert(day, person)
            await responder.post(f"/v1/alerts/{alert}:acknowledge")
            await responder.get(f"/v1/alerts/{alert}/view")
            await arriving.close(day, "first_responder", alert)
            await _followed_up(day, alert)

    return await program.by_group(each) * CALLS


async def _open_alert(day: Day, person: str) -> str:
    def theirs(found: Any) -> list[str]:
        ended = ("ALERT_STATE_CLOSED",)
        alerts = found.get("alerts", [])
        return [a["alertId"] for a in alerts if a["personId"] == person and a["state"] not in ended]

    return theirs(await day.first_responder.eventually("/v1/alerts", theirs, page_size=200))[0]


async def _followed_up(day: Day, alert: str) -> None:
    def of_alert(found: Any) -> list[str]:
        return [each["followUpId"] for each in found.get("followUps", []) if each["alertId"] == alert]

    found = await day.first_responder.eventually("/v1/follow-ups", of_alert, page_size=200)
    reached = {"reached": True, "riskLevel": "RISK_LEVEL_LOW", "note": "Spoke by phone."}
    await day.first_responder.post(f"/v1/follow-ups/{of_alert(found)[0]}:record", reached)


async def attendance(program: Program) -> int:
    """Three hours later the session ends; signs of life come as seldom as they may."""
    clock = program.days[0].clock
    end = clock.now() + timedelta(minutes=before.SESSION_MINUTES + 1)
    here = [(day.rosa, day.made["session"]) for day in program.days]
    here += [(group[0].facilitator, group[0].made["session"]) for group in program.groups]
    while True:
        await asyncio.gather(*(one.post(f"/v1/rooms/{session}:heartbeat") for one, session in here))
        if clock.now() >= end:
            break
        clock.set(min(end, clock.now() + timedelta(seconds=LAPSE_S / 2)))
    await program.by_group(lambda day: day.rosa.post(f"/v1/rooms/{day.made['session']}:leave"))
    for group in program.groups:
        await group[0].facilitator.post(f"/v1/rooms/{group[0].made['session']}:close")
    return len(program.days)


async def claims(program: Program) -> int:
    """Each day attended becomes a charge, a claim, and a remittance that pays it."""

    async def each(day: Day) -> None:
        charges = f"/v1/people/{day.made['person']}/charges"
        await day.biller.eventually(
            charges, lambda found: any(c["state"] == "CHARGE_STATE_READY" for c in found.get("charges", []))
        )
        today = day.clock.now().date()
        span = {"from": today.isoformat(), "to": today.isoformat()}
        claim = await day.biller.post(f"/v1/people/{day.made['person']}/claims", span)
        await day.biller.post(f"/v1/claims/{claim['claimId']}:submit", {"etag": claim["etag"]})
        document = await day.biller.get(f"/v1/claims/{claim['claimId']}/document")
        number = f"EFT{claim['claimId'][-12:]}".upper()
        paid = clearinghouse.answer(
            document["x12837"], trace_number=number, paid_on=today, contractual=9000, copay=4000
        )
        await day.biller.post("/v1/remittances", {"x12835": paid})

    return await program.by_group(each)


STAGES: dict[str, Stage] = {
    "a person who is referred": arrival,
    "an admission": admission,
    "a check-in": check_ins,
    "a person who joins": joining,
    "a line of chat": lines,
    "a call for help, to its end": calls,
    "a session attended": attendance,
    "a day billed and paid": claims,
}


class Databases:
    """What is on disk, by what it is for."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def measured(self) -> Sizes:
        """Bytes by kind, and the position in the write-ahead log, when everything told has been reacted to."""
        names = [self._platform.database_url(service).rsplit("/", 1)[1].split("?")[0] for service in SERVICES]
        connections = [await self._platform.postgres.connect(name) for name in names]
        try:
            await _settled(connections)
            log = await connections[0].fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
            found = {"records": 0, "audit": 0, "passing": 0, "log": int(log)}
            for connection in connections:
                await connection.execute("VACUUM")
                for row in await connection.fetch(_SIZES):
                    found[KINDS.get(row["name"], "records")] += row["bytes"]
            return found
        finally:
            for connection in connections:
                await connection.close()


async def _settled(connections: list[asyncpg.Connection]) -> None:
    """Return when every event was published, every audit entry is sealed, and nothing more came for a second."""
    last: list[int] = []
    async with asyncio.timeout(SETTLED_S):
        while True:
            rows = [await connection.fetchrow(_WAITING) for connection in connections]
            done = [row["done"] for row in rows]
            if done == last and not any(row["waiting"] for row in rows):
                return
            last = done
            await asyncio.sleep(1)


def memory(state: Path) -> dict[str, dict[str, float]]:
    """Memory of each process in MB: `rss`, all that it has resident, and `pss`, with its children, where what processes
    share is shared out among them."""
    found = {}
    for path in sorted(state.glob("*.pid")):
        process = psutil.Process(json.loads(path.read_text())["pid"])
        every = (process, *process.children(recursive=True))
        pss = sum(each.memory_full_info().pss for each in every)
        found[path.stem] = {"rss": process.memory_info().rss / 1e6, "pss": pss / 1e6}
    return found


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Kilobytes of each thing, as text."""
    names = ("records", "audit", "passing", "log")
    rows = [f"{'kB each':<28} {'number':>7} {'records':>8} {'audit':>8} {'passing':>8} {'WAL':>8}"]
    for stage, each in found.items():
        numbers = " ".join(f"{each[name] / 1000:>8.2f}" for name in names)
        rows.append(f"{stage:<28} {each['number']:>7.0f} {numbers}")
    return "\n".join(rows)


async def run(groups: int) -> None:
    """Start everything, let it happen, print both tables, keep the numbers."""
    state = project.home() / "storage"
    shutil.rmtree(state, ignore_errors=True)
    environment = {
        "gateway": {f"HAVEN_{name}": _NO_LIMIT for name in _LIMITS},
        "crisis": {"HAVEN_CRISIS_DRILL_MINUTES": "0"},
        "sessions": {"HAVEN_LAPSE_SECONDS": str(LAPSE_S)},
    }
    platform = Platform(state, environment=environment, say=say)
    platform.postgres.remove()  # What a run that was ended left behind.
    try:
        async with platform, aiohttp.ClientSession() as session:
            found, used = await _measure(platform, await prepared(platform, session, groups))
    finally:
        platform.postgres.remove()
        shutil.rmtree(state, ignore_errors=True)
    path = project.home() / "storage.json"
    path.write_text(json.dumps({"each, bytes": found, "memory, MB": used}, indent=2))
    sys.stdout.write(f"{table(found)}\n\n{'MB':<28} {'rss':>7} {'pss':>8}\n")
    sys.stdout.writelines(f"{name:<28} {each['rss']:>7.0f} {each['pss']:>8.0f}\n" for name, each in used.items())
    say(f"every number is in {path.relative_to(project.root())}")


async def _measure(platform: Platform, program: Program) -> tuple[Measured, Measured]:
    databases = Databases(platform)
    found: Measured = {}
    last = await databases.measured()
    for name, stage in STAGES.items():
        say(name)
        number = await stage(program)
        sizes = await databases.measured()
        found[name] = {"number": number} | {kind: (sizes[kind] - last[kind]) / number for kind in sizes}
        # Vacuuming writes to the log as well: what follows is counted from after it.
        last = sizes | {"log": (await databases.measured())["log"]}
    return found, memory(platform.state)


async def _until_stopped(groups: int) -> int:
    running = asyncio.create_task(run(groups))
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(each, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        return 130
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make storage")
    parser.add_argument("--groups", type=int, default=5, help="of eight people each")
    sys.exit(uvloop.run(_until_stopped(parser.parse_args().groups)))
