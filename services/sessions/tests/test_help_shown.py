"""What staff see of a call for help and of the help that comes, and that the group sees nothing of it."""

from __future__ import annotations

import asyncio
from typing import Any

from haven.crisis.v1 import events_pb2 as crisis
from haven.sessions.v1 import events_pb2 as told
from haven.sessions.v1 import participation_service_pb2 as chat
from haven.sessions.v1 import rooms_pb2 as pb
from haven.sessions.v1 import sessions_service_pb2 as live

from haven_kit.identity import system
from haven_kit.ids import new_id
from haven_kit.testing import eventually
from haven_sessions.store import people

from .conftest import Neighbours, plan
from .helping import call, shown


async def test_our_own_event_comes_back_over_nats_and_shows_the_call(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.start()
    person_id, signal_id = group.people[0].person_id, new_id()
    event = told.DistressSignalled(signal_id=signal_id, person_id=person_id, session_id=group.session_id)
    async with neighbours.running.parts.database.transaction(system("test")) as tx:
        assert await people.call_for_help(tx, signal_id, person_id, group.session_id, None)
        tx.emit(event, key=signal_id)

    async def staff_see_it() -> bool:
        return await shown(group) == {person_id: pb.HELP_STATE_CALLED}

    await eventually(staff_see_it)


async def test_staff_follow_how_far_help_has_come(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana = group.people[0]
    about: dict[str, Any] = {"alert_id": new_id(), "person_id": ana.person_id, "session_id": group.session_id}
    await call(ana)
    for event, state in (
        (crisis.AlertRaised(**about), pb.HELP_STATE_ALERTED),
        (crisis.AlertAcknowledged(**about, responder_id="r"), pb.HELP_STATE_ACKNOWLEDGED),
        (crisis.ContactMade(**about, responder_id="r"), pb.HELP_STATE_CONTACT_MADE),
        (crisis.AlertClosed(**about), pb.HELP_STATE_CLOSED),
    ):
        event_id = await neighbours.running.react(event)
        assert await shown(group) == {ana.person_id: state}
        before = (await group.staff.room()).event_id
        await neighbours.running.react(event, event_id=event_id)
        assert (await group.staff.room()).event_id == before
    assert not (await ana.room()).help


async def test_a_call_from_outside_of_any_session_is_shown_in_none(neighbours: Neighbours) -> None:
    person_id, signal_id = new_id(), new_id()
    async with neighbours.running.parts.database.transaction(system("test")) as tx:
        assert await people.call_for_help(tx, signal_id, person_id, new_id(), None)
    await neighbours.running.react(told.DistressSignalled(signal_id=signal_id, person_id=person_id))
    await neighbours.running.react(crisis.AlertRaised(alert_id=new_id(), person_id=person_id))


async def test_staff_see_when_whoever_was_coming_is_not(neighbours: Neighbours) -> None:
    group = await plan(neighbours)
    await group.start()
    ana = group.people[0]
    about: dict[str, Any] = {"alert_id": new_id(), "person_id": ana.person_id, "session_id": group.session_id}
    for event, state in (
        (crisis.AlertAcknowledged(**about, responder_id="r"), pb.HELP_STATE_ACKNOWLEDGED),
        (crisis.AlertEscalated(**about, step=1), pb.HELP_STATE_ACKNOWLEDGED),
        (crisis.AlertEscalated(**about, step=0, lease_expired=True), pb.HELP_STATE_ALERTED),
        (crisis.AlertAcknowledged(**about, responder_id="r"), pb.HELP_STATE_ACKNOWLEDGED),
        (crisis.AlertReassigned(**about, by="r"), pb.HELP_STATE_ALERTED),
    ):
        await neighbours.running.react(event)
        assert await shown(group) == {ana.person_id: state}


async def test_the_group_sees_nothing_of_a_call_or_of_the_help_that_comes(neighbours: Neighbours) -> None:
    """Room, presence, chat and every event that reaches another participant, from the press to the end."""
    group = await plan(neighbours)
    await group.start()
    ana, ben = group.people
    alert_id = new_id()
    about: dict[str, Any] = {"alert_id": alert_id, "person_id": ana.person_id, "session_id": group.session_id}
    before = await ben.room()
    signal_id = (await call(ana, note="secret words")).signal_id

    async def staff_see_it() -> bool:
        return ana.person_id in await shown(group)

    await eventually(staff_see_it)
    for event in (
        crisis.AlertRaised(**about),
        crisis.AlertAcknowledged(**about, responder_id="responder-1"),
        crisis.AlertEscalated(**about, lease_expired=True),
        crisis.ContactMade(**about, responder_id="responder-1"),
        crisis.AlertClosed(**about),
    ):
        await neighbours.running.react(event)
    start, after = before.event_id, await ben.room()
    before.event_id = after.event_id
    assert after == before
    # A word of Ben's own ends what is looked at: it comes after all that staff were told.
    await ben.taking_part.SendMessage(chat.SendMessageRequest(session_id=ben.session_id, text="hello from ben"))
    seen = []
    async with asyncio.timeout(10):
        async for each in ben.rooms.WatchRoom(live.WatchRoomRequest(session_id=ben.session_id, last_event_id=start)):
            seen.append(each)
            if each.WhichOneof("happened") == "message":
                break
    assert [each.WhichOneof("happened") for each in seen] == ["message"]
    found = await ben.taking_part.ListMessages(chat.ListMessagesRequest(session_id=ben.session_id))
    for hidden in (signal_id, alert_id, "secret words", "responder-1"):
        assert hidden not in f"{seen} {found} {after}"


async def test_our_own_event_shows_the_call_once_where_it_could_not_be_shown_before(neighbours: Neighbours) -> None:
    group = await plan(neighbours, people=1)
    await group.start()
    person_id, signal_id = group.people[0].person_id, new_id()
    async with neighbours.running.parts.database.transaction(system("test")) as tx:
        assert await people.call_for_help(tx, signal_id, person_id, group.session_id, None)
    event = told.DistressSignalled(signal_id=signal_id, person_id=person_id, session_id=group.session_id)
    await neighbours.running.react(event)
    assert await shown(group) == {person_id: pb.HELP_STATE_CALLED}
    await neighbours.running.react(
        crisis.AlertClosed(alert_id=new_id(), person_id=person_id, session_id=group.session_id)
    )
    await neighbours.running.react(event)
    assert await shown(group) == {person_id: pb.HELP_STATE_CLOSED}
