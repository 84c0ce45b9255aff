"""How pages went: told by providers, told to providers, and reported to those who answer for being on call."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import alerts_pb2, channels_pb2, signals_pb2
from haven.crisis.v1 import delivery_service_pb2 as pb
from haven.crisis.v1 import on_call_service_pb2 as on_call_pb
from haven.crisis.v1.delivery_service_pb2_grpc import DeliveryServiceStub

from haven_crisis.__main__ import READINESS
from haven_crisis.domain import replies
from haven_dev.providers import Trouble
from haven_kit import ids
from haven_kit.errors import Denied, Invalid
from haven_kit.testing import eventually

from .paging_world import PHONES, Phones, sms, voice

FAILED, ACCEPTED, DELIVERED = (
    alerts_pb2.PAGE_STATE_FAILED,
    alerts_pb2.PAGE_STATE_ACCEPTED,
    alerts_pb2.PAGE_STATE_DELIVERED,
)


def duty(phones: Phones) -> on_call_pb.Channel:
    """The incidents of a team."""
    return on_call_pb.Channel(pager_duty=channels_pb2.PagerDuty(routing_key=phones.pager_duty.routing_key))


def manager(phones: Phones) -> on_call_pb.Channel:
    """The alerts of a team."""
    return on_call_pb.Channel(alertmanager=channels_pb2.Alertmanager(url=phones.alertmanager.url))


def stub(phones: Phones, role: str = "administrator") -> Any:
    return phones.world.staff("boss", role).stub(DeliveryServiceStub)


async def test_providers_that_keep_a_page_open_hear_that_somebody_has_the_alert(phones: Phones, person_id: str) -> None:
    await phones.seat({"first": [duty(phones), sms("first")], "second": [manager(phones), sms("second")]})
    alert_id = (await phones.signal(person_id)).alert_id
    await phones.reached(alert_id, ("pager_duty", "ACCEPTED", ""))
    await phones.world.later(timedelta(seconds=60))
    await phones.reached(alert_id, ("pager_duty", "ACCEPTED", ""), ("alertmanager", "ACCEPTED", ""))
    incident = phones.pager_duty.incidents[f"{alert_id}.0.0"]
    await phones.world.step("deliveries")
    assert incident.status == "triggered"
    phones.pager_duty.trouble = Trouble(status=500)
    await phones.world.alerts("first").AcknowledgeAlert(alert_pb.AcknowledgeAlertRequest(alert_id=alert_id))
    await phones.world.step("deliveries")
    assert incident.status == "triggered"
    assert all(
        each.ends_at <= phones.world.clock.now() for each in phones.alertmanager.alerts.values() if _of(each, alert_id)
    )
    phones.pager_duty.trouble = Trouble()
    phones.world.clock.advance(timedelta(seconds=30))
    await phones.world.step("deliveries")
    assert incident.status == "resolved"


def _of(alert: Any, alert_id: str) -> bool:
    return bool(alert.labels["round"].startswith(alert_id))


async def test_what_a_killed_replica_did_not_write_down_is_found(phones: Phones, person_id: str) -> None:
    """The provider that keeps the page open is told all the same."""
    await phones.seat({"first": [duty(phones), sms("first")], "second": [sms("second")]})
    alert_id = (await phones.signal(person_id)).alert_id
    await phones.reached(alert_id, ("pager_duty", "ACCEPTED", ""))
    written = await written_down(phones, alert_id)
    assert [row["reference"] for row in written] == [f"{alert_id}.0.0"]
    async with phones.world.transaction() as tx:
        await tx.fetch("DELETE FROM delivery WHERE page_id IN (SELECT page_id FROM page WHERE alert_id = $1)", alert_id)
    phones.world.clock.advance(timedelta(seconds=61))
    await phones.world.step("deliveries")
    (found, *_) = await deliveries_of(phones, alert_id)
    assert found == written[0]
    await phones.world.alerts("first").AcknowledgeAlert(alert_pb.AcknowledgeAlertRequest(alert_id=alert_id))
    await phones.world.step("deliveries")
    assert phones.pager_duty.incidents[f"{alert_id}.0.0"].status == "resolved"


async def test_a_report_says_whose_it_is_where_the_send_was_not_written_down(phones: Phones, person_id: str) -> None:
    await phones.seat({name: [sms(name)] for name in PHONES})
    alert_id = (await phones.signal(person_id)).alert_id
    await phones.reached(alert_id, ("sms", "ACCEPTED", ""))
    written = await written_down(phones, alert_id)
    async with phones.world.transaction() as tx:
        await tx.fetch("DELETE FROM delivery WHERE page_id IN (SELECT page_id FROM page WHERE alert_id = $1)", alert_id)
    await phones.twilio.tell_message(await phones.message(alert_id), "delivered")
    await phones.reached(alert_id, ("sms", "DELIVERED", ""))
    assert await deliveries_of(phones, alert_id) == written
    assert written[0]["provider"] == "twilio"
    assert written[0]["reference"]


async def written_down(phones: Phones, alert_id: str) -> list[dict[str, Any]]:
    """What is written down of the pages of an alert, once there is something."""

    async def something() -> list[dict[str, Any]]:
        await phones.world.step("deliveries")
        return await deliveries_of(phones, alert_id)

    return await eventually(something)


async def deliveries_of(phones: Phones, alert_id: str) -> list[dict[str, Any]]:
    """What is written down of the pages of an alert, in order."""
    async with phones.world.transaction() as tx:
        rows = await tx.fetch(
            """SELECT page_id::text, delivery.channel, provider, reference, open_at_provider FROM delivery
            JOIN page USING (page_id) WHERE alert_id = $1 ORDER BY page.created_at""",
            alert_id,
        )
    return [dict(row) for row in rows]


async def test_a_lease_that_ran_out_pages_the_team_anew(phones: Phones, person_id: str) -> None:
    await phones.seat({"first": [duty(phones), sms("first")], "second": [sms("second")]})
    alert_id = (await phones.signal(person_id)).alert_id
    await phones.reached(alert_id, ("pager_duty", "ACCEPTED", ""))
    await phones.world.alerts("first").AcknowledgeAlert(alert_pb.AcknowledgeAlertRequest(alert_id=alert_id))
    await phones.world.later(timedelta(seconds=301))
    await eventually(lambda: f"{alert_id}.1.0" in phones.pager_duty.incidents)
    await phones.world.step("deliveries")
    first, second = (phones.pager_duty.incidents[f"{alert_id}.{cycle}.0"].status for cycle in (0, 1))
    assert (first, second) == ("resolved", "triggered")


async def test_beside_a_provider_that_is_not_well_the_next_channel_is_tried_at_once(phones: Phones) -> None:
    await phones.seat({"first": [duty(phones), voice("first")], "second": [sms("second")]})
    phones.pager_duty.trouble = Trouble(status=500)
    for _ in range(3):
        alert_id = (await phones.signal(ids.new_id())).alert_id
        await phones.reached(
            alert_id, ("pager_duty", "FAILED", "status 500"), ("pager_duty", "QUEUED", ""), ("voice", "ACCEPTED", "")
        )
    # It hangs from here on: nobody waits for it.
    phones.pager_duty.trouble = Trouble(hangs=True)
    alert_id = (await phones.signal(ids.new_id())).alert_id
    await phones.reached(alert_id, ("pager_duty", "SENDING", ""), ("voice", "ACCEPTED", ""))
    phones.pager_duty.trouble = Trouble()
    await eventually(lambda: _no_longer_sending(phones, alert_id))
    channels = [channel for channel, _, _ in await phones.states(alert_id)]
    assert channels.count("voice") == 1


async def _no_longer_sending(phones: Phones, alert_id: str) -> bool:
    return all(state != "SENDING" for _, state, _ in await phones.states(alert_id))


async def test_three_hundred_alerts_at_once_are_three_hundred_pages(phones: Phones) -> None:
    """No throttle and no bundling: everybody's provider and telephone are the same here."""
    await phones.over()
    await phones.seat({name: [sms(name)] for name in PHONES})
    seen = len(phones.twilio.messages)
    raised = await asyncio.gather(*(phones.signal(ids.new_id()) for _ in range(300)))
    await eventually(lambda: len(phones.twilio.messages) - seen >= 300, timeout=60)
    links = {re.search(r"/p/(\S+)", each.body) for each in phones.twilio.messages[seen:]}
    assert len({each.group(1) for each in links if each is not None}) == 300
    codes = [replies.code(each.alert_id) for each in raised]
    assert sorted(codes) == sorted(each.body.partition("reply ")[2][:3] for each in phones.twilio.messages[seen:])


