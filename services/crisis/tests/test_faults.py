"""What goes wrong for one must not stop help for the others."""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import alerts_pb2, signals_pb2
from haven.crisis.v1 import on_call_service_pb2 as on_call_pb
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.crisis.v1.on_call_service_pb2_grpc import OnCallServiceStub
from haven.crisis.v1.page_pb2 import PageText
from pydantic import ValidationError

from haven_crisis.api import alerts as alert_api
from haven_crisis.channels import Channels, Outcome
from haven_crisis.directory import Channel
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import alert_lists, follow_ups
from haven_crisis.store.pages import PageState
from haven_kit import ids, tasks
from haven_kit.database import Tx
from haven_kit.testing import eventually

from .world import WAIT, World


@pytest.mark.parametrize("damaged", ["responder", "rotation", "policy"])
async def test_a_plan_that_cannot_be_read_in_part_stops_nobody(world: World, person_id: str, damaged: str) -> None:
    await world.plan()
    column = "sealed" if damaged == "responder" else "body"
    chosen = "responder_id = 'second'" if damaged == "responder" else "TRUE"
    async with world.transaction() as tx:
        held = await tx.fetch_one(f"SELECT {column} AS kept FROM {damaged} WHERE {chosen}")
        await tx.fetch(f"UPDATE {damaged} SET {column} = $1 WHERE {chosen}", b"\xff damaged")
        await tx.fetch("UPDATE on_call_version SET version = version + 1")
    try:
        raised = await world.signal(person_id)
        if damaged == "responder":
            await world.paged("first", raised.alert_id)
        for _ in range(3):
            await world.later(WAIT)
        await world.paged("last", raised.alert_id)
        admin = world.staff("admin", "administrator").stub(OnCallServiceStub)
        told = await admin.GetOnCall(on_call_pb.GetOnCallRequest())
        assert any("cannot be read" in each for each in told.problems)
    finally:
        async with world.transaction() as tx:
            await tx.fetch(f"UPDATE {damaged} SET {column} = $1 WHERE {chosen}", held["kept"])
            await tx.fetch("UPDATE on_call_version SET version = version + 1")


def _settings(world: World, **given: object) -> CrisisSettings:
    held: CrisisSettings = world.crisis.process.settings
    return held.model_copy(update=given)


async def test_a_secret_that_cannot_sign_moves_the_page_on(world: World, person_id: str) -> None:
    await world.plan(channels={"first": ["first", "first@example.org"], "second": ["second"], "boss": ["boss"]})
    admin = world.staff("admin", "administrator").stub(OnCallServiceStub)
    held = await admin.GetResponder(on_call_pb.GetResponderRequest(responder_id="first"))
    channels = [
        on_call_pb.Channel(webhook=on_call_pb.Webhook(url=world.hooks["first"].url, secret="whsec_" + "A" * 25)),
        on_call_pb.Channel(email=on_call_pb.Email(address="first@example.org")),
    ]
    await admin.PutResponder(
        on_call_pb.PutResponderRequest(responder_id="first", name="First", channels=channels, etag=held.etag)
    )
    raised = await world.signal(person_id)
    await eventually(lambda: world.mails(raised.alert_id))
    await world.plan()


async def test_a_mail_server_that_answers_drop_by_drop_ends_within_the_page_timeout(world: World) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in (b"220-slow\r\n", *[b"220-slower\r\n"] * 100):
            writer.write(line)
            await writer.drain()
            await asyncio.sleep(0.1)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    channels = Channels(
        _settings(world, page_timeout_seconds=0.5, smtp_port=server.sockets[0].getsockname()[1]), world.clock
    )
    began = asyncio.get_running_loop().time()
    outcome = await channels.send(Channel("email", "a@example.org"), PageText(page_id=ids.new_id(), title="Haven"))
    assert outcome.state is PageState.UNKNOWN
    assert asyncio.get_running_loop().time() - began < 2
    server.close()


def test_settings_under_which_no_page_is_ever_sent_are_refused(world: World) -> None:
    held = world.crisis.process.settings.model_dump()
    for wrong in ({"page_timeout_seconds": 5, "page_lease_seconds": 6}, {"crisis_last_resort_secret": "whsec_A"}):
        with pytest.raises(ValidationError):
            CrisisSettings(**{**held, **wrong})


