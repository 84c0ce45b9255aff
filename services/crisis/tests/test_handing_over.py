"""More than one responder: hand-over by consent, reassigning, adding, looking on, renewing a lease; and races."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import alerts_pb2, events_pb2

from haven_crisis.api.alerts import AlertApi
from haven_crisis.api.desk import Desk
from haven_kit import ids
from haven_kit.errors import Invalid, NotFound, Refused
from haven_kit.identity import system
from haven_kit.testing import eventually

from .world import WAIT, World

LEASE = timedelta(minutes=5)


async def _taken(world: World, person_id: str) -> str:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    await world.alerts("first").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    return raised.alert_id


def _offer(alert_id: str, to: str = "second") -> pb.OfferHandOverRequest:
    return pb.OfferHandOverRequest(alert_id=alert_id, responder_id=to, note="I have to leave for court")


async def test_a_hand_over_needs_consent_and_the_holder_keeps_it_until_then(world: World, person_id: str) -> None:
    alert_id = await _taken(world, person_id)
    before = await world.alert(alert_id)
    offered = await world.alerts("first").OfferHandOver(_offer(alert_id))
    assert (offered.responder_id, offered.offered_to) == ("first", "second")
    assert offered.next_deadline == before.next_deadline  # the lease goes on
    await world.paged("second", alert_id)
    with pytest.raises(Refused) as nothing:
        await world.alerts("first").AnswerHandOver(pb.AnswerHandOverRequest(alert_id=alert_id, accept=True))
    assert nothing.value.reason == "not_offered"
    world.clock.advance(timedelta(minutes=1))
    taken = await world.alerts("second").AnswerHandOver(pb.AnswerHandOverRequest(alert_id=alert_id, accept=True))
    assert (taken.responder_id, taken.offered_to) == ("second", "")
    assert taken.next_deadline.ToDatetime() == before.next_deadline.ToDatetime() + timedelta(minutes=1)
    (told,) = [each for each in await world.crisis.told(events_pb2.AlertHandedOver) if each.alert_id == alert_id]
    assert (told.was_with, told.responder_id) == ("first", "second")
    await world.replays(alert_id)


async def test_a_declined_hand_over_stays_where_it_was(world: World, person_id: str) -> None:
    alert_id = await _taken(world, person_id)
    await world.alerts("first").OfferHandOver(_offer(alert_id))
    answer = pb.AnswerHandOverRequest(alert_id=alert_id, accept=False, note="I am with somebody")
    declined = await world.alerts("second").AnswerHandOver(answer)
    assert (declined.responder_id, declined.offered_to) == ("first", "")
    await world.alerts("first").OfferHandOver(_offer(alert_id))
    await world.paged("second", alert_id, 2)  # asked again, paged again
    await world.replays(alert_id)


async def test_an_offer_nobody_answers_does_not_stretch_the_lease(world: World, person_id: str) -> None:
    alert_id = await _taken(world, person_id)
    await world.alerts("first").OfferHandOver(_offer(alert_id))
    await world.later(LEASE)
    await world.paged("first", alert_id, 2)
    after = await world.alert(alert_id)
    assert (after.responder_id, after.offered_to) == ("", "")
    with pytest.raises(Refused):
        await world.alerts("second").AnswerHandOver(pb.AnswerHandOverRequest(alert_id=alert_id, accept=True))
    escalated = [each for each in await world.crisis.told(events_pb2.AlertEscalated) if each.alert_id == alert_id]
    assert [(each.lease_expired, each.person_id) for each in escalated] == [(True, person_id)]
    await world.replays(alert_id)


async def test_only_the_holder_offers_and_only_to_somebody_who_can_be_paged(world: World, person_id: str) -> None:
    alert_id = await _taken(world, person_id)
    for to, reason in (("first", "own_hands"), ("nobody", "no_such_responder")):
        with pytest.raises(Refused) as refused:
            await world.alerts("first").OfferHandOver(_offer(alert_id, to))
        assert refused.value.reason == reason
    await world.alerts("first").AddResponders(pb.AddRespondersRequest(alert_id=alert_id, responder_ids=["second"]))
    with pytest.raises(Refused) as not_theirs:
        await world.alerts("second").OfferHandOver(_offer(alert_id, "boss"))
    assert not_theirs.value.reason == "not_yours"
    with pytest.raises(NotFound):
        await world.alerts("outsider").OfferHandOver(_offer(alert_id))


async def test_added_responders_are_paged_at_once_and_the_holder_keeps_it(world: World, person_id: str) -> None:
    alert_id = await _taken(world, person_id)
    before = await world.alert(alert_id)
    adding = pb.AddRespondersRequest(alert_id=alert_id, responder_ids=["second", "boss"])
    after = await world.alerts("first").AddResponders(adding)
    await world.paged("second", alert_id)
    await world.paged("boss", alert_id)
    assert (after.responder_id, after.next_deadline) == ("first", before.next_deadline)
    assert (await world.alerts("second").GetAlert(pb.GetAlertRequest(alert_id=alert_id))).alert_id == alert_id
    with pytest.raises(Refused):
        await world.alerts("first").AddResponders(
            pb.AddRespondersRequest(alert_id=alert_id, responder_ids=["second", "nobody"])
        )
    assert len(world.pages("second", alert_id)) == 1
    await world.replays(alert_id)


async def test_an_observer_sees_and_is_not_counted(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.later(WAIT)
    await world.paged("second", raised.alert_id)
    watching = pb.ObserveAlertRequest(alert_id=raised.alert_id)
    with pytest.raises(NotFound):
        await world.alerts("outsider").ObserveAlert(watching)
    seen = await world.alerts("second").ObserveAlert(watching)
    assert seen.observers == ["second"]
    assert (await world.alerts("second").ObserveAlert(watching)).etag == seen.etag
    await world.later(WAIT)
    await world.paged("boss", raised.alert_id)  # nobody waited for the observer
    mine = await world.alerts("second").ListAlerts(pb.ListAlertsRequest(mine=True))
    assert raised.alert_id in {each.alert_id for each in mine.alerts}
    left = await world.alerts("second").StopObservingAlert(pb.StopObservingAlertRequest(alert_id=raised.alert_id))
    assert not left.observers
    await world.alerts("second").ObserveAlert(watching)
    taken = await world.alerts("second").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    assert (taken.responder_id, list(taken.observers)) == ("second", [])
    with pytest.raises(Refused):
        await world.alerts("second").ObserveAlert(watching)
    await world.replays(raised.alert_id)


async def test_a_lease_is_renewed_once_with_a_reason(world: World, person_id: str) -> None:
    alert_id = await _taken(world, person_id)
    with pytest.raises(Invalid):
        await world.alerts("first").RenewLease(pb.RenewLeaseRequest(alert_id=alert_id))
    await world.later(timedelta(minutes=4))
    ask = pb.RenewLeaseRequest(alert_id=alert_id, reason="the line is busy; trying the sister")
    renewed = await world.alerts("first").RenewLease(ask)
    assert renewed.lease_renewed
    await world.later(timedelta(minutes=4))
    assert (await world.alert(alert_id)).responder_id == "first"
    with pytest.raises(Refused) as again:
        await world.alerts("first").RenewLease(ask)
    assert again.value.reason == "renewed"
    await world.later(timedelta(minutes=1))
    assert not (await world.alert(alert_id)).responder_id
    await world.replays(alert_id)


async def test_an_alert_is_given_to_a_rotation(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    desk = world.alerts("first")
    both = pb.ReassignAlertRequest(alert_id=raised.alert_id, responder_id="second", rotation_id=world.ids["rotation"])
    for wrong in (both, pb.ReassignAlertRequest(alert_id=raised.alert_id)):
        with pytest.raises(Invalid):
            await desk.ReassignAlert(wrong)
    given = pb.ReassignAlertRequest(alert_id=raised.alert_id, rotation_id=world.ids["rotation"])
    await desk.ReassignAlert(given)
    await world.paged("first", raised.alert_id, 2)
    unknown = pb.ReassignAlertRequest(alert_id=raised.alert_id, rotation_id=raised.alert_id)
    with pytest.raises(Refused) as nobody:
        await desk.ReassignAlert(unknown)
    assert nobody.value.reason == "nobody_on_call"
    assert [each for each in await world.crisis.told(events_pb2.AlertReassigned) if each.alert_id == raised.alert_id]
    await world.replays(raised.alert_id)


async def test_a_page_is_acknowledged_from_any_channel(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    desk = _desk(world)
    async with world.crisis.process.database.transaction(system("crisis/links")) as tx:
        with pytest.raises(NotFound):
            await desk.acknowledge(tx, raised.alert_id, "outsider", "link")
    async with world.crisis.process.database.transaction(system("crisis/links")) as tx:
        taken = await desk.acknowledge(tx, raised.alert_id, "first", "sms")
        assert (await desk.acknowledge(tx, raised.alert_id, "first", "link")).seq == taken.seq
    shown = await world.alert(raised.alert_id)
    assert (shown.responder_id, shown.state) == ("first", alerts_pb2.ALERT_STATE_ACKNOWLEDGED)
    timeline = await world.alerts("first").GetAlertTimeline(pb.GetAlertTimelineRequest(alert_id=raised.alert_id))
    (entry,) = [each for each in timeline.entries if each.kind == alerts_pb2.ENTRY_KIND_ACKNOWLEDGED]
    assert (entry.actor_id, entry.facts["channel"]) == ("first", "sms")
    async with world.transaction() as tx:
        looks = await tx.fetch(
            "SELECT seen_as FROM audit_entry WHERE action = 'crisis/sms' AND person_id = $1", person_id
        )
    assert looks[0]["seen_as"] == "took your call for help"
    await world.replays(raised.alert_id)


async def test_whoever_is_offered_an_alert_takes_it_over_by_acknowledging(world: World, person_id: str) -> None:
    alert_id = await _taken(world, person_id)
    await world.alerts("first").OfferHandOver(_offer(alert_id))
    async with world.crisis.process.database.transaction(system("crisis/links")) as tx:
        after = await _desk(world).acknowledge(tx, alert_id, "second", "voice")
    assert after.responder_id == "second"
    assert [each for each in await world.crisis.told(events_pb2.AlertHandedOver) if each.alert_id == alert_id]
    await world.replays(alert_id)


@pytest.mark.parametrize("seed", range(6))
async def test_races_leave_one_holder_and_a_timeline_that_replays(world: World, person_id: str, seed: int) -> None:
    """Acknowledge, escalate, contact, hand over and close at the same moment: each is refused or done, none is half."""
    await world.plan()
    raised = await world.signal(person_id)
    await world.later(WAIT)
    await world.paged("second", raised.alert_id)
    first, second = world.alerts("first"), world.alerts("second")
    alert_id = raised.alert_id
    moves: list[Any] = [
        lambda: first.AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=alert_id)),
        lambda: second.AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=alert_id)),
        lambda: first.OfferHandOver(_offer(alert_id)),
        lambda: second.AnswerHandOver(pb.AnswerHandOverRequest(alert_id=alert_id, accept=True)),
        lambda: first.RecordContact(pb.RecordContactRequest(alert_id=alert_id, reached=True, way="phone")),
        lambda: first.CloseAlert(_mistake(world, alert_id)),
        lambda: second.AddResponders(pb.AddRespondersRequest(alert_id=alert_id, responder_ids=["boss"])),
        lambda: world.step("escalations"),
    ]
    world.clock.advance(WAIT if seed % 2 else timedelta(seconds=1))
    done = await asyncio.gather(*(move() for move in moves[seed:] + moves[:seed]), return_exceptions=True)
    unexpected = [each for each in done if isinstance(each, BaseException) and not isinstance(each, Refused)]
    assert not unexpected
    await world.step("pages")
    await world.replays(alert_id)
    held = await world.alert(alert_id)
    assert held.HasField("next_deadline") == (held.state != alerts_pb2.ALERT_STATE_CLOSED)


def _desk(world: World) -> Desk:
    process = world.crisis.process
    (api,) = [each for each in process.service.apis if each.service.endswith("AlertService")]
    assert isinstance(api.implementation, AlertApi)
    return api.implementation.desk


def _mistake(world: World, alert_id: str) -> pb.CloseAlertRequest:
    request = pb.CloseAlertRequest(
        alert_id=alert_id,
        disposition=alerts_pb2.DISPOSITION_RAISED_BY_MISTAKE,
        risk_level=alerts_pb2.RISK_LEVEL_LOW,
        nobody_told=True,
    )
    request.follow_up_due_at.FromDatetime(world.clock.now() + timedelta(hours=2))
    return request


async def test_danger_to_life_pages_on_every_channel_at_once(world: World, person_id: str) -> None:
    """Today, not at the next stage; by a judgement as by repeated calls; nobody twice on one channel."""
    await world.plan(channels={"first": ["first", "first@example.org"], "second": ["second"], "boss": ["boss"]})
    judged = await world.signal(person_id)
    await world.paged("first", judged.alert_id)
    change = pb.ChangeSeverityRequest(
        alert_id=judged.alert_id, severity=alerts_pb2.SEVERITY_IMMEDIATE, reason="a plan and means"
    )
    await world.alerts("first").ChangeSeverity(change)
    await _mailed(world, judged.alert_id)
    repeated = ids.new_id()
    for _ in range(4):
        raised = await world.signal(repeated)
    await _mailed(world, raised.alert_id)
    assert (await world.alert(raised.alert_id)).severity == alerts_pb2.SEVERITY_IMMEDIATE
    for alert_id in (judged.alert_id, raised.alert_id):
        assert len(world.pages("first", alert_id)) == 1
        assert await _mails(world, alert_id) == 1
        await world.replays(alert_id)


async def test_nobody_is_paged_anew_where_somebody_has_it(world: World, person_id: str) -> None:
    await world.plan(channels={"first": ["first", "first@example.org"], "second": ["second"], "boss": ["boss"]})
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    await world.alerts("first").AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    for _ in range(3):
        await world.signal(person_id)
    assert (await world.alert(raised.alert_id)).severity == alerts_pb2.SEVERITY_IMMEDIATE
    await world.step("pages")
    await world.crisis.process.service.on_stop[0]()  # the pages under way are out
    assert not await _mails(world, raised.alert_id)


async def _mails(world: World, alert_id: str) -> int:
    """How many pages by email were taken."""
    pages = (await world.alerts("first").ListPages(pb.ListPagesRequest(alert_id=alert_id))).pages
    return sum(each.channel == "email" and each.state == alerts_pb2.PAGE_STATE_ACCEPTED for each in pages)


async def _mailed(world: World, alert_id: str) -> None:
    async def done() -> bool:
        return await _mails(world, alert_id) == 1

    await eventually(done)
