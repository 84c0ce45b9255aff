"""Set-up that capability tests share: a program on a Monday morning and people who come to it, through the gateway.

    @pytest_asyncio.fixture(scope="module", loop_scope="session")
    async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
        return Program.begin(platform, http)

    async def test_…(program: Program) -> None:
        rosa = await program.admitted("Rosa", days=3, hours=9)      # referred, consented, screened, admitted
        sam = await program.referred("Sam", "partner")              # has a record and an account, nothing more
        await program.link(rosa, sam, "COUPLE")                     # relationship consents, then the link
        group = await program.group(await program.leader("Kim"), capacity=2)
        await program.series(group, ["MONDAY"], "09:00", 180)
        with refused(409, "double_booked"):
            await program.coordinator.post(…)

Everyone is new in each program: staff have fresh subjects, people fresh names, so that modules may share a platform.
Actors read and write with `get`, `post`, `put`; what one service tells another arrives a little later, so read it with
`eventually`, and write what depends on it with `once_possible`. Times are those of the story: `program.now()`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from haven_dev.day.actor import Actor, CallFailed
from haven_dev.day.day import ZONE, Clock, Day, Who
from haven_dev.runner import Platform

ADMISSION_CONSENTS = ("TREATMENT", "GROUP_AGREEMENT", "PRIVACY_NOTICE", "BOUNDARIES", "TELEHEALTH")
ADMISSION_SCREENINGS = ("phq-9", "gad-7", "pcl-5", "c-ssrs-screener")
MODERATE_RISK = {"emotionalBehavioral": 2, "relapsePotential": 1}
"""Facts that an intensive outpatient week fits; hours are added."""
WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY")
SEVEN_DAYS = (*WEEKDAYS, "SATURDAY", "SUNDAY")


@dataclass
class Refusal:
    """What the gateway answered instead; filled once the block has ended."""

    status: int = 0
    problem: dict[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> set[str]:
        """The rules it names: of the state, or of fields."""
        return {self.problem.get("rule", ""), *(each["rule"] for each in self.problem.get("violations", []))} - {""}


@contextmanager
def refused(status: int, rule: str = "") -> Iterator[Refusal]:
    """Holds when a call in the block is refused with this HTTP status, and by this rule where one is given."""
    refusal = Refusal()
    with pytest.raises(CallFailed) as failed:
        yield refusal
    refusal.status, refusal.problem = failed.value.status, failed.value.problem
    assert refusal.status == status, failed.value
    assert not rule or rule in refusal.rules, failed.value


def timestamp(at: datetime) -> str:
    """A time as requests carry it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def weekly(days: Sequence[str], start: str, end: str) -> list[dict[str, str]]:
    """Windows of a week: the same hours on each of the days."""
    return [{"day": f"WEEKDAY_{each}", "startTime": start, "endTime": end} for each in days]