async def test_an_alert_that_cannot_be_escalated_holds_back_no_other(world: World) -> None:
    await world.plan()
    broken, sound = await world.signal(ids.new_id()), await world.signal(ids.new_id())
    async with world.transaction() as tx:
        # An entry in the place of the next one: whatever is added to this alert breaks a constraint.
        await tx.fetch(
            """INSERT INTO timeline (alert_id, seq, entry_id, kind, at, actor, facts)
            SELECT alert_id, seq + 1, gen_random_uuid(), 4, $2, '', '{}' FROM alert WHERE alert_id = $1""",
            broken.alert_id,
            tx.now,
        )
    await world.later(WAIT)
    await world.paged("second", sound.alert_id)
    async with world.transaction() as tx:
        await tx.fetch("UPDATE alert SET seq = seq + 1 WHERE alert_id = $1", broken.alert_id)


async def test_a_follow_up_that_cannot_become_an_alert_holds_back_no_other(world: World) -> None:
    await world.plan()
    first, second = ids.new_id(), ids.new_id()
    async with world.transaction() as tx:
        raised = await tx.fetch("SELECT alert_id FROM alert LIMIT 1")
        for person_id, earlier in ((first, 2), (second, 1)):
            await follow_ups.create(
                tx, ids.new_id(), str(raised[0]["alert_id"]), person_id, "first", tx.now - timedelta(minutes=earlier)
            )
        await tx.fetch(f"ALTER TABLE signal ADD CONSTRAINT broken CHECK (person_id <> '{first}')")
    try:
        await world.step("follow-ups")

        async def states() -> dict[str, int]:
            async with world.transaction() as tx:
                return {str(each["person_id"]): each["state"] for each in await tx.fetch("SELECT * FROM follow_up")}

        async def other_missed() -> bool:
            return (await states())[second] == follow_ups.MISSED

        await eventually(other_missed)  # the service's own loop may have been about it
        held = await states()
    finally:
        async with world.transaction() as tx:
            await tx.fetch("ALTER TABLE signal DROP CONSTRAINT broken")
    assert (held[first], held[second]) == (follow_ups.DUE, follow_ups.MISSED)


