"""The calendar is kept planned ahead, by however many replicas; what cannot be is kept for someone to resolve."""

import asyncio
from datetime import timedelta
from typing import Any

from haven.scheduling.v1 import calendar_pb2 as cal
from haven.scheduling.v1 import groups_pb2

from haven_kit.ids import new_id
from haven_kit.testing import eventually
from haven_scheduling import workers


async def test_sessions_appear_as_time_goes_by_and_once_each(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    series = await world.series(leader, group.group_id)
    person = new_id()
    await world.enrol(group.group_id, person)
    elsewhere = await world.plan(await world.leader(), person, starts_at=world.at(7 * 13, 10))
    world.clock.advance(timedelta(weeks=3))

    database = world.running.process.database
    await asyncio.gather(*(workers.extend_one(database) for _ in range(4)))
    asked = groups_pb2.GetSeriesRequest(series_id=series.series_id)

    async def extended() -> bool:
        return bool((await leader.call.GetSeries(asked)).planned_through > "2026-04-18")

    await eventually(extended)
    sessions = await world.sessions(leader, group_id=group.group_id)
    days = [each.starts_local[:10] for each in sessions]
    assert len(days) == len(set(days))
    assert days[-1] == "2026-04-20"
    clashing = next(each for each in sessions if each.starts_local[:10] == "2026-04-06")
    assert {tuple(each.person_ids) for each in sessions if each is not clashing} == {(person,)}
    assert not clashing.person_ids
    clash = groups_pb2.Clash(session_id=clashing.session_id, holder_id=person)
    assert list((await leader.call.GetSeries(asked)).clashes) == [clash]

    await world.office.call.CancelSession(cal.CancelSessionRequest(session_id=elsewhere.session_id))
    await world.office.call.BookSeat(cal.BookSeatRequest(session_id=clashing.session_id, person_id=person))
    assert not (await leader.call.GetSeries(asked)).clashes


async def test_a_series_with_a_last_day_is_finished_there(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    first = world.clock.now().date() + timedelta(days=1)
    last = first + timedelta(weeks=13)
    pattern = world.pattern(days=(1,), first_date=first.isoformat(), last_date=last.isoformat())
    await world.series(leader, group.group_id, pattern)
    before = await world.sessions(leader, group_id=group.group_id)
    world.clock.advance(timedelta(weeks=4))
    while await workers.extend_one(world.running.process.database):
        continue
    after = await world.sessions(leader, group_id=group.group_id)
    assert after[-1].starts_local[:10] > before[-1].starts_local[:10]
    assert after[-1].starts_local[:10] <= last.isoformat()
