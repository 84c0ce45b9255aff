"""Plans from intake, weeks, availability, proposals, clinicians, discharge."""

from typing import Any

import pytest
from haven.intake.v1 import events_pb2 as intake
from haven.scheduling.v1 import calendar_pb2 as cal
from haven.scheduling.v1 import events_pb2, groups_pb2, people_pb2

from haven_kit.errors import Denied, Invalid, NotFound, Refused, Stale
from haven_kit.ids import new_id

ACTIVE = groups_pb2.ENROLMENT_STATE_ACTIVE


def window(day: Any, start: str, end: str) -> Any:
    return people_pb2.WeeklyWindow(day=day, start_time=start, end_time=end)


async def week(world: Any, who: Any, person: str, start: str = "2026-01-12") -> Any:
    return await who.call.GetWeek(cal.GetWeekRequest(person_id=person, start=start))


async def test_a_week_shows_what_the_plan_asks_for_and_what_is_missing(world: Any) -> None:
    person = await world.admit(days_per_week=4, hours_per_week=12)
    leader = await world.leader()
    group = await world.group(leader)
    await world.series(leader, group.group_id)
    me = world.participant(person)
    empty = await week(world, me, person)
    assert (empty.missing_minutes, empty.planned_days) == (720, 0)
    await world.enrol(group.group_id, person)
    await world.plan(leader, person, kind=cal.SESSION_KIND_GROUP, optional=True, capacity=5, starts_at=world.at(11, 18))
    found = await week(world, me, person)
    assert (found.planned_minutes, found.planned_days, found.plan_hours, found.plan_days) == (540, 3, 12, 4)
    assert found.missing_minutes == 180
    assert {each.rule for each in found.warnings} == {"under_plan_hours", "under_plan_days"}
    assert [len(each.sessions) for each in found.days] == [1, 0, 1, 0, 2, 0, 0]
    assert found.days[0].sessions[0].starts_local == "2026-01-12T08:00-06:00", "in the person's own zone"


async def test_another_level_of_care_changes_what_a_week_asks_for(world: Any) -> None:
    admission = new_id()
    person = await world.admit(admission_id=admission)
    change = intake.LevelOfCareChanged(person_id=person, admission_id=admission, days_per_week=5, hours_per_week=15)
    await world.running.react(change, key=person)
    found = await week(world, world.office, person)
    assert (found.plan_days, found.plan_hours) == (5, 15)
    other = intake.LevelOfCareChanged(person_id=person, admission_id=new_id(), days_per_week=1, hours_per_week=1)
    await world.running.react(other, key=person)
    assert (await week(world, world.office, person)).plan_days == 5


async def test_a_late_admission_does_not_replace_a_newer_one(world: Any) -> None:
    person = await world.admit(days_per_week=4)
    await world.admit(person, days_per_week=3, admitted_at=world.at(-30, 9))
    assert (await week(world, world.office, person)).plan_days == 4


async def test_discharge_gives_up_seats_and_those_who_wait_move_up_once(world: Any) -> None:
    admission = new_id()
    person, other = await world.admit(admission_id=admission), new_id()
    leader = await world.leader()
    group = await world.group(leader, capacity=1)
    await world.series(leader, group.group_id)
    await world.enrol(group.group_id, person)
    waiting = await world.enrol(group.group_id, other)
    alone = await world.plan(leader, person)
    family = await world.plan(leader, person, other, new_id(), kind=cal.SESSION_KIND_FAMILY, starts_at=world.at(9, 14))
    event_id = new_id()
    for _ in range(2):
        await world.discharge(person, admission, event_id=event_id)
    assert not await world.sessions(world.office, person_id=person)
    roster = await leader.call.ListEnrolments(groups_pb2.ListEnrolmentsRequest(group_id=group.group_id))
    assert [(each.enrolment_id, each.state) for each in roster.enrolments] == [(waiting.enrolment_id, ACTIVE)]
    gone = await world.office.call.GetSession(cal.GetSessionRequest(session_id=alone.session_id))
    assert gone.state == cal.SESSION_STATE_CANCELLED
    stays = await world.office.call.GetSession(cal.GetSessionRequest(session_id=family.session_id))
    assert (stays.state, stays.seats_taken) == (cal.SESSION_STATE_PLANNED, 2)
    cancelled = [each.session_id for each in await world.running.told(events_pb2.SessionCancelled)]
    assert cancelled.count(alone.session_id) == 1
    released = [each for each in await world.running.told(events_pb2.SeatReleased) if each.person_id == person]
    assert len({(each.enrolment_id, *each.session_ids) for each in released}) == len(released)
    with pytest.raises(Refused):
        await world.enrol(group.group_id, person)


async def test_discharge_ends_weekly_sessions_that_cannot_go_on(world: Any) -> None:
    admission = new_id()
    person, partner = await world.admit(admission_id=admission), new_id()
    leader = await world.leader()
    request = cal.PlanSeriesRequest(
        kind=cal.SESSION_KIND_COUPLES,
        title="Couples",
        person_ids=[person, partner],
        facilitator_id=leader.id,
        pattern=world.pattern(days=(4,), minutes=75),
    )
    await world.office.call.PlanSeries(request)
    assert len(await world.sessions(world.participant(partner, "partner"))) == 11
    await world.discharge(person, admission)
    assert not await world.sessions(world.participant(partner, "partner"))
    assert await world.plan(leader, partner, starts_at=world.at(10, 9))


