"""The database, NATS, the disk are away: calls for help are kept and paged, and the record is whole afterwards.

Each test takes away what it says, from a crisis service of its own, and gives it back.
"""

from __future__ import annotations

import aiohttp
import pytest
from haven.crisis.v1 import signals_pb2 as pb
from haven.crisis.v1.integration_service_pb2 import CreateSystemRequest

from haven_crisis.acceptance import Signal
from haven_crisis.entrances import Entrance
from haven_crisis.keeping.keeping import Taken
from haven_crisis.store.acceptance import Plan
from haven_kit import ids
from haven_kit.errors import NotFound
from haven_kit.testing import eventually

from .keeping_world import Trouble
from .test_inbound import System, admin

ROADS = [
    pytest.param({}, pb.KEPT_STREAM, id="database away"),
    pytest.param({"nats": True}, pb.KEPT_JOURNAL, id="database and NATS away"),
    pytest.param({"nats": True, "database": False}, pb.KEPT_DATABASE, id="NATS away"),
]


@pytest.mark.parametrize(("away", "road"), ROADS)
async def test_a_call_is_kept_paged_at_once_and_in_the_record_later(
    trouble: Trouble, person_id: str, away: dict[str, bool], road: int
) -> None:
    await trouble.on_call_is_known()
    async with trouble.away(**away):
        answer = await trouble.signal(person_id, note="I cannot go on")
        assert answer.kept == road
        assert answer.message
        assert answer.help_lines
        await trouble.world.paged("first", answer.alert_id)
    alert = await trouble.whole(person_id)
    assert len(trouble.world.pages("first", answer.alert_id)) == 1
    kept = await trouble.fetch("SELECT road, signals FROM kept WHERE became_alert_id = $1", alert["alert_id"])
    assert [tuple(row) for row in kept] == ([] if road == pb.KEPT_DATABASE else [(road, 1)])
    audited = await trouble.fetch(
        "SELECT principal_id, role, action FROM audit_entry WHERE person_id = $1 AND action LIKE '%RaiseSignal'",
        person_id,
    )
    assert [(row["role"], row["action"]) for row in audited] == [
        ("participant", "/haven.crisis.v1.CrisisService/RaiseSignal")
    ]
    (first,) = await trouble.fetch(
        "SELECT facts::text, sealed, at FROM timeline WHERE alert_id = $1 AND seq = 1", alert["alert_id"]
    )
    assert b"I cannot go on" not in first["sealed"]
    assert first["at"] == alert["raised_at"]


async def test_what_is_kept_is_sealed(trouble: Trouble, person_id: str) -> None:
    async with trouble.away(nats=True):
        await trouble.signal(person_id, note="words that nobody else may read")
        stored = b"".join(each.read_bytes() for each in trouble.journal.rglob("*.journal"))
        assert len(stored) > 500
        assert b"words that nobody" not in stored
        assert person_id.encode() not in stored
    await trouble.whole(person_id)


