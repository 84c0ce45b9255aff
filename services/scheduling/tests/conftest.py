"""A scheduling service that runs, and those who work with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from haven.intake.v1 import events_pb2 as intake
from haven.scheduling.v1 import calendar_pb2 as cal
from haven.scheduling.v1 import groups_pb2, people_pb2
from haven.scheduling.v1.fitting_service_pb2_grpc import FittingServiceStub
from haven.scheduling.v1.scheduling_service_pb2_grpc import SchedulingServiceStub

from haven_kit.clock import FakeClock
from haven_kit.ids import new_id
from haven_kit.testing.running import Running
from haven_scheduling.__main__ import SPEC

NEW_YORK = "America/New_York"


class World:
    """The service, its clock, and how its users use it. The clock begins on Monday 2026-01-05 at 09:00 UTC."""

    def __init__(self, running: Running, clock: FakeClock) -> None:
        self.running = running
        self.clock = clock
        self.office = self.as_role("care_coordinator")
        self.stub = SchedulingServiceStub

    def as_role(self, *roles: str, person_id: str | None = None) -> Staff:
        return Staff(self.running, roles, person_id)

    def at(self, day: int, hour: int, minute: int = 0) -> datetime:
        """That many days after the first Monday, at that hour in New York."""
        monday = datetime(2026, 1, 5, hour, minute, tzinfo=ZoneInfo(NEW_YORK))
        return (monday + timedelta(days=day)).astimezone(UTC)

    async def leader(self, **changes: Any) -> Staff:
        """A facilitator with a licence in force."""
        leader = self.as_role("facilitator")
        facts: dict[str, Any] = {
            "display_name": "Sam Rivera",
            "specialties": ["trauma"],
            "modalities": ["emdr"],
            "languages": ["en"],
            "credentials": [people_pb2.Credential(credential="lcsw", jurisdiction="US-NY", expires_on="2027-12-31")],
            "time_zone": NEW_YORK,
            "windows": [people_pb2.WeeklyWindow(day=groups_pb2.WEEKDAY_MONDAY, start_time="09:00", end_time="17:00")],
            "accepts_new": True,
        }
        await leader.call.PutStaffProfile(
            people_pb2.PutStaffProfileRequest(principal_id=leader.id, **{**facts, **changes})
        )
        return leader

    async def group(self, leader: Staff, **changes: Any) -> Any:
        facts: dict[str, Any] = {
            "title": "Morning group",
            "track": "iop-adult-trauma",
            "kind": groups_pb2.GROUP_KIND_THERAPY,
            "challenges": ["trauma"],
            "language": "en",
            "format": groups_pb2.FORMAT_VIRTUAL,
            "capacity": 8,
            "facilitator_id": leader.id,
        }
        details = groups_pb2.GroupDetails(**{**facts, **changes})
        return await leader.call.CreateGroup(groups_pb2.CreateGroupRequest(details=details))

    def pattern(
        self, days: tuple[int, ...] = (1, 3, 5), start: str = "09:00", **changes: Any
    ) -> groups_pb2.WeeklyPattern:
        facts: dict[str, Any] = {
            "days": days,
            "start_time": start,
            "minutes": 180,
            "time_zone": NEW_YORK,
            "first_date": "2026-01-12",
        }
        return groups_pb2.WeeklyPattern(**{**facts, **changes})

    async def series(self, leader: Staff, group_id: str, pattern: groups_pb2.WeeklyPattern | None = None) -> Any:
        return await leader.call.CreateSeries(
            groups_pb2.CreateSeriesRequest(group_id=group_id, pattern=pattern or self.pattern())
        )

    async def enrol(self, group_id: str, person_id: str) -> Any:
        return await self.office.call.Enrol(groups_pb2.EnrolRequest(group_id=group_id, person_id=person_id))

    async def plan(self, leader: Staff, *person_ids: str, by: Staff | None = None, **changes: Any) -> Any:
        """A session in the second week, by default on its Tuesday at 14:00 for an hour."""
        facts: dict[str, Any] = {
            "kind": cal.SESSION_KIND_INDIVIDUAL,
            "title": "One to one",
            "starts_at": self.at(8, 14),
            "minutes": 60,
            "time_zone": NEW_YORK,
            "facilitator_id": leader.id,
            "person_ids": person_ids,
            "format": groups_pb2.FORMAT_VIRTUAL,
        }
        return await (by or self.office).call.PlanSession(cal.PlanSessionRequest(**{**facts, **changes}))

    async def sessions(self, who: Staff, **asked: Any) -> list[cal.Session]:
        """A calendar of twenty weeks."""
        asked["to"] = self.clock.now() + timedelta(weeks=20)
        request = cal.ListSessionsRequest(page_size=200, **asked)
        return list((await who.call.ListSessions(request)).sessions)

    async def admit(self, person_id: str | None = None, **changes: Any) -> str:
        """A person whom intake admitted; returns the id."""
        facts: dict[str, Any] = {
            "person_id": person_id or new_id(),
            "admission_id": new_id(),
            "track": "iop-adult-trauma",
            "days_per_week": 3,
            "hours_per_week": 9,
            "time_zone": "America/Chicago",
            "admitted_at": self.clock.now(),
        }
        event = intake.PersonAdmitted(**{**facts, **changes})
        await self.running.react(event, key=event.person_id)
        return event.person_id

    async def discharge(self, person_id: str, admission_id: str, *, event_id: str = "") -> None:
        facts: dict[str, Any] = {"discharged_at": self.clock.now()}
        event = intake.PersonDischarged(person_id=person_id, admission_id=admission_id, **facts)
        await self.running.react(event, key=person_id, event_id=event_id)

    async def care_team(self, person_id: str, *members: Staff) -> None:
        """Make these the person's care team."""
        event = intake.CareTeamChanged(
            person_id=person_id,
            members=[intake.CareTeamMember(principal_id=each.id, role="individual_therapist") for each in members],
            version=1,
        )
        await self.running.react(event, key=person_id)

    def participant(self, person_id: str, role: str = "participant") -> Staff:
        return self.as_role(role, person_id=person_id)


class Staff:
    """Someone who calls, and signs in anew for every call."""

    def __init__(self, running: Running, roles: tuple[str, ...], person_id: str | None) -> None:
        self.id = new_id()
        self._running = running
        self._roles = roles
        self._person_id = person_id

    @property
    def call(self) -> Any:
        caller = self._running.as_role(*self._roles, person_id=self._person_id, sub=self.id)
        return SimpleNamespace(**vars(caller.stub(SchedulingServiceStub)), **vars(caller.stub(FittingServiceStub)))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(serve: Callable[..., Awaitable[Running]]) -> World:
    clock = FakeClock()
    return World(await serve(SPEC, clock=clock), clock)


@pytest.fixture
def person() -> str:
    return new_id()