async def test_the_report_counts_by_channel_provider_and_outcome(phones: Phones) -> None:
    await phones.over()
    since = phones.world.clock.now() + timedelta(hours=1)
    phones.world.clock.advance(timedelta(hours=2))
    await phones.seat({"first": [duty(phones), sms("first"), voice("first")], "second": [sms("second")]})
    phones.pager_duty.trouble = Trouble(status=429)
    paged = []
    for _ in range(3):
        paged.append((await phones.signal(ids.new_id())).alert_id)
        await phones.reached(
            paged[-1], ("pager_duty", "FAILED", "status 429"), ("pager_duty", "QUEUED", ""), ("sms", "ACCEPTED", "")
        )
    phones.pager_duty.trouble = Trouble()
    phones.world.clock.advance(timedelta(seconds=4))
    await phones.twilio.tell_message(await phones.message(paged[-1]), "delivered")
    await eventually(lambda: _delivered(phones, paged[-1]))
    drill = await phones.world.signal(ids.new_id(), phones.world.staff("boss"), source=signals_pb2.SIGNAL_SOURCE_DRILL)
    await eventually(lambda: phones.states(drill.alert_id))
    request = pb.GetDeliveryReportRequest()
    request.since.FromDatetime(since)
    lines = {(each.channel, each.provider): each for each in (await stub(phones).GetDeliveryReport(request)).lines}
    twilio = lines["sms", "twilio"]
    assert {each.state: each.pages for each in twilio.counts} == {ACCEPTED: 2, DELIVERED: 1}
    assert twilio.to_delivered.median.ToTimedelta() >= timedelta(seconds=4)
    assert timedelta() <= twilio.to_accepted.longest.ToTimedelta() < timedelta(seconds=4)
    duties = lines["pager_duty", "pager_duty"]
    assert {each.state: each.pages for each in duties.counts}[FAILED] == 3
    assert not duties.HasField("to_delivered")
    assert not drill_counted(lines)
    await _the_report_in_pages(phones, request)