async def test_a_database_that_says_nothing_is_waited_for_by_one_call_alone(
    trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trouble.on_call_is_known()
    people = [ids.new_id() for _ in range(5)]
    asked: list[str] = []
    in_the_record = trouble.roads._in_the_record

    async def noticed(call: Entrance, signal: Signal, linked: bool, plans: list[Plan]) -> Taken:
        asked.append(signal.person_id)
        taken: Taken = await in_the_record(call, signal, linked, plans)
        return taken

    monkeypatch.setattr(trouble.roads, "_in_the_record", noticed)
    monkeypatch.setattr("haven_crisis.roads.AWAY_S", 3600.0)
    trouble.database.stall()
    try:
        for each in people:
            answer = await trouble.signal(each)
            assert answer.kept == pb.KEPT_STREAM
            await trouble.world.paged("first", answer.alert_id)
    finally:
        trouble.database.resume()
    assert asked == people[:1]
    for each in people:
        await trouble.whole(each)


async def test_a_commit_whose_answer_was_lost_is_one_signal_and_one_page(trouble: Trouble, person_id: str) -> None:
    await trouble.on_call_is_known()
    await trouble.signal(ids.new_id())  # a connection stands
    trouble.database.mute()
    try:
        answer = await trouble.signal(person_id)
        assert answer.kept == pb.KEPT_STREAM
        await trouble.world.paged("first", answer.alert_id)
    finally:
        trouble.database.resume()
    await trouble.whole(person_id)
    for _ in range(3):
        await trouble.world.step("pages")
    assert len(trouble.world.pages("first", answer.alert_id)) == 1


async def test_nowhere_to_keep_it_people_are_called_and_the_caller_is_told(
    trouble: Trouble, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    async with trouble.away(nats=True):
        with monkeypatch.context() as patched:
            patched.setattr("haven_crisis.keeping.journal.os.fsync", full)
            answer = await trouble.signal(person_id)
        assert answer.kept == pb.KEPT_NOWHERE
        assert "call one of these numbers" in answer.message
        await trouble.world.paged("first", answer.alert_id)
    await trouble.whole(person_id)


async def test_the_same_call_again_and_another_call_are_one_alert(trouble: Trouble, person_id: str) -> None:
    await trouble.on_call_is_known()
    signal_id = ids.new_id()
    async with trouble.away():
        first = await trouble.signal(person_id, signal_id=signal_id)
        again = await trouble.signal(person_id, signal_id=signal_id)
        other = await trouble.signal(person_id)
        assert first.alert_id == again.alert_id == other.alert_id
        assert first.signal_id == again.signal_id != other.signal_id
        await trouble.world.paged("first", first.alert_id)
    await trouble.whole(person_id, signals=2)
    assert len(trouble.world.pages("first", first.alert_id)) == 1


async def test_a_call_of_someone_whose_alert_is_open_belongs_to_it(trouble: Trouble, person_id: str) -> None:
    before = await trouble.signal(person_id)
    await trouble.world.paged("first", before.alert_id)
    await trouble.world.step("keeping")
    async with trouble.away():
        answer = await trouble.signal(person_id)
        assert answer.alert_id == before.alert_id
        await trouble.world.paged("first", before.alert_id, 2)
    await trouble.whole(person_id, signals=2)


async def test_a_call_whose_alert_was_not_known_becomes_part_of_it(trouble: Trouble, person_id: str) -> None:
    """The id that its pages told leads there, and each page is in the record beside those from before."""
    world = trouble.world
    before = await trouble.signal(person_id)
    await world.paged("first", before.alert_id)
    other = await trouble.replica()
    async with trouble.away():
        # It learned nothing of the alert before the database went away.
        trouble.keeping_of(other)._claims._open.clear()
        answer = await trouble.signal(person_id, caller=other.as_role("participant", person_id=person_id))
        assert answer.alert_id != before.alert_id
        await eventually(lambda: len(trouble.received(person_id)) == 2)
    alert = await trouble.whole(person_id, signals=2)
    assert str(alert["alert_id"]) == before.alert_id
    assert (await world.alert(answer.alert_id)).alert_id == before.alert_id
    await other.stop()


async def test_a_link_that_cannot_be_looked_up_refuses_nobody_and_is_looked_up_later(trouble: Trouble) -> None:
    await trouble.on_call_is_known()
    linked, stranger, about, other = (ids.new_id() for _ in range(4))
    await trouble.fetch(
        """INSERT INTO person_link (link_id, person_id, linked_person_id, kind, ended, version)
        VALUES (gen_random_uuid(), $1, $2, 'couple', FALSE, 1)""",
        about,
        linked,
    )
    async with trouble.away():
        for caller, person in ((linked, about), (stranger, other)):
            who = trouble.world.crisis.as_role("partner", person_id=caller)
            answer = await trouble.signal(person, caller=who)
            assert answer.kept == pb.KEPT_STREAM
            await trouble.world.paged("first", trouble.kept_alert(person))
    for person, found in ((about, "found"), (other, "not_found")):
        alert = await trouble.whole(person)
        (entry,) = await trouble.fetch(
            "SELECT facts->>'link' AS link, facts->>'kept' AS kept FROM timeline WHERE alert_id = $1 AND seq = 1",
            alert["alert_id"],
        )
        assert (entry["link"], entry["kept"]) == (found, "stream")
    with pytest.raises(NotFound):
        await trouble.world.signal(other, caller=trouble.world.crisis.as_role("partner", person_id=ids.new_id()))


async def test_the_signal_of_another_system_is_kept_like_any_other(trouble: Trouble, person_id: str) -> None:
    world = trouble.world
    await world.plan()
    async with aiohttp.ClientSession() as http:
        made = await admin(world).CreateSystem(CreateSystemRequest(name="Night sensor"))
        system = System(world, http, made)
        assert (await system.post({"person_id": ids.new_id()}))[0] == 202
        async with trouble.away():
            status, body = await system.post({"person_id": person_id, "note": "No movement."}, message_id="evt-9")
            assert (status, body["identified"]) == (202, True)
            alert_id = trouble.kept_alert(person_id)
            await world.paged("first", alert_id)
        await trouble.complete()
        again = await system.post({"person_id": person_id}, message_id="evt-9")
    assert again[1]["signal_id"] == body["signal_id"]
    (row,) = await trouble.fetch("SELECT signals FROM alert WHERE person_id = $1", person_id)
    assert row["signals"] == 1
    noted = await trouble.fetch("SELECT principal_id FROM audit_entry WHERE person_id = $1", person_id)
    assert f"system:crisis/inbound/{system.system_id}" in {each["principal_id"] for each in noted}


async def test_a_system_that_is_not_known_yet_is_asked_to_come_again_and_not_refused(trouble: Trouble) -> None:
    """It may have been registered a moment ago, at another replica."""
    world = trouble.world
    async with aiohttp.ClientSession() as http:
        made = await admin(world).CreateSystem(CreateSystemRequest(name="Night sensor"))
        system = System(world, http, made)
        async with trouble.away():
            status, body = await system.post({"person_id": ids.new_id()})
            assert status == 503
            assert "988" in body["detail"]
        assert (await system.post({"person_id": ids.new_id()}))[0] == 202
