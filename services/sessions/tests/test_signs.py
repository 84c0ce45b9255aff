"""Signs of distress, who did not come, and places that crisis gets later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from haven.crisis.v1 import signals_pb2
from haven.scheduling.v1 import events_pb2 as scheduling
from haven.sessions.v1 import events_pb2 as told
from haven.sessions.v1 import observation_service_pb2 as rpc
from haven.sessions.v1 import rooms_pb2 as pb
from haven.sessions.v1.observation_service_pb2_grpc import ObservationServiceStub

from haven_kit.errors import Denied, Invalid, NotFound, Refused
from haven_kit.identity import system
from haven_kit.ids import new_id
from haven_kit.testing import eventually
from haven_sessions import facts

from .conftest import Group, Neighbours, Person, plan, stamp, stranger

HOME = pb.Whereabouts(address="18 Elm Street", region="IL", country="US")


def observing(person: Person) -> Any:
    return person.caller.stub(ObservationServiceStub)


async def observe(group: Group, who: Person, *signs: str, **given: Any) -> rpc.Observation:
    answer: rpc.Observation = await observing(group.staff).RecordObservation(
        rpc.RecordObservationRequest(
            session_id=group.session_id, member_id=who.member_id, sign_ids=signs or ("hypervigilance",), **given
        )
    )
    return answer


async def step(neighbours: Neighbours, worker: str) -> None:
    loops = {each.name: each for each in neighbours.running.process.service.workers}
    while await loops[worker].step():
        continue


async def absent(neighbours: Neighbours, group: Group) -> list[str]:
    await step(neighbours, "absences")
    events = await neighbours.running.told(told.ParticipantAbsent)
    return [each.person_id for each in events if each.session_id == group.session_id]


def test_each_sign_says_what_is_seen_where_it_comes_from_and_what_may_help() -> None:
    signs = facts.load().signs
    assert {"hypervigilance", "dissociation", "freezing", "sudden-shift"} <= set(signs)
    for each in signs.values():
        assert len(each.label) <= 30
        assert each.looks_like.endswith(".")
        assert "TIP" in each.source
        assert (each.suggestion.name == "CALL_HELP") == bool(each.level)


@pytest.mark.parametrize(
    ("signs", "call_help", "suggested", "level"),
    [
        (["hypervigilance"], False, [1], None),
        (["dissociation", "startle"], False, [2, 1], None),
        (["freezing"], True, [3, 2], signals_pb2.SIGNAL_LEVEL_HIGH),
        (["unresponsive"], False, [3], signals_pb2.SIGNAL_LEVEL_HIGH),
        (["talk-of-dying", "danger-now"], False, [3], signals_pb2.SIGNAL_LEVEL_IMMEDIATE),
    ],
)
async def test_what_is_seen_suggests_what_may_help_and_calls_where_it_must(
    neighbours: Neighbours, signs: list[str], call_help: bool, suggested: list[int], level: int | None
) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    made = await observe(group, ana, *signs, note="looked at the door", call_help=call_help)
    assert list(made.suggestions) == suggested
    signals = [each for each in neighbours.crisis.signals if each.signal_id == made.signal_id]
    events = [e for e in await neighbours.running.told(told.DistressObserved) if e.session_id == group.session_id]
    assert made.reached_crisis == bool(level)
    assert [each.level for each in signals] == ([level] if level else [])
    assert [each.signal_id for each in events] == ([made.signal_id] if level else [])
    for each in signals:
        assert each.source == signals_pb2.SIGNAL_SOURCE_FACILITATOR
        assert (each.person_id, each.note) == (ana.person_id, "looked at the door")
    # Nothing of it is in the room, for anyone.
    assert "looked at" not in str([await who.room() for who in (ana, ben, group.staff)])


async def test_with_crisis_down_the_event_brings_what_was_seen(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    neighbours.crisis.down = True
    try:
        made = await observe(group, group.people[0], "danger-now")
    finally:
        neighbours.crisis.down = False
    assert not made.reached_crisis
    (event,) = [e for e in await neighbours.running.told(told.DistressObserved) if e.signal_id == made.signal_id]
    assert (event.level, event.facilitator_id) == ("immediate", group.staff.caller.principal.id)


async def test_only_who_leads_notes_and_reads_and_the_person_reads_their_own(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    first = await observe(group, ana, "dissociation", note="far away")
    said = await observing(ana).SayHowIAm(rpc.SayHowIAmRequest(session_id=group.session_id, how_i_am=4))
    assert said.exercise.steps
    calm = await observing(ben).SayHowIAm(rpc.SayHowIAmRequest(session_id=group.session_id, how_i_am=0))
    assert not calm.HasField("exercise")
    ask = rpc.ListObservationsRequest(session_id=group.session_id)
    listed = (await observing(group.staff).ListObservations(ask)).observations
    assert [(each.person_id, each.HasField("how_i_am")) for each in listed] == [
        (ben.person_id, True),
        (ana.person_id, True),
        (ana.person_id, False),
    ]
    assert list(listed[1].suggestions) == [rpc.SUGGESTION_CHECK_IN, rpc.SUGGESTION_GROUNDING]
    mine = rpc.ListPersonObservationsRequest(person_id=ana.person_id)
    assert len((await observing(ana).ListPersonObservations(mine)).observations) == 2
    with pytest.raises(NotFound):
        await observing(ben).ListPersonObservations(mine)
    with pytest.raises(Denied):
        await observing(ben).ListObservations(ask)
    other = await plan(neighbours)
    with pytest.raises(NotFound):
        await observing(other.staff).ListObservations(ask)
    async with neighbours.running.parts.database.transaction(system("test")) as tx:
        (row,) = await tx.fetch("SELECT sealed FROM observation WHERE observation_id = $1", first.observation_id)
    assert b"far away" not in row["sealed"]


async def test_what_cannot_be_observed_is_named(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    with pytest.raises(Invalid) as unknown:
        await observe(group, group.people[0], "hypervigilance", "is-difficult")
    assert unknown.value.violations[0].field == "sign_ids[1]"
    with pytest.raises(Refused) as staff:
        await observe(group, group.staff)
    assert staff.value.reason == "no_person"
    nobody = stranger(neighbours, group.session_id)
    nobody.member_id = new_id()
    with pytest.raises(NotFound):
        await observe(group, nobody)
    waiting = await plan(neighbours)
    with pytest.raises(Refused):
        await observing(waiting.people[0]).SayHowIAm(rpc.SayHowIAmRequest(session_id=waiting.session_id, how_i_am=1))


async def test_who_did_not_come_is_told_once_after_a_while(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=3)
    came, gone, away = group.people
    await group.open()
    await came.join()
    released = scheduling.SeatReleased(enrolment_id="", person_id=gone.person_id, session_ids=[group.session_id])
    await neighbours.running.react(released)  # another seat than the one they have
    assert await absent(neighbours, group) == []
    neighbours.clock.advance(timedelta(minutes=14))
    assert await absent(neighbours, group) == []
    neighbours.clock.advance(timedelta(minutes=1))
    assert sorted(await absent(neighbours, group)) == sorted([gone.person_id, away.person_id])
    neighbours.clock.advance(timedelta(minutes=30))
    assert len(await absent(neighbours, group)) == 2


async def test_who_was_excused_or_could_not_come_is_not_absent(neighbours: Neighbours) -> None:
    group, closed, cancelled = [await plan(neighbours, people=1) for _ in range(3)]
    enrolled = new_id()
    excused = new_id()
    for kind in (scheduling.SeatTaken, scheduling.SeatReleased):
        seat = kind(enrolment_id=enrolled, person_id=excused, session_ids=[group.session_id])
        await neighbours.running.react(seat)
    await group.start()
    await cancelled.open()
    await neighbours.running.react(scheduling.SessionCancelled(session_id=cancelled.session_id, version=2))
    neighbours.clock.advance(timedelta(minutes=16))
    assert [await absent(neighbours, each) for each in (group, closed, cancelled)] == [[], [], []]
    # The room is opened late: the minutes count from then.
    await closed.open()
    assert await absent(neighbours, closed) == []
    neighbours.clock.advance(timedelta(minutes=15))
    assert await absent(neighbours, closed) == [closed.people[0].person_id]


async def test_a_session_put_off_is_looked_at_anew(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.open()
    neighbours.clock.advance(timedelta(minutes=15))
    assert len(await absent(neighbours, group)) == 1
    now = neighbours.clock.now()
    moved = scheduling.SessionPlanned(
        session_id=group.session_id,
        kind="group",
        starts_at=stamp(now + timedelta(hours=1)),
        ends_at=stamp(now + timedelta(hours=2)),
        time_zone="UTC",
        facilitator_id=group.staff.caller.principal.id,
        version=2,
    )
    await neighbours.running.react(moved)
    assert len(await absent(neighbours, group)) == 1
    neighbours.clock.advance(timedelta(minutes=75))
    assert len(await absent(neighbours, group)) == 2


async def test_a_place_that_crisis_did_not_take_is_brought_later(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=2)
    await group.open()
    ana, ben = group.people
    neighbours.crisis.down = True
    try:
        for each in (ana, ben):
            assert not (await each.join(location=HOME)).location_confirmed
        await step(neighbours, "locations")
        async with neighbours.running.parts.database.transaction(system("test")) as tx:
            rows = await tx.fetch("SELECT sealed FROM kept_location")
        assert len(rows) == 2
        assert not any(b"Elm Street" in row["sealed"] for row in rows)
    finally:
        neighbours.crisis.down = False
    confirmed_at = neighbours.clock.now()
    await ben.join(location=pb.Whereabouts(address="The library", country="US"))
    neighbours.clock.advance(timedelta(seconds=10))

    async def brought() -> bool:
        await step(neighbours, "locations")
        return any(each.person_id == ana.person_id for each in neighbours.crisis.locations)

    await eventually(brought)
    found = {each.person_id: each.location for each in neighbours.crisis.locations}
    assert found[ana.person_id].address == HOME.address
    assert found[ana.person_id].confirmed_at == stamp(confirmed_at)
    assert found[ben.person_id].address == "The library", "the later place, and not the kept one after it"
    async with neighbours.running.parts.database.transaction(system("test")) as tx:
        assert not await tx.fetch("SELECT 1 FROM kept_location")


async def test_an_old_place_is_forgotten(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.open()
    neighbours.crisis.down = True
    try:
        await group.people[0].join(location=HOME)
        neighbours.clock.advance(timedelta(hours=25))
        await step(neighbours, "locations")
    finally:
        neighbours.crisis.down = False
    async with neighbours.running.parts.database.transaction(system("test")) as tx:
        assert not await tx.fetch("SELECT 1 FROM kept_location")