class Program:
    """A program: its staff as actors by name (`program.therapist`), and ways to bring people into it."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.coordinator = day.coordinator
        self.administrator = day.administrator
        self.biller = day.biller
        self.facilitator = day.facilitator
        self.therapist = day.therapist
        self.couples_therapist = self.staff("couples therapist", "couples_therapist")
        self.counselor = self.staff("counselor", "substance_use_counselor")
        self.prescriber = self.staff("prescriber", "prescriber")

    @classmethod
    def begin(cls, platform: Platform, http: aiohttp.ClientSession) -> Program:
        """Monday, eight in the morning; the staff is signed in, with fresh accounts."""
        return cls(Day.begin(platform, http, lambda _: None, Who.anyone()))

    @property
    def clock(self) -> Clock:
        """The platform's time of day; setting it forward does so for every service."""
        return self.day.clock

    def now(self) -> datetime:
        """The time it is in the story."""
        return self.day.clock.now()

    def date(self, days: int = 0) -> str:
        """The day so many days from today, where the program is: ISO 8601."""
        return (self.now() + timedelta(days=days)).date().isoformat()

    def staff(self, name: str, *roles: str) -> Actor:
        """One more member of staff."""
        return Actor(self.day.web, name, *roles)

    def again(self, who: Actor, *roles: str) -> Actor:
        """The same person, signed in anew: it is another day. Roles: for staff those they had; else a participant."""
        return Actor(self.day.web, who.name, *(roles or ("participant",)), person_id=who.person_id or None, sub=who.sub)

    # People

    async def referred(self, name: str, role: str = "participant", **person: Any) -> Actor:
        """Somebody whose referral was accepted, with an account in that role. `person` changes what it says."""
        who = Who.anyone()
        about = {
            "givenName": who.given,
            "familyName": who.family,
            "birthDate": who.birth_date,
            "phones": [{"value": who.phone, "use": "mobile"}],
            "address": {"lines": ["18 Elm Street"], "city": "Chicago", "state": "IL", "country": "US"},
            "timeZone": ZONE.key,
            "languages": ["en"],
        }
        made = await self.coordinator.post(
            "/v1/referrals", {"person": about | person, "kind": "REFERRAL_KIND_CLINICIAN", "reason": "asked for help"}
        )
        await self.coordinator.post(f"/v1/referrals/{made['referralId']}:accept")
        return Actor(self.day.web, name, role, person_id=made["personId"])

    async def admitted(
        self, name: str, *, days: int = 3, hours: int = 9, track: str = "iop-adult-trauma", **admission: Any
    ) -> Actor:
        """Somebody in the program by a plan of so many days and hours a week, with the therapist as care team."""
        who = await self.referred(name)
        await self.prepared(who)
        await self.admit(who, days=days, hours=hours, track=track, **admission)
        return who

    async def prepared(self, who: Actor) -> None:
        """Everything that an admission waits for: consents, readiness, care team, screenings without a concern."""
        await self.consent(who, *ADMISSION_CONSENTS)
        await who.put(
            f"/v1/people/{who.person_id}/readiness",
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
        await self.care_team(who, {self.therapist: "INDIVIDUAL_THERAPIST"})
        for instrument in ADMISSION_SCREENINGS:
            await self.screened(who, instrument)

    async def screened(self, who: Actor, instrument: str, value: int = 0) -> Any:
        """Every item of an instrument answered alike."""
        items = (await who.get(f"/v1/instruments/{instrument}"))["items"]
        asked = [each for each in items if not each.get("askedWhenPositive")]
        answers = [{"itemId": each["itemId"], "value": value} for each in asked]
        return await who.post(
            f"/v1/people/{who.person_id}/screenings", {"instrumentId": instrument, "answers": answers}
        )

    async def admit(
        self, who: Actor, *, days: int = 3, hours: int = 9, track: str = "iop-adult-trauma", **admission: Any
    ) -> Any:
        """Admit by a plan. `admission` changes the request."""
        return await self.therapist.post(
            f"/v1/people/{who.person_id}:admit",
            {
                "levelOfCare": "iop",
                "track": track,
                "daysPerWeek": days,
                "hoursPerWeek": hours,
                "facts": MODERATE_RISK | {"hoursPerWeek": hours},
                "diagnoses": ["F43.10"],
                "goals": [{"text": "Feel safe at home", "steps": ["practice grounding daily"]}],
                "attendingName": "Ada Byron",
                "attendingNpi": "1992999825",
            }
            | admission,
        )

    async def care_team(self, who: Actor, team: dict[Actor, str]) -> Any:
        """Make this the person's care team, each with a role: INDIVIDUAL_THERAPIST, COUPLES_THERAPIST, …"""
        members = [
            {"principalId": member.sub, "role": f"ROLE_{role}", "name": member.name} for member, role in team.items()
        ]
        return await self.coordinator.put(f"/v1/people/{who.person_id}/care-team", {"members": members})

    async def consent(self, who: Actor, *kinds: str, to: Actor | None = None, **more: Any) -> list[Any]:
        """Give consents, such as TREATMENT; `to` names the other person, where a kind needs one."""
        documents = (await who.get("/v1/consent-documents"))["documents"]
        version = {each["kind"].removeprefix("CONSENT_KIND_"): each["version"] for each in documents}
        given = {"signature": who.name} | ({"granteeId": to.person_id, "granteeName": to.name} if to else {}) | more
        return [
            await who.post(
                f"/v1/people/{who.person_id}/consents",
                {"kind": f"CONSENT_KIND_{kind}", "documentVersion": version[kind]} | given,
            )
            for kind in kinds
        ]

    async def link(self, one: Actor, other: Actor, kind: str = "COUPLE", scopes: Sequence[str] = ()) -> Any:
        """Link two people as COUPLE or FAMILY; each shares the scopes (NAME, SCHEDULE, PROGRESS) with the other."""
        sharing = {"COUPLE": "SHARE_WITH_PARTNER", "FAMILY": "SHARE_WITH_FAMILY"}[kind]
        for who, named in ((one, other), (other, one)):
            await self.consent(who, "RELATIONSHIP", to=named)
            if scopes:
                await self.consent(who, sharing, to=named, scopes=[f"SHARE_SCOPE_{each}" for each in scopes])
        ids = {"personId": one.person_id, "linkedPersonId": other.person_id, "kind": f"LINK_KIND_{kind}"}
        return await self.coordinator.post("/v1/links", ids)

    # The calendar

    async def licensed(self, member: Actor, **profile: Any) -> Actor:
        """Give a member of staff a profile with a licence in force. `profile` changes it."""
        await member.put(
            f"/v1/staff/{member.sub}/profile",
            {
                "displayName": member.name,
                "specialties": ["trauma"],
                "credentials": [{"credential": "lcsw", "jurisdiction": "US-IL", "expiresOn": "2040-01-01"}],
                "modalities": ["cbt"],
                "languages": ["en"],
                "timeZone": ZONE.key,
                "windows": weekly(SEVEN_DAYS, "07:00", "21:00"),
                "acceptsNew": True,
            }
            | profile,
        )
        return member

    async def leader(self, name: str, role: str = "facilitator") -> Actor:
        """One more licensed member of staff, free to lead something at any time."""
        return await self.licensed(self.staff(name, role))

    async def group(self, leader: Actor, **details: Any) -> str:
        """A group led by someone licensed; its id. `details` changes its description."""
        described = {
            "title": "A group",
            "track": "iop-adult-trauma",
            "kind": "GROUP_KIND_THERAPY",
            "challenges": ["trauma"],
            "modalities": ["cbt"],
            "language": "en",
            "format": "FORMAT_VIRTUAL",
            "capacity": 8,
            "facilitatorId": leader.sub,
        }
        made = await self.coordinator.post("/v1/groups", {"details": described | details})
        return str(made["groupId"])

    async def series(self, group: str, days: Sequence[str], start: str, minutes: int, weeks: int = 2) -> Any:
        """Put weekly sessions of a group on the calendar, from today on."""
        return await self.coordinator.post(
            f"/v1/groups/{group}/series", {"pattern": self.pattern(days, start, minutes, weeks)}
        )

    def pattern(self, days: Sequence[str], start: str, minutes: int, weeks: int = 2) -> dict[str, Any]:
        """When something happens every week, from today on."""
        return {
            "days": [f"WEEKDAY_{each}" for each in days],
            "startTime": start,
            "minutes": minutes,
            "timeZone": ZONE.key,
            "firstDate": self.date(),
            "lastDate": self.date(7 * weeks - 1),
        }

    async def enrol(self, group: str, *people: Actor) -> list[Any]:
        """Give people a place in a group."""
        return [
            await self.coordinator.post(f"/v1/groups/{group}/enrolments", {"personId": who.person_id}) for who in people
        ]

    async def plan(
        self, kind: str, leader: Actor, *people: Actor, starts: datetime, minutes: int = 50, **session: Any
    ) -> Any:
        """Put one session on the calendar: INDIVIDUAL, COUPLES, FAMILY, CHECK_IN or GROUP."""
        return await self.coordinator.post(
            "/v1/sessions",
            {
                "kind": f"SESSION_KIND_{kind}",
                "title": f"{kind.capitalize()} session",
                "startsAt": timestamp(starts),
                "minutes": minutes,
                "timeZone": ZONE.key,
                "facilitatorId": leader.sub,
                "personIds": [each.person_id for each in people],
                "format": "FORMAT_VIRTUAL",
            }
            | session,
        )

    # The room

    async def opened(self, session: str, leader: Actor, *people: Actor) -> str:
        """Open the room of a session, with the leader and these people in it. The path of the room."""
        room = f"/v1/rooms/{session}"
        await leader.once_possible(f"{room}:open")
        for each in (leader, *people):
            await self.joined(room, each)
        return room

    async def joined(self, room: str, who: Actor, **how: Any) -> Any:
        """Accept the group agreement and join, under one's name here. Waits until the seat is known in the room."""
        agreement = await who.eventually(f"{room}/agreement", lambda found: found.get("agreementId"))
        await who.post(f"{room}:acceptAgreement", {"agreementId": agreement["agreementId"]})
        return await who.post(f"{room}:join", {"displayName": who.name} | how)

    async def meeting(self, *names: str, kind: str = "GROUP", minutes: int = 60, **session: Any) -> Meeting:
        """A session of new people with a leader of its own, in an open room that all have joined."""
        leader = await self.leader("Kim")
        people = [await self.referred(name) for name in names]
        starts = self.now() + timedelta(minutes=10)
        seats = {"capacity": 12} if kind == "GROUP" else {}
        planned = await self.plan(kind, leader, *people, starts=starts, minutes=minutes, **seats | session)
        room = await self.opened(planned["sessionId"], leader, *people)
        seen = await leader.get(room)
        member = {each["displayName"]: each["memberId"] for each in seen["members"]}
        return Meeting(self.clock, planned["sessionId"], room, leader, people, member, seen["eventId"])


@dataclass
class Meeting:
    """A room with its people in it."""

    clock: Clock
    session: str
    room: str
    """Its path: "/v1/rooms/…"."""
    leader: Actor
    people: list[Actor]
    member: dict[str, str]
    """What stands for each in this room, by name."""
    began: str
    """The id of the last event before anything was done in it."""

    async def staff(self, act: str, **body: Any) -> Any:
        """The leader does something in the room: `await meeting.staff("giveTurn", memberId=…)`."""
        return await self.leader.post(f"{self.room}:{act}", body)

    async def moderate(self, name: str, act: str, **body: Any) -> Any:
        """The leader does something about one person."""
        return await self.leader.post(f"{self.room}/members/{self.member[name]}:{act}", body)

    async def later(self, minutes: int) -> None:
        """Let so much time pass, until the room goes by it too."""
        wanted = self.clock.now() + timedelta(minutes=minutes)
        self.clock.set(wanted)
        while (await self.staff("sendMessage", text="…", toStaff=True))["sentAt"] < timestamp(wanted):
            await asyncio.sleep(0)

    async def seen_until_closed(self, *watchers: Actor) -> list[list[Any]]:
        """Close the room; what happened in it since it began, as each watcher was told."""
        # Everyone is told of a break, so that the room closes only when all are watching it.
        await self.staff("startPause", kind="PAUSE_KIND_BREAK", minutes=1)
        told: dict[Actor, list[Any]] = {each: [] for each in watchers}
        watching = {each: asyncio.Event() for each in watchers}
        tasks = [asyncio.create_task(self._watch(each, told[each], watching[each])) for each in watchers]
        await asyncio.gather(*(each.wait() for each in watching.values()))
        await self.staff("close")
        await asyncio.gather(*tasks)
        return list(told.values())

    async def _watch(self, who: Actor, told: list[Any], watching: asyncio.Event) -> None:
        async for _, event in who.watch(f"{self.room}:watch", self.began):
            told.append(event)
            watching.set()
