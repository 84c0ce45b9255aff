"""A person's week against the plan."""

from __future__ import annotations

from haven.scheduling.v1 import calendar_pb2 as pb

from haven_kit import relations, times
from haven_kit.call import Call
from haven_scheduling import facts, patterns
from haven_scheduling.api.base import Base
from haven_scheduling.domain import week
from haven_scheduling.domain.intervals import monday_of, week_of
from haven_scheduling.store import calendar, people


class WeeksApi(Base):
    """A person's week against the plan."""

    async def get_week(self, call: Call, request: pb.GetWeekRequest) -> pb.Week:
        """A person's week against the plan."""
        await relations.require(call, request.person_id)
        plan = await people.plan(call.tx, request.person_id)
        zone = times.zone("time_zone", await people.time_zone(call.tx, request.person_id) or "UTC")
        today = call.now.astimezone(zone).date()
        start = patterns.day("start", request.start) if request.start else monday_of(today)
        found = await calendar.sessions(call.tx, week_of(start, zone), person_id=request.person_id)
        sessions = [each for each in found if each.when.day(zone) >= start]
        load = week.load(
            start,
            zone,
            [each.when for each in sessions if not each.optional],
            week.Plan(plan.days, plan.hours) if plan and not plan.discharged else None,
            facts.bounds(plan.track) if plan and not plan.discharged else None,
        )
        cared = (request.person_id,)
        return pb.Week(
            person_id=request.person_id,
            start=start.isoformat(),
            time_zone=zone.key,
            days=[
                pb.Day(
                    date=day.isoformat(),
                    minutes=minutes,
                    sessions=[
                        self._words.session(each, call.principal, zone, cared)
                        for each in sessions
                        if each.when.day(zone) == day
                    ],
                )
                for day, minutes in load.by_day.items()
            ],
            planned_minutes=load.minutes,
            planned_days=load.days,
            plan_hours=plan.hours if plan else 0,
            plan_days=plan.days if plan else 0,
            missing_minutes=load.missing_minutes,
            warnings=[
                pb.WeekWarning(rule=each.rule, date=each.day.isoformat() if each.day else "", message=each.message)
                for each in load.warnings
            ],
        )
