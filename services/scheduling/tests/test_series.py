"""Groups, their series across changes of the clock, changes and ends of series."""

from datetime import UTC, datetime
from typing import Any

import pytest
from haven.scheduling.v1 import calendar_pb2 as cal
from haven.scheduling.v1 import events_pb2, groups_pb2

from haven_kit.errors import Conflict, Denied, Invalid, Refused, Stale
from haven_kit.identity import system


async def test_treatment_is_led_by_someone_with_a_licence_in_force(world: Any) -> None:
    unlicensed = world.as_role("facilitator")
    with pytest.raises(Refused) as refused:
        await world.group(unlicensed)
    assert refused.value.reason == "facilitator_not_licensed"
    peers = await world.group(unlicensed, kind=groups_pb2.GROUP_KIND_PEER_SUPPORT)
    assert peers.details.facilitator_id == unlicensed.id
    expired = await world.leader(credentials=[{"credential": "lcsw", "expires_on": "2026-01-04"}])
    with pytest.raises(Refused):
        await world.group(expired)


async def test_words_that_the_catalogue_does_not_have_are_named(world: Any) -> None:
    leader = await world.leader()
    wrong: dict[str, dict[str, Any]] = {
        "details.track": {"track": "nowhere"},
        "details.phase": {"phase": "nowhere"},
        "details.challenges": {"challenges": ["nothing"]},
        "details.modalities": {"modalities": ["nothing"]},
        "details.place": {"format": groups_pb2.FORMAT_IN_PERSON},
        "details.starts_on": {"closed_cohort": True},
        "details.ends_on": {"starts_on": "2026-02-02", "ends_on": "2026-02-01"},
    }
    for field, changes in wrong.items():
        with pytest.raises(Invalid) as invalid:
            await world.group(leader, **changes)
        assert [each.field for each in invalid.value.violations] == [field]


async def test_groups_are_found_by_track_kind_challenge_and_free_seat(world: Any) -> None:
    leader = await world.leader()
    wanted = await world.group(leader, track="iop-couples", kind=groups_pb2.GROUP_KIND_COUPLES, challenges=["grief"])
    await world.group(leader, track="iop-couples", challenges=["anxiety"])
    full = await world.group(leader, track="iop-couples", challenges=["grief"], capacity=1)
    await world.enrol(full.group_id, "018f0000-0000-7000-8000-000000000001")
    asked = groups_pb2.ListGroupsRequest(track="iop-couples", challenges=["grief", "military"], with_free_seat=True)
    found = await world.as_role("participant", person_id=None).call.ListGroups(asked)
    assert [each.group_id for each in found.groups] == [wanted.group_id]
    first = await leader.call.ListGroups(groups_pb2.ListGroupsRequest(track="iop-couples", page_size=2))
    rest = await leader.call.ListGroups(
        groups_pb2.ListGroupsRequest(track="iop-couples", page_size=2, page_token=first.next_page_token)
    )
    assert len({each.group_id for each in (*first.groups, *rest.groups)}) == 3
    assert not rest.next_page_token