def drill_counted(lines: dict[tuple[str, str], pb.DeliveryLine]) -> bool:
    """Whether a fourth page by PagerDuty is in the lines: the drill's."""
    counts = [each.pages for line in lines.values() if line.channel == "pager_duty" for each in line.counts]
    return sum(counts) > 6


async def _the_report_in_pages(phones: Phones, request: pb.GetDeliveryReportRequest) -> None:
    whole = (await stub(phones).GetDeliveryReport(request)).lines
    request.page_size, found = 1, []
    while True:
        page = await stub(phones).GetDeliveryReport(request)
        found += list(page.lines)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [(each.channel, each.provider) for each in found] == [(each.channel, each.provider) for each in whole]


async def _delivered(phones: Phones, alert_id: str) -> bool:
    await phones.world.step("deliveries")
    return any(state == "DELIVERED" for _, state, _ in await phones.states(alert_id))


async def test_pages_are_listed_newest_first_with_what_their_provider_said(phones: Phones, person_id: str) -> None:
    await phones.over()
    since = phones.world.clock.now() + timedelta(hours=1)
    phones.world.clock.advance(timedelta(hours=2))
    await phones.seat({"first": [sms("first"), voice("first")], "second": [sms("second")]})
    alert_id = (await phones.signal(person_id)).alert_id
    await phones.reached(alert_id, ("sms", "ACCEPTED", ""))
    message = await phones.message(alert_id)
    await phones.twilio.tell_message(message, "undelivered", "30005")
    await phones.reached(
        alert_id, ("sms", "FAILED", "undelivered, code 30005"), ("sms", "QUEUED", ""), ("voice", "ACCEPTED", "")
    )
    await phones.world.step("deliveries")
    request = pb.ListDeliveriesRequest(page_size=1)
    request.since.FromDatetime(since)
    found = []
    while True:
        page = await stub(phones, "on_call_responder").ListDeliveries(request)
        found += list(page.deliveries)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [each.created_at.seconds for each in found] == sorted(
        (each.created_at.seconds for each in found), reverse=True
    )
    failed = next(each for each in found if each.state == FAILED)
    assert (
        failed.alert_id,
        failed.responder_id,
        failed.channel,
        failed.provider,
        failed.reference,
        failed.failure,
    ) == (
        alert_id,
        "first",
        "sms",
        "twilio",
        message.sid,
        "undelivered, code 30005",
    )
    assert failed.HasField("reported_at")
    request = pb.ListDeliveriesRequest(channel="voice", state=ACCEPTED)
    request.since.FromDatetime(since)
    listed = (await stub(phones).ListDeliveries(request)).deliveries
    assert [(each.channel, each.state) for each in listed] == [("voice", ACCEPTED)]


