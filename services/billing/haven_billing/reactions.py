"""What billing does when another service tells of an event."""

from datetime import UTC, date
from typing import Any

from haven.intake.v1.events_pb2 import LevelOfCareChanged, PersonAdmitted, PersonDischarged
from haven.sessions.v1.events_pb2 import AttendanceRecorded

from haven_billing import rating
from haven_billing.facts import Facts
from haven_billing.store import charges
from haven_kit import relations
from haven_kit.database import Tx
from haven_kit.reactions import Reaction


def reactions(facts: Facts) -> tuple[Reaction[Any], ...]:
    """The reactions of billing."""

    async def attended(tx: Tx, event: AttendanceRecorded) -> None:
        """A person attended: keep it, and decide about the day."""
        day = date.fromisoformat(event.service_date)
        await charges.keep_attendance(
            tx, event.attendance_id, event.person_id, event.session_id, day, event.attended_minutes
        )
        await rating.rate_day(tx, facts, event.person_id, day)

    return (
        Reaction(AttendanceRecorded, attended),
        Reaction(PersonAdmitted, admitted),
        Reaction(LevelOfCareChanged, level_changed),
        Reaction(PersonDischarged, discharged),
        *relations.reactions(),
    )


async def admitted(tx: Tx, event: PersonAdmitted) -> None:
    """A person was admitted: keep the plan."""
    await charges.keep_plan(
        tx,
        event.person_id,
        event.admission_id,
        event.admitted_at.ToDatetime(UTC),
        track=event.track,
        days_per_week=event.days_per_week,
        hours_per_week=event.hours_per_week,
    )


async def level_changed(tx: Tx, event: LevelOfCareChanged) -> None:
    """The hours of a plan changed."""
    await charges.keep_hours(tx, event.admission_id, event.days_per_week, event.hours_per_week)


async def discharged(tx: Tx, event: PersonDischarged) -> None:
    """An admission ended."""
    await charges.keep_discharge(tx, event.admission_id, event.discharged_at.ToDatetime(UTC))
