"""Background loops of scheduling, safe with many replicas."""

from __future__ import annotations

from datetime import timedelta

from haven_kit.database import Database
from haven_kit.identity import system
from haven_kit.service import Parts
from haven_kit.workers import Worker
from haven_scheduling import planning
from haven_scheduling.settings import SchedulingSettings
from haven_scheduling.store import groups


def workers(parts: Parts[SchedulingSettings]) -> tuple[Worker, ...]:
    """The loops of scheduling."""

    async def step() -> bool:
        return await extend_one(parts.database)

    return (Worker("horizon", step, every=timedelta(minutes=10)),)


async def extend_one(database: Database) -> bool:
    """Put the next sessions of one series on the calendar. True when there was one whose calendar ended too early."""
    async with database.transaction(system("scheduling/horizon")) as tx:
        series_id = await groups.series_to_extend(tx, planning.horizon(tx.now))
        if series_id is None:
            return False
        row = await groups.lock_series(tx, series_id)
        # Another replica may have been faster while this one waited for the lock.
        if not row.finished and row.planned_through < planning.horizon(tx.now):
            await planning.extend(tx, row)
    return True