async def test_a_series_stays_at_its_hour_across_the_change_of_the_clock(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    series = await world.series(leader, group.group_id, world.pattern(except_dates=["2026-01-19"]))
    sessions = await world.sessions(leader, group_id=group.group_id)
    assert {each.starts_local[11:16] for each in sessions} == {"09:00"}
    assert {each.starts_local[16:] for each in sessions} == {"-05:00", "-04:00"}
    assert {each.starts_at.ToDatetime(UTC).hour for each in sessions} == {14, 13}
    days = [each.starts_local[:10] for each in sessions]
    assert days[:4] == ["2026-01-12", "2026-01-14", "2026-01-16", "2026-01-21"]
    assert "2026-03-30" <= series.planned_through <= "2026-03-31"
    told = [each for each in await world.running.told(events_pb2.SessionPlanned) if each.group_id == group.group_id]
    assert {each.session_id for each in told} == {each.session_id for each in sessions}
    assert {(each.kind, each.facilitator_id, each.version) for each in told} == {("group", leader.id, 1)}


async def test_a_series_ends_with_its_cohort(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader, closed_cohort=True, starts_on="2026-01-12", ends_on="2026-01-25")
    await world.series(leader, group.group_id)
    assert len(await world.sessions(leader, group_id=group.group_id)) == 6


async def test_a_time_zone_or_day_that_does_not_exist_is_named(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    for field, changes in {
        "pattern.time_zone": {"time_zone": "../etc/passwd"},
        "pattern.first_date": {"first_date": "2026-02-30"},
        "pattern.last_date": {"last_date": "2026-01-01"},
    }.items():
        with pytest.raises(Invalid) as invalid:
            await world.series(leader, group.group_id, world.pattern(**changes))
        assert [each.field for each in invalid.value.violations] == [field]


async def test_a_changed_series_moves_adds_and_cancels_from_a_day_on(world: Any, person: str) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    series = await world.series(leader, group.group_id)
    await world.enrol(group.group_id, person)
    before = {each.starts_local[:10]: each for each in await world.sessions(leader, group_id=group.group_id)}
    await leader.call.PutAgenda(
        cal.PutAgendaRequest(
            session_id=before["2026-01-21"].session_id,
            title="Today",
            items=[cal.AgendaItem(kind=cal.AGENDA_ITEM_KIND_OPENING, title="Arriving", minutes=10)],
        )
    )
    new = await leader.call.ChangeSeries(
        groups_pb2.ChangeSeriesRequest(
            series_id=series.series_id,
            pattern=world.pattern(days=(3, 4), start="13:00", first_date="2026-01-19"),
            etag=series.etag,
        )
    )
    assert new.follows_series_id == series.series_id
    after = {each.starts_local[:10]: each for each in await world.sessions(leader, group_id=group.group_id)}
    assert [day for day in after if day < "2026-01-30"] == [
        "2026-01-12", "2026-01-14", "2026-01-16", "2026-01-21", "2026-01-22", "2026-01-28", "2026-01-29",
    ]  # fmt: skip
    assert after["2026-01-16"] == before["2026-01-16"]
    moved = after["2026-01-21"]
    assert (moved.session_id, moved.starts_local[11:16]) == (before["2026-01-21"].session_id, "13:00")
    assert moved.has_agenda
    assert all(list(each.person_ids) == [person] for each in after.values())
    cancelled = {each.session_id for each in await world.running.told(events_pb2.SessionCancelled)}
    assert before["2026-01-19"].session_id in cancelled
    assert moved.session_id not in cancelled
    seats = [each for each in await world.running.told(events_pb2.SeatTaken) if each.person_id == person]
    assert after["2026-01-22"].session_id in seats[-1].session_ids
    assert moved.session_id not in seats[-1].session_ids, "a seat that was carried over is no news"


async def test_a_change_that_would_put_someone_in_two_places_changes_nothing(world: Any, person: str) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    series = await world.series(leader, group.group_id)
    await world.enrol(group.group_id, person)
    other = await world.plan(await world.leader(), person)
    before = await world.sessions(leader, group_id=group.group_id)
    request = groups_pb2.ChangeSeriesRequest(
        series_id=series.series_id, pattern=world.pattern(days=(2,), start="12:00")
    )
    with pytest.raises(Conflict) as conflict:
        await world.office.call.ChangeSeries(request)
    assert other.session_id in conflict.value.message
    assert await world.sessions(leader, group_id=group.group_id) == before


async def test_an_ended_series_has_no_sessions_from_that_day_on(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    series = await world.series(leader, group.group_id)
    ended = await leader.call.EndSeries(
        groups_pb2.EndSeriesRequest(series_id=series.series_id, from_date="2026-01-14", etag=series.etag)
    )
    assert ended.pattern.last_date == "2026-01-13"
    assert [each.starts_local[:10] for each in await world.sessions(leader, group_id=group.group_id)] == ["2026-01-12"]
    with pytest.raises(Stale):
        await leader.call.EndSeries(
            groups_pb2.EndSeriesRequest(series_id=series.series_id, from_date="2026-01-12", etag=series.etag)
        )


async def test_only_who_leads_a_group_or_the_office_changes_it(world: Any) -> None:
    leader, other = await world.leader(), await world.leader()
    group = await world.group(leader)
    request = groups_pb2.UpdateGroupRequest(group_id=group.group_id, details=group.details)
    with pytest.raises(Denied):
        await other.call.UpdateGroup(request)
    with pytest.raises(Denied):
        await world.series(other, group.group_id)
    assert (await world.office.call.UpdateGroup(request)).etag == "v2"


async def test_a_new_leader_takes_over_every_coming_session(world: Any, person: str) -> None:
    leader, other = await world.leader(), await world.leader()
    group = await world.group(leader)
    await world.series(leader, group.group_id)
    await world.enrol(group.group_id, person)
    group.details.facilitator_id = other.id
    await leader.call.UpdateGroup(groups_pb2.UpdateGroupRequest(group_id=group.group_id, details=group.details))
    sessions = await world.sessions(world.office, group_id=group.group_id) or await world.sessions(other)
    assert {each.facilitator_id for each in sessions} == {other.id}
    freed = await world.plan(leader, starts_at=world.at(7, 9), person_ids=["018f0000-0000-7000-8000-000000000002"])
    assert freed.facilitator_id == leader.id


async def test_the_weekly_check_in_of_one_person(world: Any, person: str) -> None:
    leader = await world.leader()
    series = await world.office.call.PlanSeries(
        cal.PlanSeriesRequest(
            kind=cal.SESSION_KIND_CHECK_IN,
            title="Check-in",
            person_ids=[person],
            facilitator_id=leader.id,
            pattern=world.pattern(days=(2,), start="17:30", minutes=20, last_date="2026-02-10"),
        )
    )
    assert list(series.person_ids) == [person]
    sessions = await world.sessions(world.participant(person))
    assert [each.starts_local[:16] for each in sessions] == [
        f"2026-{day}T17:30" for day in ("01-13", "01-20", "01-27", "02-03", "02-10")
    ]
    assert {(each.title, each.kind) for each in sessions} == {("Check-in", cal.SESSION_KIND_CHECK_IN)}
    assert sessions[0].ends_at.ToDatetime(UTC) == datetime(2026, 1, 13, 22, 50, tzinfo=UTC)


async def test_an_end_beyond_the_horizon_is_still_planned_up_to(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    series = await world.series(leader, group.group_id)
    request = groups_pb2.EndSeriesRequest(series_id=series.series_id, from_date="2026-04-20")
    assert (await leader.call.EndSeries(request)).pattern.last_date == "2026-04-19"
    async with world.running.process.database.transaction(system("test")) as tx:
        (row,) = await tx.fetch("SELECT finished FROM series WHERE series_id = $1", series.series_id)
    assert not row["finished"]


async def test_a_cohort_that_ends_earlier_takes_its_sessions_along(world: Any) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    await world.series(leader, group.group_id)
    group.details.ends_on = "2026-01-14"
    await leader.call.UpdateGroup(groups_pb2.UpdateGroupRequest(group_id=group.group_id, details=group.details))
    sessions = await world.sessions(leader, group_id=group.group_id)
    assert [each.starts_local[:10] for each in sessions] == ["2026-01-12", "2026-01-14"]


async def test_people_see_when_a_group_meets_and_not_who_is_in_it(world: Any, person: str) -> None:
    leader = await world.leader()
    group = await world.group(leader)
    await world.series(leader, group.group_id)
    await world.enrol(group.group_id, person)
    curious = world.participant("018f0000-0000-7000-8000-000000000003")
    found = await curious.call.ListSeries(groups_pb2.ListSeriesRequest(group_id=group.group_id))
    assert [each.pattern.start_time for each in found.series] == ["09:00"]
    assert person not in str(found)
    assert not await world.sessions(curious, group_id=group.group_id)
