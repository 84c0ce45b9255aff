"""Paging by the plan: a responder's own rules, and whoever watches."""

from __future__ import annotations

from datetime import timedelta

import pytest
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import alerts_pb2
from haven.crisis.v1 import on_call_service_pb2 as pb
from haven.crisis.v1.on_call_service_pb2_grpc import OnCallServiceStub

from haven_kit import ids
from haven_kit.errors import Invalid, Refused
from haven_kit.testing import eventually
from haven_kit.times import stamp

from .plan_world import DAY, acting
from .world import World


async def test_a_responders_own_rule_adds_a_channel_while_nobody_has_answered(world: World, person_id: str) -> None:
    await world.plan()
    office = acting(world, "first", OnCallServiceStub)
    held = await office.GetResponder(pb.GetResponderRequest(responder_id="first"))
    wanted = pb.PutResponderRequest(responder_id="first", name="First", channels=held.channels, etag=held.etag)
    wanted.rules.add(channel=2, after_seconds=20)
    with pytest.raises(Invalid):
        await office.PutResponder(wanted)
    wanted.rules[0].channel = 1
    saved = await office.PutResponder(wanted)
    assert saved.rules[0].after_seconds == 20
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    await eventually(lambda: _are(world, raised.alert_id, ["webhook"]))  # noted a moment after it came
    await world.later(timedelta(seconds=19))
    assert await _channels(world, raised.alert_id) == ["webhook"]
    await world.later(timedelta(seconds=2))
    await eventually(lambda: _are(world, raised.alert_id, ["webhook", "email"]))
    world.hooks["first"].status = 503
    failing = await world.signal(ids.new_id())
    await eventually(lambda: _are(world, failing.alert_id, ["email"]))  # at once, whatever the rule says
    world.hooks["first"].status = 204
    held = await office.GetResponder(pb.GetResponderRequest(responder_id="first"))
    await office.PutResponder(
        pb.PutResponderRequest(responder_id="first", name="First", channels=held.channels, etag=held.etag)
    )


async def test_who_watches_is_paged_and_takes_no_alert(world: World, person_id: str) -> None:
    await world.plan()
    await world.responder("trainee", ["last"])
    office, now = acting(world, "admin", OnCallServiceStub), world.clock.now()
    rotation = await office.GetRotation(pb.GetRotationRequest(rotation_id=world.ids["rotation"]))
    rotation.shadows.add(responder_id="trainee", starts_at=stamp(now), ends_at=stamp(now + DAY))
    await office.PutRotation(pb.PutRotationRequest(rotation_id=world.ids["rotation"], rotation=rotation))
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    await world.paged("last", raised.alert_id)
    taking = alert_pb.AcknowledgeAlertRequest(alert_id=raised.alert_id)
    with pytest.raises(Refused) as watches:
        await world.alerts("trainee").AcknowledgeAlert(taking)
    assert watches.value.reason == "observer"
    for field, given in (
        (
            "responder_id",
            world.alerts("first").ReassignAlert(
                alert_pb.ReassignAlertRequest(alert_id=raised.alert_id, responder_id="trainee")
            ),
        ),
        (
            "responder_ids[1]",
            world.alerts("first").AddResponders(
                alert_pb.AddRespondersRequest(alert_id=raised.alert_id, responder_ids=["second", "trainee"])
            ),
        ),
    ):
        with pytest.raises(Invalid) as named:
            await given
        (violation,) = named.value.violations
        assert (violation.field, violation.rule) == (field, "observer")
        assert "Trainee shadows a rotation" in violation.message
    assert not world.pages("second", raised.alert_id)
    assert (await world.alerts("first").AcknowledgeAlert(taking)).responder_id == "first"
    offer = alert_pb.OfferHandOverRequest(alert_id=raised.alert_id, responder_id="trainee")
    assert (await world.alerts("first").OfferHandOver(offer)).offered_to == "trainee"
    assert (await world.alerts("trainee").AcknowledgeAlert(taking)).responder_id == "trainee"
    await world.plan()


async def _channels(world: World, alert_id: str) -> list[str]:
    """The channels on which `first` has got pages of an alert."""
    listed = await world.alerts("first").ListPages(alert_pb.ListPagesRequest(alert_id=alert_id))
    taken = (alerts_pb2.PAGE_STATE_ACCEPTED, alerts_pb2.PAGE_STATE_DELIVERED)
    return [each.channel for each in listed.pages if each.responder_id == "first" and each.state in taken]


async def _are(world: World, alert_id: str, wanted: list[str]) -> bool:
    return await _channels(world, alert_id) == wanted