async def test_availability_is_the_persons_own_and_not_overwritten_unseen(world: Any, person: str) -> None:
    me = world.participant(person)
    blackout = people_pb2.Blackout(
        window=window(1, "08:00", "16:00"), reason=people_pb2.BLACKOUT_REASON_WORK, note="canary"
    )
    request = people_pb2.PutAvailabilityRequest(
        person_id=person, time_zone="America/Chicago", windows=[window(1, "17:00", "24:00")], blackouts=[blackout]
    )
    with pytest.raises(NotFound):
        await me.call.GetAvailability(people_pb2.GetAvailabilityRequest(person_id=person))
    written = await me.call.PutAvailability(request)
    assert await me.call.GetAvailability(people_pb2.GetAvailabilityRequest(person_id=person)) == written
    request.etag = written.etag
    await me.call.PutAvailability(request)
    with pytest.raises(Stale):
        await me.call.PutAvailability(request)
    request.time_zone = "Mars/Olympus"
    with pytest.raises(Invalid) as invalid:
        await me.call.PutAvailability(request)
    assert [each.field for each in invalid.value.violations] == ["time_zone"]


async def proposals(world: Any, who: Any, person: str, **asked: Any) -> Any:
    return await who.call.ProposeGroups(people_pb2.ProposeGroupsRequest(person_id=person, **asked))


async def test_proposals_fit_the_plan_and_go_around_work(world: Any) -> None:
    track = "iop-adult-mood-anxiety"
    person = await world.admit(track=track)
    mornings = await world.group(await world.leader(), track=track)
    evenings = await world.group(await world.leader(), track=track, challenges=["grief"])
    await world.series(world.office, mornings.group_id)
    await world.series(world.office, evenings.group_id, world.pattern(start="18:00"))
    me = world.participant(person)
    found = await proposals(world, me, person, challenges=["trauma"])
    assert [list(each.group_ids) for each in found.proposals] == [[mornings.group_id], [evenings.group_id]]
    assert found.proposals[0].meets_plan
    work = [
        people_pb2.Blackout(window=window(day, "08:00", "16:00"), reason=people_pb2.BLACKOUT_REASON_WORK)
        for day in range(1, 6)
    ]
    await me.call.PutAvailability(
        people_pb2.PutAvailabilityRequest(person_id=person, time_zone="America/Chicago", blackouts=work)
    )
    found = await proposals(world, me, person, challenges=["trauma"])
    assert [list(each.group_ids) for each in found.proposals] == [[evenings.group_id]]
    assert [(each.group_id, each.rule) for each in found.left_out] == [(mornings.group_id, "outside_availability")]
    assert not await world.sessions(me), "a proposal books nothing"


async def test_a_couple_is_kept_together_or_apart_and_only_staff_ask(world: Any) -> None:
    track = "iop-couples"
    one, other = await world.admit(track=track), await world.admit(track=track)
    theirs = await world.group(await world.leader(), track=track)
    apart = await world.group(await world.leader(), track=track)
    await world.series(world.office, theirs.group_id)
    await world.series(world.office, apart.group_id, world.pattern(days=(1, 2, 4), start="14:00"))
    await world.enrol(theirs.group_id, other)
    asked = {"partner_person_id": other, "week_start": "2026-01-12"}
    together = await proposals(world, world.office, one, couple=people_pb2.COUPLE_WISH_TOGETHER, **asked)
    assert list(together.proposals[0].group_ids) == [theirs.group_id]
    away = await proposals(world, world.office, one, couple=people_pb2.COUPLE_WISH_APART, **asked)
    assert [list(each.group_ids) for each in away.proposals] == [[apart.group_id]]
    with pytest.raises(Denied):
        await proposals(world, world.participant(one), one, couple=people_pb2.COUPLE_WISH_APART, **asked)
    with pytest.raises(Invalid):
        await proposals(world, world.office, one, couple=people_pb2.COUPLE_WISH_APART)


async def test_nothing_is_proposed_before_admission(world: Any, person: str) -> None:
    with pytest.raises(Refused) as refused:
        await proposals(world, world.office, person)
    assert refused.value.reason == "not_admitted"


async def test_clinicians_are_matched_and_a_booked_one_has_less_time(world: Any) -> None:
    person = await world.admit()
    grief = await world.leader(specialties=["grief"], modalities=["cpt"], languages=["pt-BR"])
    await world.leader(specialties=["grief"], modalities=[], languages=["en"])
    request = people_pb2.MatchCliniciansRequest(
        person_id=person, specialties=["grief"], modalities=["cpt"], language="pt", jurisdiction="US-NY"
    )
    (match,) = (await world.office.call.MatchClinicians(request)).matches
    assert (match.principal_id, match.fit, match.shared_minutes) == (grief.id, 100, 480)
    await world.plan(grief, person, starts_at=world.at(7, 9), minutes=120)
    (match,) = (await world.office.call.MatchClinicians(request)).matches
    assert match.shared_minutes == 360
    request.jurisdiction = "US-CA"
    assert not (await world.office.call.MatchClinicians(request)).matches


async def test_staff_write_their_own_profile_and_people_read_it(world: Any, person: str) -> None:
    leader = await world.leader()
    read = people_pb2.GetStaffProfileRequest(principal_id=leader.id)
    profile = await world.participant(person).call.GetStaffProfile(read)
    assert profile.display_name == "Sam Rivera"
    other = world.as_role("facilitator")
    request = people_pb2.PutStaffProfileRequest(principal_id=leader.id, display_name="X", time_zone="UTC")
    with pytest.raises(Denied):
        await other.call.PutStaffProfile(request)
    request.specialties.append("nothing")
    with pytest.raises(Invalid):
        await leader.call.PutStaffProfile(request)