async def test_a_watch_looks_no_more_often_than_it_may_however_often_its_bell_rings(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.plan()
    looks: list[str] = []
    changed = alert_lists.changed

    async def look(tx: Tx, caller: str, *given: Any, **more: Any) -> Any:
        looks.append(caller)
        return await changed(tx, caller, *given, **more)

    monkeypatch.setattr(alert_lists, "changed", look)
    monkeypatch.setattr(alert_api, "LOOK_AGAIN_S", 3600)
    stream = world.alerts("paced").WatchAlerts(alert_pb.WatchAlertsRequest())
    paced = asyncio.ensure_future(anext(aiter(stream)))
    await eventually(lambda: "paced" in looks)
    monkeypatch.setattr(alert_api, "LOOK_AGAIN_S", 0)
    # A flood of calls, each of which rings; somebody who watches beside it looks again for each.
    watcher = world.alerts("first").WatchAlerts(alert_pb.WatchAlertsRequest())
    expected = (await world.signal(ids.new_id())).alert_id
    async with asyncio.timeout(20):
        async for each in watcher:
            if each.alert.alert_id == expected and looks.count("first") > 5:
                break
            if each.alert.alert_id == expected:
                expected = (await world.signal(ids.new_id())).alert_id
    await watcher.aclose()
    assert looks.count("paced") == 1
    await tasks.end(paced)


async def test_watches_take_no_connection_from_whoever_acknowledges(
    world: World, monkeypatch: pytest.MonkeyPatch, person_id: str
) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    held = asyncio.Event()
    looking: list[str] = []

    async def hang(tx: Tx, caller: str, *_: Any, **__: Any) -> Any:
        looking.append(caller)
        await held.wait()
        return []

    monkeypatch.setattr(alert_lists, "changed", hang)
    many = world.crisis.process.settings.database_pool_size + 5
    streams = [world.alerts(f"w{each}").WatchAlerts(alert_pb.WatchAlertsRequest()) for each in range(many)]
    watches = [asyncio.ensure_future(anext(aiter(each))) for each in streams]
    await eventually(lambda: looking)
    async with asyncio.timeout(4):  # before whoever waits for a connection is told that there is too much to do
        taken = await world.alerts("first").AcknowledgeAlert(alert_pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    assert taken.responder_id == "first"
    held.set()
    await tasks.end(*watches)


async def test_a_watch_shows_more_alerts_than_it_reads_at_once_and_notes_whose(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.plan()
    monkeypatch.setattr(alert_api, "AT_ONCE", 2)
    people = [ids.new_id() for _ in range(5)]
    expected = {(await world.signal(each)).alert_id for each in people}
    seen: set[str] = set()
    late = ids.new_id()
    watcher = world.alerts("first").WatchAlerts(alert_pb.WatchAlertsRequest())
    async with asyncio.timeout(20):
        async for each in watcher:
            seen.add(each.alert.alert_id)
            if expected <= seen and late not in people:
                people.append(late)
                expected.add((await world.signal(late)).alert_id)
            elif expected <= seen:
                break
    await watcher.aclose()
    async with world.transaction() as tx:
        noted = await tx.fetch(
            "SELECT DISTINCT person_id FROM audit_entry WHERE principal_id = 'first' AND action LIKE '%WatchAlerts'"
        )
    assert set(people) <= {row["person_id"] for row in noted}


@pytest.mark.parametrize(
    "odd",
    [
        {"source": 0},
        {"source": 10},
        {"source": 99},
        {"signal_id": "my call"},
        {"session_id": "the room on the left"},
        {"facilitator_id": "Zoë" * 200},
        {"raised_at": Timestamp(seconds=10**15)},
        {"raised_at": Timestamp(seconds=-(10**10))},
        {"note": "please " * 1000},
    ],
    ids=lambda odd: str(next(iter(odd))),
)
async def test_no_odd_field_refuses_a_call_for_help(world: World, person_id: str, odd: dict[str, Any]) -> None:
    await world.plan()
    raised = await world.signal(person_id, **odd)
    await world.paged("first", raised.alert_id)
    await world.replays(raised.alert_id)
    staff = await world.signal(ids.new_id(), world.staff("first"), **odd)
    await world.paged("first", staff.alert_id)


async def test_a_signal_that_is_sent_again_after_it_was_taken_back_is_a_new_call(world: World, person_id: str) -> None:
    await world.plan()
    me = world.participant(person_id).stub(CrisisServiceStub)
    raised = await world.signal(person_id, signal_id="button")
    await me.WithdrawSignal(signals_pb2.WithdrawSignalRequest(signal_id=raised.signal_id))
    again = await world.signal(person_id, signal_id="button")
    assert (again.alert_id == raised.alert_id, again.signal_id == raised.signal_id) == (True, False)
    assert not (await world.alert(raised.alert_id)).withdrawn
    await world.replays(raised.alert_id)


async def test_a_signal_that_is_sent_again_after_its_alert_was_closed_pages_again(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id, signal_id="button")
    await world.alerts().RecordContact(
        alert_pb.RecordContactRequest(alert_id=raised.alert_id, way="phone", reached=True)
    )
    closing = alert_pb.CloseAlertRequest(
        alert_id=raised.alert_id,
        disposition=alerts_pb2.DISPOSITION_SUPPORTED,
        risk_level=alerts_pb2.RISK_LEVEL_LOW,
        nobody_told=True,
    )
    closing.follow_up_due_at.FromDatetime(world.clock.now() + timedelta(hours=2))
    await world.alerts().CloseAlert(closing)
    service = await world.signal(person_id, world.crisis.as_service("sessions"), signal_id=raised.signal_id)
    assert service.alert_id == raised.alert_id  # a service that repeats itself tells of the old call
    again = await world.signal(person_id, signal_id="button")
    assert again.alert_id != raised.alert_id
    await world.paged("first", again.alert_id)


async def test_a_slow_provider_holds_back_no_page_of_another(
    world: World, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, release = Channels.send, asyncio.Event()

    async def send(self: Channels, channel: Channel, page: PageText) -> Outcome:
        if channel.kind == "email":
            await release.wait()
        return await slow(self, channel, page)

    monkeypatch.setattr(Channels, "send", send)
    sweep: Any = next(each for each in world.crisis.process.service.workers if each.name == "pages").step
    pager = inspect.unwrap(sweep).__self__
    monkeypatch.setattr(pager, "_rooms", defaultdict(lambda: asyncio.Semaphore(1)))
    await world.plan(channels={"first": ["first@example.org"], "second": ["second"], "boss": ["boss"]})
    await world.signal(ids.new_id())  # waits at the mail server
    await world.plan()
    raised = await world.signal(person_id)
    try:
        await world.paged("first", raised.alert_id)
    finally:
        release.set()