async def test_a_report_has_bounds(phones: Phones) -> None:
    request = pb.GetDeliveryReportRequest()
    request.since.FromDatetime(phones.world.clock.now() - timedelta(days=94))
    with pytest.raises(Invalid, match="93 days"):
        await stub(phones).GetDeliveryReport(request)
    request.since.FromDatetime(phones.world.clock.now())
    with pytest.raises(Denied):
        await stub(phones, "facilitator").GetDeliveryReport(request)


async def test_what_was_sent_is_written_down_when_the_database_is_back(phones: Phones, person_id: str) -> None:
    await phones.seat({name: [sms(name)] for name in PHONES})
    alert_id = (await phones.signal(person_id)).alert_id
    await phones.reached(alert_id, ("sms", "ACCEPTED", ""))
    async with phones.world.transaction() as tx:
        await tx.fetch("ALTER TABLE delivery RENAME TO delivery_away")
    second = (await phones.signal(ids.new_id())).alert_id
    await eventually(lambda: _accepted(phones, second))
    with pytest.raises(Exception, match="delivery"):
        await phones.world.step("deliveries")
    async with phones.world.transaction() as tx:
        await tx.fetch("ALTER TABLE delivery_away RENAME TO delivery")
    await phones.world.step("deliveries")
    async with phones.world.transaction() as tx:
        rows = await tx.fetch("SELECT provider FROM delivery JOIN page USING (page_id) WHERE alert_id = $1", second)
    assert [row["provider"] for row in rows] == ["twilio"]


async def _accepted(phones: Phones, alert_id: str) -> bool:
    return any(state == "ACCEPTED" for _, state, _ in await phones.states(alert_id))


async def test_a_page_that_finds_no_place_with_its_provider_in_time_goes_to_the_next_channel(
    phones: Phones, person_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider takes pages, but so slowly that others have all its places. The page was not sent, and says so."""
    await phones.seat({"first": [duty(phones), sms("first")], "second": [sms("second")]})
    full = asyncio.Semaphore(0)
    check: Any = phones.world.crisis.process.service.checks[READINESS]
    monkeypatch.setitem(check.__self__.keeping._backlog._pager._rooms, "pager_duty", full)
    alert_id = (await phones.signal(person_id)).alert_id
    await phones.reached(alert_id, ("pager_duty", "SENDING", ""))
    phones.world.clock.advance(timedelta(seconds=4))
    full.release()
    await phones.reached(alert_id, ("pager_duty", "ACCEPTED", ""), ("sms", "ACCEPTED", ""))
    assert not any(each.resent for each in await phones.pages(alert_id))
