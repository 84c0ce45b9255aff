"""What scheduling does when another service tells of an event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from haven.intake.v1 import events_pb2 as intake

from haven_kit import relations
from haven_kit.database import Tx
from haven_kit.reactions import Reaction
from haven_scheduling import booking, planning
from haven_scheduling.domain.intervals import Interval
from haven_scheduling.store import calendar, groups, people

EVERYTHING = planning.HORIZON * 20
"""Further ahead than anything is planned."""


def reactions() -> tuple[Reaction[Any], ...]:
    """The reactions of scheduling."""
    return (
        *relations.reactions(),
        Reaction(intake.PersonAdmitted, admitted),
        Reaction(intake.LevelOfCareChanged, level_changed),
        Reaction(intake.PersonDischarged, discharged),
    )


async def admitted(tx: Tx, event: intake.PersonAdmitted) -> None:
    """Keep what the plan asks for."""
    await people.admit(tx, event)


async def level_changed(tx: Tx, event: intake.LevelOfCareChanged) -> None:
    """Keep what the plan asks for now. Weeks then show what is missing."""
    await people.change_plan(tx, event)


async def discharged(tx: Tx, event: intake.PersonDischarged) -> None:
    """Give up the person's coming seats and places; those who wait move up."""
    if not await people.discharge(tx, event):
        return
    for each in await groups.enrolments(tx, person_id=event.person_id, after=None, limit=1000):
        await groups.lock_group(tx, each.group_id)
        current = await groups.enrolment(tx, each.enrolment_id)
        if current.ended_at is None:
            await booking.end_enrolment(tx, current)
    await _leave_series(tx, event.person_id)
    await _leave_sessions(tx, event.person_id)


async def _leave_series(tx: Tx, person_id: str) -> None:
    for found in await groups.series_with(tx, person_id):
        row = await groups.lock_series(tx, found.series_id)
        staying = tuple(each for each in row.person_ids if each != person_id)
        if len(staying) < planning.FEWEST[row.kind]:
            await planning.finish(tx, row, tx.now.date())
        else:
            await groups.write_series(tx, replace(row, person_ids=staying))


async def _leave_sessions(tx: Tx, person_id: str) -> None:
    span = Interval(tx.now, tx.now + EVERYTHING)
    for row in await calendar.sessions(tx, span, person_id=person_id):
        if row.when.start <= tx.now:
            continue
        if not row.group_id and len(row.person_ids) - 1 < planning.FEWEST.get(row.kind, 0):
            await booking.cancel(tx, row)
        else:
            await booking.release(tx, session_ids=[row.session_id], person_id=person_id)
