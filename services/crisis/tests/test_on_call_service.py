"""Setting who is on call: what is refused, and why."""

from __future__ import annotations

from typing import Any

import pytest
from haven.crisis.v1 import on_call_service_pb2 as pb
from haven.crisis.v1.on_call_service_pb2_grpc import OnCallServiceStub

from haven_kit import ids
from haven_kit.errors import Denied, Invalid, NotFound, Refused, Stale

from .world import World, step


def _admin(world: World) -> Any:
    return world.staff("admin", "administrator").stub(OnCallServiceStub)


def _rotation(**given: Any) -> pb.PutRotationRequest:
    made: dict[str, Any] = {
        "name": "Days",
        "responder_ids": ["first"],
        "shift_days": 7,
        "time_zone": "America/New_York",
        "hand_over": "08:00",
        "first_day": "2026-01-01",
    } | given
    return pb.PutRotationRequest(rotation_id=ids.new_id(), rotation=pb.Rotation(**made))


async def test_without_a_plan_the_problems_are_named(world: World) -> None:
    found = await _admin(world).GetOnCall(pb.GetOnCallRequest())
    assert any("policy" in each for each in found.problems)
    await world.plan()
    now = await _admin(world).GetOnCall(pb.GetOnCallRequest())
    assert not now.problems
    assert [(each.responder_id, each.responder_name) for each in now.duties] == [("first", "First")]


async def test_a_rotation_with_a_gap_is_refused_and_the_gap_is_named(world: World) -> None:
    await world.plan()
    with pytest.raises(Refused) as gap:
        await _admin(world).PutRotation(_rotation(first_day="2026-02-01"))
    assert gap.value.reason == "rotation_gap"
    assert "2026-02-01 13:00 UTC" in gap.value.message
    with pytest.raises(Refused):
        await _admin(world).PutRotation(_rotation(responder_ids=["nobody"]))
    with pytest.raises(Invalid) as zone:
        await _admin(world).PutRotation(_rotation(time_zone="Mars/Olympus"))
    assert zone.value.violations[0].field == "rotation.time_zone"
    with pytest.raises(Invalid):
        await _admin(world).PutRotation(_rotation(first_day="2026-02-31"))


async def test_a_policy_with_a_step_that_reaches_nobody_is_refused(world: World) -> None:
    await world.plan()
    unknown = pb.Policy(
        name="Empty",
        steps=[step(pb.Target(rotation_id=ids.new_id()))],
        last_resort=step(pb.Target(responder_id="boss")),
        is_default=True,
    )
    with pytest.raises(Refused) as refused:
        await _admin(world).PutPolicy(pb.PutPolicyRequest(policy_id=ids.new_id(), policy=unknown))
    assert refused.value.reason == "unreachable_step"
    assert "Step 1" in refused.value.message
    found = await _admin(world).GetOnCall(pb.GetOnCallRequest())
    assert not found.problems


async def test_there_is_always_one_default_policy(world: World) -> None:
    await world.plan()
    admin = _admin(world)
    held = await admin.GetPolicy(pb.GetPolicyRequest(policy_id=world.ids["policy"]))
    held.is_default = False
    with pytest.raises(Refused):
        await admin.PutPolicy(pb.PutPolicyRequest(policy_id=world.ids["policy"], policy=held))
    other = pb.Policy(
        name="Other",
        steps=[step(pb.Target(everyone_on_duty=True))],
        last_resort=step(pb.Target(responder_id="boss")),
        is_default=True,
    )
    saved = await admin.PutPolicy(pb.PutPolicyRequest(policy_id=ids.new_id(), policy=other))
    defaults = [each for each in (await admin.ListPolicies(pb.ListPoliciesRequest())).policies if each.is_default]
    assert [each.policy_id for each in defaults] == [saved.policy_id]


async def test_a_secret_is_never_shown_and_is_kept(world: World) -> None:
    await world.plan()
    admin = _admin(world)
    held = await admin.GetResponder(pb.GetResponderRequest(responder_id="second"))
    assert not held.channels[0].webhook.secret
    with pytest.raises(Stale):
        await admin.PutResponder(
            pb.PutResponderRequest(responder_id="second", name="Two", channels=held.channels, etag="v999")
        )
    await admin.PutResponder(
        pb.PutResponderRequest(responder_id="second", name="Two", channels=held.channels, etag=held.etag)
    )
    async with world.transaction() as tx:
        await world.crisis.process.database.reachable()
        (row,) = await tx.fetch("SELECT sealed FROM responder WHERE responder_id = 'second'")
    kept = world.crisis.parts.cipher.open(pb.Responder, row["sealed"], context="responder/second")
    assert kept.channels[0].webhook.secret.startswith("whsec_")


async def test_a_responder_changes_only_their_own_channels(world: World) -> None:
    await world.plan()
    second = world.staff("second").stub(OnCallServiceStub)
    held = await second.GetResponder(pb.GetResponderRequest(responder_id="second"))
    await second.PutResponder(
        pb.PutResponderRequest(responder_id="second", name="Second", channels=held.channels, etag=held.etag)
    )
    with pytest.raises(NotFound):
        await second.GetResponder(pb.GetResponderRequest(responder_id="first"))
    with pytest.raises(Denied):
        await second.ListResponders(pb.ListRespondersRequest())
    listed = await _admin(world).ListResponders(pb.ListRespondersRequest(page_size=2))
    assert len(listed.responders) == 2
    more = await _admin(world).ListResponders(pb.ListRespondersRequest(page_size=2, page_token=listed.next_page_token))
    assert {each.responder_id for each in (*listed.responders, *more.responders)} == {"first", "second", "boss"}
