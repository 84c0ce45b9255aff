"""Signals of other systems: signed, taken once, lost never."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import alerts_pb2
from haven.crisis.v1 import integration_service_pb2 as pb
from haven.crisis.v1.integration_service_pb2_grpc import IntegrationServiceStub

from haven_crisis.domain import inbound
from haven_crisis.domain.inbound import Refused
from haven_crisis.store import systems as store
from haven_kit import ids
from haven_kit.database import Tx
from haven_kit.errors import Denied, NotFound, Stale

from .systems_world import System, admin, signed
from .world import World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of some length").decode()
NOW = datetime(2021, 2, 25, 15, 2, 10, tzinfo=UTC)


def test_the_example_of_the_standard_is_taken() -> None:
    # Of the specification's reference libraries.
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= "
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    at = datetime.fromtimestamp(1614265330, UTC)
    assert inbound.verify(headers, b'{"test": 2432232314}', [SECRET], at) == headers["webhook-id"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"webhook-id": ""}, "signature"),
        ({"webhook-id": "x" * 300}, "signature"),
        ({"webhook-id": "msg_2"}, "signature"),
        ({"webhook-signature": "v1,"}, "signature"),
        ({"webhook-signature": "v1a,abc é"}, "signature"),
        ({"webhook-timestamp": "soon"}, "timestamp"),
        ({"webhook-timestamp": "-1"}, "timestamp"),
        ({"webhook-timestamp": "²"}, "timestamp"),
        ({"webhook-timestamp": "9" * 40}, "timestamp"),
        ({"webhook-timestamp": "1614265331"}, "signature"),
    ],
)
def test_only_what_was_signed_as_it_came_is_taken(change: dict[str, str], reason: str) -> None:
    headers = signed(b"{}", SECRET, at=NOW) | change
    if not reason:
        assert inbound.verify(headers, b"{}", [OTHER, SECRET], NOW) == "msg_1"
        return
    with pytest.raises(Refused) as refused:
        inbound.verify(headers, b"{}", [SECRET], NOW)
    assert refused.value.reason == reason


def test_a_message_is_of_now_and_of_this_body() -> None:
    headers = signed(b"{}", SECRET, at=NOW)
    for minutes in (-6, 6):
        with pytest.raises(Refused) as old:
            inbound.verify(headers, b"{}", [SECRET], NOW + timedelta(minutes=minutes))
        assert old.value.reason == "timestamp"
    assert inbound.verify(headers, b"{}", [SECRET], NOW + timedelta(minutes=5))
    for body, secrets in ((b"{ }", [SECRET]), (b"{}", [OTHER]), (b"{}", [])):
        with pytest.raises(Refused):
            inbound.verify(headers, body, secrets, NOW)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"\xff", b'{"data": 1}', b"{}", b'{"data": {"person_id": "x"}}', b"[" * 100_000]
    + [json.dumps({"data": {"external_id": each}}).encode() for each in ("", " \0 ", None, True, [], {})],
)
def test_what_does_not_say_who_is_refused_and_says_so(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        inbound.read(body)
    assert refused.value.reason == "body"


@pytest.mark.parametrize(
    ("odd", "level", "note"),
    [
        ({"level": "immediate", "note": "fell"}, 3, "fell"),
        ({"level": "LOUD", "note": ["x"]}, 0, ""),
        ({"level": ["high"], "raised_at": "yesterday"}, 0, ""),
        ({"note": "x" * 5000, "raised_at": "2021-02-25T15:00:00"}, 0, "x" * 2000),
        ({"note": "a\0b\ud800", "person_id": 7}, 0, "ab?"),
    ],
)
def test_what_is_odd_elsewhere_is_left_out(odd: dict[str, Any], level: int, note: str) -> None:
    found = inbound.read(json.dumps({"type": "signal.raised", "data": {"external_id": 4711} | odd}).encode())
    assert (found.external_id, found.level, found.note) == ("4711", level, note)


async def first_entry(world: World, person_id: str) -> alerts_pb2.TimelineEntry:
    (alert,) = (await world.alerts().ListAlerts(alert_pb.ListAlertsRequest(person_id=person_id))).alerts
    ask = alert_pb.GetAlertTimelineRequest(alert_id=alert.alert_id)
    entry: alerts_pb2.TimelineEntry = (await world.alerts().GetAlertTimeline(ask)).entries[0]
    return entry


async def test_a_signal_of_a_system_is_paged_once_however_often_it_comes(
    world: World, system: System, person_id: str
) -> None:
    data = {"person_id": person_id, "level": "immediate", "note": "No movement since ten."}
    answers = [await system.post(data, message_id="evt-1") for _ in range(3)]
    assert {status for status, _ in answers} == {202}
    assert len({body["signal_id"] for _, body in answers}) == 1
    assert all(body["identified"] for _, body in answers)
    entry = await first_entry(world, person_id)
    assert entry.facts["source"] == "integrated_system"
    assert entry.facts["severity"] == "3"
    assert entry.note == "From the system “Night sensor”. No movement since ten."
    (alert,) = (await world.alerts().ListAlerts(alert_pb.ListAlertsRequest(person_id=person_id))).alerts
    await world.paged("first", alert.alert_id)
    async with world.transaction() as tx:
        (row,) = await tx.fetch("SELECT signals FROM alert WHERE alert_id = $1", alert.alert_id)
        noted = await tx.fetch("SELECT principal_id, seen_as FROM audit_entry WHERE person_id = $1", person_id)
    assert row["signals"] == 1
    assert (f"system:crisis/inbound/{system.system_id}", "called for help for you") in {tuple(each) for each in noted}
    await world.replays(alert.alert_id)
    assert (await system.shown()).accepted == 3


async def test_a_name_that_somebody_linked_is_that_person_and_another_opens_an_alert_all_the_same(
    world: World, system: System, person_id: str
) -> None:
    status, body = await system.post({"external_id": "MRN 4711", "note": "left the ward"})
    assert (status, body["identified"]) == (202, False)
    async with world.transaction() as tx:
        (row,) = await tx.fetch(
            "SELECT person_id::text AS person_id FROM signal WHERE signal_id = $1", body["signal_id"]
        )
    entry = await first_entry(world, row["person_id"])
    assert "“MRN 4711”: find out who it is" in entry.note
    assert "left the ward" in entry.note
    # The same name again joins the same alert; another name does not.
    await system.post({"external_id": "MRN 4711"})
    await system.post({"external_id": "MRN 4712"})
    async with world.transaction() as tx:
        (alert,) = await tx.fetch("SELECT signals FROM alert WHERE person_id = $1", row["person_id"])
    assert alert["signals"] == 2
    link = pb.LinkSystemPersonRequest(system_id=system.system_id, external_id="MRN 4711", person_id=person_id)
    await admin(world).LinkSystemPerson(link)
    assert (await system.post({"external_id": "MRN 4711"}))[1]["identified"]
    assert (await first_entry(world, person_id)).note == "From the system “Night sensor”."
    async with world.transaction() as tx:
        kept = await tx.fetch("SELECT external_person::text AS kept FROM external_person")
    assert not any("4711" in each["kept"] for each in kept)
    await admin(world).LinkSystemPerson(pb.LinkSystemPersonRequest(system_id=system.system_id, external_id="MRN 4711"))
    assert not (await system.post({"external_id": "MRN 4711"}))[1]["identified"]


async def test_what_one_system_means_is_read_anew_without_the_others(
    world: World, system: System, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await admin(world).CreateSystem(pb.CreateSystemRequest(name="Ward list"))
    other_id = other.system.system_id
    for system_id in (system.system_id, other_id):
        await admin(world).LinkSystemPerson(
            pb.LinkSystemPersonRequest(system_id=system_id, external_id="MRN 1", person_id=person_id)
        )
    await world.step("systems")
    read = store.people
    asked = []

    async def people(tx: Tx, system_id: str) -> dict[bytes, str]:
        asked.append(system_id)
        return await read(tx, system_id)

    monkeypatch.setattr(store, "people", people)
    await admin(world).LinkSystemPerson(
        pb.LinkSystemPersonRequest(system_id=other_id, external_id="MRN 2", person_id=person_id)
    )
    await world.step("systems")
    assert set(asked) == {other_id}
    assert (await system.post({"external_id": "MRN 1"}))[1]["identified"]


async def test_two_secrets_are_good_while_they_are_exchanged(world: World, system: System, person_id: str) -> None:
    data = {"person_id": person_id}
    rotate = pb.RotateSystemSecretRequest(system_id=system.system_id, keep_old_hours=2)
    new = (await admin(world).RotateSystemSecret(rotate)).secret
    assert [(await system.post(data, secret=each))[0] for each in (system.secret, new)] == [202, 202]
    world.clock.advance(timedelta(hours=3))
    assert [(await system.post(data, secret=each))[0] for each in (system.secret, new)] == [401, 202]
    leaked = await admin(world).RotateSystemSecret(pb.RotateSystemSecretRequest(system_id=system.system_id))
    assert [(await system.post(data, secret=each))[0] for each in (new, leaked.secret)] == [401, 202]
    shown = await system.shown()
    assert (shown.refused, shown.last_refusal) == (2, "signature")
    assert "whsec" not in str(shown)


async def test_what_is_refused_says_why_and_how_to_get_help_and_is_counted(
    world: World, system: System, person_id: str
) -> None:
    good = {"person_id": person_id}
    update = pb.UpdateSystemRequest(system_id=system.system_id, disabled=True, etag=system.etag)
    nameless = await system.post({"note": "somebody"})
    forged = await system.post(good, secret=OTHER)
    strange = await system.post(good, path=ids.new_id())
    nonsense = await system.post(good, path="nonsense")
    await admin(world).UpdateSystem(update)
    disabled = await system.post(good)
    found = [nameless, forged, strange, nonsense, disabled]
    assert [status for status, _ in found] == [400, 401, 401, 401, 403]
    assert nameless[1]["violations"][0]["field"] == "data.external_id"
    assert all("988" in body["detail"] for _, body in found)
    assert not (await world.alerts().ListAlerts(alert_pb.ListAlertsRequest(person_id=person_id))).alerts
    shown = await system.shown()
    assert (shown.disabled, shown.refused, shown.last_refusal) == (True, 3, "disabled")
    with pytest.raises(Stale):
        await admin(world).UpdateSystem(update)


async def test_signals_that_come_at_once_right_after_a_system_was_registered_are_all_taken(
    world: World, system: System
) -> None:
    """They wait for one look into the record, and nobody is told that there is no such system meanwhile."""
    answers = await asyncio.gather(*(system.post({"person_id": ids.new_id()}) for _ in range(12)))
    assert [status for status, _ in answers] == [202] * 12
    strange = await asyncio.gather(*(system.post({"person_id": ids.new_id()}, path=ids.new_id()) for _ in range(12)))
    assert [status for status, _ in strange] == [401] * 12


async def test_only_administrators_say_who_may_call(world: World, system: System) -> None:
    for role in ("on_call_responder", "individual_therapist", "biller"):
        stub: Any = world.staff("someone", role).stub(IntegrationServiceStub)
        with pytest.raises(Denied):
            await stub.RotateSystemSecret(pb.RotateSystemSecretRequest(system_id=system.system_id))
    with pytest.raises(NotFound):
        await admin(world).UpdateSystem(pb.UpdateSystemRequest(system_id=ids.new_id()))
    with pytest.raises(NotFound):
        await admin(world).LinkSystemPerson(pb.LinkSystemPersonRequest(system_id=ids.new_id(), external_id="x"))
    async with world.transaction() as tx:
        rows = await tx.fetch("SELECT sealed FROM integrated_system WHERE system_id = $1", system.system_id)
    assert b"whsec" not in rows[0]["sealed"]


async def test_many_signals_of_one_system_are_told_of_and_each_stays_a_call(
    world: World, system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    people = [ids.new_id() for _ in range(61)]
    for each in people:
        assert (await system.post({"person_id": each}))[0] == 202
    async with world.transaction() as tx:
        rows = await tx.fetch("SELECT 1 FROM alert WHERE person_id = ANY($1::uuid[]) AND state <> 6", people)
    assert len(rows) == 61
    assert capsys.readouterr().out.count('"event":"system.sends_many_signals"') == 1


async def test_a_sensor_that_repeats_itself_makes_nothing_worse(world: World, system: System, person_id: str) -> None:
    for _ in range(4):
        assert (await system.post({"person_id": person_id}))[0] == 202
    (alert,) = (await world.alerts().ListAlerts(alert_pb.ListAlertsRequest(person_id=person_id))).alerts
    assert alert.severity == alerts_pb2.SEVERITY_HIGH
    await world.signal(person_id)
    assert (await world.alert(alert.alert_id)).severity == alerts_pb2.SEVERITY_IMMEDIATE
    await world.replays(alert.alert_id)
