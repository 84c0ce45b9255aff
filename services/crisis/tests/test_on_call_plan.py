"""Changing the on-call plan: verified channels, swaps, time off, calendars, history; what is refused, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from haven.crisis.v1 import channel_service_pb2 as channel_pb
from haven.crisis.v1 import duty_service_pb2 as duty_pb
from haven.crisis.v1 import layers_pb2, team_service_pb2
from haven.crisis.v1 import on_call_service_pb2 as pb
from haven.crisis.v1 import plan_change_service_pb2 as change_pb
from haven.crisis.v1 import swap_service_pb2 as swap_pb
from haven.crisis.v1.channel_service_pb2_grpc import ChannelServiceStub
from haven.crisis.v1.duty_service_pb2_grpc import DutyServiceStub
from haven.crisis.v1.on_call_service_pb2_grpc import OnCallServiceStub
from haven.crisis.v1.plan_change_service_pb2_grpc import PlanChangeServiceStub
from haven.crisis.v1.swap_service_pb2_grpc import SwapServiceStub
from haven.crisis.v1.team_service_pb2_grpc import TeamServiceStub

from haven_crisis.directory import Directory
from haven_dev.codes import Codes
from haven_kit import ids
from haven_kit.errors import Invalid, NotFound, Refused
from haven_kit.times import stamp

from .plan_world import DAY, HOUR, acting, stretch, turns_of
from .world import World, step


async def test_a_code_verifies_a_channel_and_a_new_address_has_to_be_verified_again(world: World) -> None:
    await world.responder("newcomer", ["second"])
    office, codes = acting(world, "newcomer", OnCallServiceStub), acting(world, "newcomer", ChannelServiceStub)
    held = await office.GetResponder(pb.GetResponderRequest(responder_id="newcomer"))
    assert all(each.HasField("verified_at") for each in held.channels)
    moved = pb.Channel(email=pb.Email(address="moved@example.org"))
    put = pb.PutResponderRequest(
        responder_id="newcomer", name="New", channels=[held.channels[0], moved], etag=held.etag
    )
    put.channels[1].verified_at.FromDatetime(world.clock.now())  # nobody says so of themselves
    saved = await office.PutResponder(put)
    assert [each.HasField("verified_at") for each in saved.channels] == [True, False]
    at = {"responder_id": "newcomer", "channel_id": saved.channels[1].channel_id}
    with pytest.raises(Refused) as none:
        await codes.VerifyChannel(channel_pb.VerifyChannelRequest(**at, code="123456"))
    assert none.value.reason == "no_code"
    assert (await codes.SendChannelCode(channel_pb.SendChannelCodeRequest(**at))).good_for_seconds == 600
    code = await Codes([], world.mail).take("moved@example.org")
    with pytest.raises(Refused) as soon:
        await codes.SendChannelCode(channel_pb.SendChannelCodeRequest(**at))
    assert soon.value.reason == "code_just_sent"
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _ in range(5):
        with pytest.raises(Refused) as other:
            await codes.VerifyChannel(channel_pb.VerifyChannelRequest(**at, code=wrong))
        assert other.value.reason == "wrong_code"
    with pytest.raises(Refused) as often:
        await codes.VerifyChannel(channel_pb.VerifyChannelRequest(**at, code=code))
    assert often.value.reason == "no_code", "five attempts are all"
    world.clock.advance(timedelta(minutes=1))
    await codes.SendChannelCode(channel_pb.SendChannelCodeRequest(**at))
    late = await Codes([], world.mail).take("moved@example.org")
    world.clock.advance(timedelta(minutes=11))
    with pytest.raises(Refused):
        await codes.VerifyChannel(channel_pb.VerifyChannelRequest(**at, code=late))
    done = await world.verify(saved)
    assert all(each.HasField("verified_at") for each in done.channels)
    async with world.transaction() as tx:
        assert not await tx.fetch("SELECT 1 FROM channel_code")
    with pytest.raises(NotFound):
        await acting(world, "second", ChannelServiceStub).SendChannelCode(channel_pb.SendChannelCodeRequest(**at))


async def test_who_has_one_verified_provider_is_not_put_on_call_and_is_paged_all_the_same(
    world: World, rotation_id: str, person_id: str
) -> None:
    office = acting(world, "admin", OnCallServiceStub)
    one = [pb.Channel(webhook=pb.Webhook(url=world.hooks["boss"].url))]
    await office.PutResponder(pb.PutResponderRequest(responder_id="single", name="Single", channels=one))
    rotation = await office.GetRotation(pb.GetRotationRequest(rotation_id=rotation_id))
    rotation.responder_ids.append("single")
    with pytest.raises(Refused) as refused:
        await office.PutRotation(pb.PutRotationRequest(rotation_id=rotation_id, rotation=rotation))
    assert "Single has no two verified channels of different providers" in refused.value.message
    held = await office.GetResponder(pb.GetResponderRequest(responder_id="first"))
    with pytest.raises(Refused) as less:
        await office.PutResponder(
            pb.PutResponderRequest(responder_id="first", name="First", channels=held.channels[:1], etag=held.etag)
        )
    assert less.value.reason == "breaks_the_plan"
    assert "Days" in less.value.message
    # As an earlier release may have left it: named among the problems, and paged.
    async with world.transaction() as tx:
        (row,) = await tx.fetch("SELECT sealed FROM responder WHERE responder_id = 'first'")
        cipher, context = world.crisis.parts.cipher, "responder/first"
        kept = cipher.open(pb.Responder, row["sealed"], context)
        for each in kept.channels:
            each.ClearField("verified_at")
        await tx.fetch("UPDATE responder SET sealed = $1 WHERE responder_id = 'first'", cipher.seal(kept, context))
        await tx.fetch("UPDATE on_call_version SET version = version + 1")
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    found = await office.GetOnCall(pb.GetOnCallRequest())
    assert any("First has no two verified channels" in each for each in found.problems)
    async with world.transaction() as tx:
        await tx.fetch("UPDATE responder SET sealed = $1 WHERE responder_id = 'first'", row["sealed"])
        await tx.fetch("UPDATE on_call_version SET version = version + 1")


async def test_a_swap_is_in_force_once_the_other_accepted(world: World, rotation_id: str) -> None:
    mine, theirs = await turns_of(world, rotation_id, "first"), await turns_of(world, rotation_id, "second")
    first, second = acting(world, "first", SwapServiceStub), acting(world, "second", SwapServiceStub)
    request = swap_pb.RequestSwapRequest(
        asked_of="second", gives=stretch(rotation_id, *mine[0]), takes=stretch(rotation_id, *theirs[1])
    )
    with pytest.raises(Refused) as not_mine:
        await first.RequestSwap(swap_pb.RequestSwapRequest(asked_of="second", gives=stretch(rotation_id, *theirs[0])))
    assert not_mine.value.reason == "not_their_duty"
    swap = await first.RequestSwap(request)
    assert swap.state == swap_pb.SWAP_STATE_REQUESTED
    assert await turns_of(world, rotation_id, "first") == mine, "nothing has changed"
    answer = swap_pb.AcceptSwapRequest(swap_id=swap.swap_id)
    with pytest.raises(NotFound):
        await first.AcceptSwap(answer)  # one's own wish is not the other's consent
    seen = (await acting(world, "admin", SwapServiceStub).ListSwaps(swap_pb.ListSwapsRequest())).swaps
    assert swap.swap_id in [each.swap_id for each in seen]
    with pytest.raises(NotFound):
        await acting(world, "admin", SwapServiceStub).AcceptSwap(answer)
    assert not (await acting(world, "boss", SwapServiceStub).ListSwaps(swap_pb.ListSwapsRequest())).swaps
    done = await second.AcceptSwap(answer)
    assert done.state == swap_pb.SWAP_STATE_ACCEPTED
    assert mine[0] not in await turns_of(world, rotation_id, "first")
    at = pb.GetOnCallRequest(at=stamp(theirs[1][0] + HOUR))
    duties = (await acting(world, "first", OnCallServiceStub).GetOnCall(at)).duties
    assert "first" in [each.responder_id for each in duties if each.rotation_id == rotation_id]
    with pytest.raises(Refused) as over:
        await second.DeclineSwap(swap_pb.DeclineSwapRequest(swap_id=swap.swap_id))
    assert over.value.reason == "answered"
    for answered, end, state in (
        (first, "WithdrawSwap", swap_pb.SWAP_STATE_WITHDRAWN),
        (second, "DeclineSwap", swap_pb.SWAP_STATE_DECLINED),
    ):
        asked = await first.RequestSwap(
            swap_pb.RequestSwapRequest(asked_of="second", gives=stretch(rotation_id, *mine[3]))
        )
        ended = await getattr(answered, end)(getattr(swap_pb, f"{end}Request")(swap_id=asked.swap_id))
        assert ended.state == state
    assert mine[3] in await turns_of(world, rotation_id, "first")


async def test_an_old_fault_keeps_nobody_from_swapping_and_overriding(world: World, rotation_id: str) -> None:
    mine, theirs = await turns_of(world, rotation_id, "first"), await turns_of(world, rotation_id, "second")
    # Time off that came in while nobody looked: `second` has it on two of their turns, and would give one of them.
    async with world.transaction() as tx:
        for starts, ends in (theirs[2], theirs[4]):
            await tx.fetch(
                """INSERT INTO time_off (time_off_id, responder_id, starts_at, ends_at, imported)
                VALUES ($1, 'second', $2, $3, TRUE)""",
                ids.new_id(),
                starts,
                ends,
            )
        await tx.fetch("UPDATE on_call_version SET version = version + 1")
    first, second = acting(world, "first", SwapServiceStub), acting(world, "second", SwapServiceStub)
    swap = await first.RequestSwap(
        swap_pb.RequestSwapRequest(
            asked_of="second", gives=stretch(rotation_id, *mine[5]), takes=stretch(rotation_id, *theirs[2])
        )
    )
    await second.AcceptSwap(swap_pb.AcceptSwapRequest(swap_id=swap.swap_id))
    office = acting(world, "admin", OnCallServiceStub)
    rotation = await office.GetRotation(pb.GetRotationRequest(rotation_id=rotation_id))
    covered = rotation.overrides.add(responder_id="first")
    covered.starts_at.FromDatetime(theirs[6][0])
    covered.ends_at.FromDatetime(theirs[6][1])
    check = duty_pb.CheckCoverageRequest(rotation=rotation)
    found = await acting(world, "admin", DutyServiceStub).CheckCoverage(check)
    assert (len(found.problems), list(found.refused)) == (1, [])
    rotation = await office.PutRotation(pb.PutRotationRequest(rotation_id=rotation_id, rotation=rotation))
    # What is new is refused as ever.
    rotation.overrides[-1].responder_id = "second"
    rotation.overrides[-1].starts_at.FromDatetime(theirs[4][0] - HOUR)
    rotation.overrides[-1].ends_at.FromDatetime(theirs[4][1])
    rotation.responder_ids[:] = ["first", "nobody-1"]
    check = duty_pb.CheckCoverageRequest(rotation=rotation)
    found = await acting(world, "admin", DutyServiceStub).CheckCoverage(check)
    with pytest.raises(Refused) as new:
        await office.PutRotation(pb.PutRotationRequest(rotation_id=rotation_id, rotation=rotation))
    assert (new.value.reason, new.value.message) == ("rotation_gap", " ".join(found.refused))
    assert "nobody-1 cannot be paged" in new.value.message
    assert "has time off" not in new.value.message
    async with world.transaction() as tx:
        await tx.fetch("DELETE FROM time_off WHERE responder_id = 'second'")
        await tx.fetch("UPDATE on_call_version SET version = version + 1")


async def test_what_is_needed_is_not_taken_out_and_what_was_changed_can_be_put_back(
    world: World, rotation_id: str
) -> None:
    office, changes = acting(world, "admin", OnCallServiceStub), acting(world, "admin", PlanChangeServiceStub)
    for refused, request in (
        (changes.DeleteResponder, change_pb.DeleteResponderRequest(responder_id="first")),
        (changes.DeleteRotation, change_pb.DeleteRotationRequest(rotation_id=world.ids["rotation"])),
        (changes.DeletePolicy, change_pb.DeletePolicyRequest(policy_id=world.ids["policy"])),
    ):
        with pytest.raises(Refused) as needed:
            await refused(request)
        assert needed.value.reason == "breaks_the_plan"
        assert needed.value.message
    rotation = await office.GetRotation(pb.GetRotationRequest(rotation_id=rotation_id))
    before = rotation.shift_days
    rotation.shift_days = 7
    await office.PutRotation(pb.PutRotationRequest(rotation_id=rotation_id, rotation=rotation))
    listed = (await changes.ListPlanChanges(change_pb.ListPlanChangesRequest())).changes
    of_this = [each for each in listed if each.part_id == rotation_id]
    assert [each.changed_by for each in of_this[:2]] == ["admin", "admin"]
    await changes.RestorePlanVersion(change_pb.RestorePlanVersionRequest(change_id=of_this[1].change_id))
    back = await office.GetRotation(pb.GetRotationRequest(rotation_id=rotation_id))
    assert back.shift_days == before
    gone = await changes.DeleteRotation(change_pb.DeleteRotationRequest(rotation_id=rotation_id))
    assert gone.deleted
    with pytest.raises(NotFound):
        await office.GetRotation(pb.GetRotationRequest(rotation_id=rotation_id))
    put_back = await changes.RestorePlanVersion(change_pb.RestorePlanVersionRequest(change_id=gone.change_id))
    assert (put_back.reason, put_back.part_id) == ("put back", rotation_id)
    await office.GetRotation(pb.GetRotationRequest(rotation_id=rotation_id))
    one = await changes.ListPlanChanges(change_pb.ListPlanChangesRequest(page_size=1))
    two = await changes.ListPlanChanges(change_pb.ListPlanChangesRequest(page_size=1, page_token=one.next_page_token))
    assert one.changes[0].change_id > two.changes[0].change_id


async def test_a_rotation_of_layers_with_a_shadow_and_a_team(world: World, rotation_id: str) -> None:
    office, teams = acting(world, "admin", OnCallServiceStub), acting(world, "admin", TeamServiceStub)
    team_id, key = ids.new_id(), ids.new_id()
    team = team_service_pb2.Team(name="West", responder_ids=["first"])
    await teams.PutTeam(team_service_pb2.PutTeamRequest(team_id=team_id, team=team))
    common = {"time_zone": "America/New_York", "hand_over": "08:00", "first_day": "2026-01-01"}
    layers = [
        layers_pb2.Layer(name="base", responder_ids=["first"], turn_days=7, **common),
        layers_pb2.Layer(
            name="nights",
            responder_ids=["second"],
            turn_hours=12,
            windows=[layers_pb2.Window(starts="20:00", ends="08:00")],
            **common,
        ),
    ]
    now = world.clock.now()
    shadow = layers_pb2.Shadow(responder_id="boss", starts_at=stamp(now), ends_at=stamp(now + DAY))
    rotation = pb.Rotation(name="Layers", layers=layers, shadows=[shadow], team_id=team_id)
    with pytest.raises(Refused) as stranger:
        await office.PutRotation(pb.PutRotationRequest(rotation_id=key, rotation=rotation))
    assert "Second is not in West" in stranger.value.message
    team.responder_ids.append("second")
    held = await teams.GetTeam(team_service_pb2.GetTeamRequest(team_id=team_id))
    team.etag = held.etag
    await teams.PutTeam(team_service_pb2.PutTeamRequest(team_id=team_id, team=team))
    await office.PutRotation(pb.PutRotationRequest(rotation_id=key, rotation=rotation))
    noon = now.replace(hour=17)
    for at, who, name in ((noon, "first", "base"), (noon + timedelta(hours=10), "second", "nights")):
        found = await office.GetOnCall(pb.GetOnCallRequest(at=stamp(at)))
        (duty,) = [each for each in found.duties if each.rotation_id == key]
        assert (duty.responder_id, duty.layer, list(duty.shadow_ids)) == (who, name, ["boss"])
    with pytest.raises(Refused):
        await acting(world, "admin", PlanChangeServiceStub).DeleteTeam(change_pb.DeleteTeamRequest(team_id=team_id))
    duties = acting(world, "first", DutyServiceStub)
    checked = await duties.CheckCoverage(duty_pb.CheckCoverageRequest(rotation_id=key))
    assert not checked.gaps
    rotation.layers.pop(0)
    draft = await duties.CheckCoverage(duty_pb.CheckCoverageRequest(rotation=rotation))
    assert len(draft.gaps) >= 89
    assert draft.problems
    both = pb.Rotation(name="Both", responder_ids=["first"], layers=layers)
    with pytest.raises(Invalid) as form:
        await office.PutRotation(pb.PutRotationRequest(rotation_id=ids.new_id(), rotation=both))
    assert form.value.violations[0].field == "rotation.layers"
    await acting(world, "admin", PlanChangeServiceStub).DeleteRotation(change_pb.DeleteRotationRequest(rotation_id=key))


async def test_the_calendar_is_paged_and_bounded(world: World, rotation_id: str) -> None:
    duties, now = acting(world, "first", DutyServiceStub), world.clock.now()
    request = duty_pb.ListDutiesRequest(starts_at=stamp(now), ends_at=stamp(now + 9 * DAY), rotation_id=rotation_id)
    everything = (await duties.ListDuties(request)).duties
    request.page_size = 4
    paged: list[Any] = []
    while True:
        page = await duties.ListDuties(request)
        paged += page.duties
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert paged == list(everything)
    assert len(paged) >= 9
    with pytest.raises(Invalid):
        await duties.ListDuties(
            duty_pb.ListDutiesRequest(starts_at=stamp(now), ends_at=stamp(now + 101 * DAY), rotation_id=rotation_id)
        )


async def test_a_policy_is_simulated_before_it_is_saved(world: World, rotation_id: str) -> None:
    policy = pb.Policy(
        name="Draft",
        steps=[step(pb.Target(rotation_id=world.ids["rotation"])), step(pb.Target(responder_id="second"))],
        repeats=1,
        last_resort=step(pb.Target(responder_id="boss")),
    )
    office = acting(world, "admin", DutyServiceStub)
    told = await office.SimulatePolicy(duty_pb.SimulatePolicyRequest(policy=policy))
    assert not told.problems
    rows = [(each.after.seconds, each.step, each.responder_name, each.channel) for each in told.pages]
    assert rows[:4] == [
        (0, "Step 1", "First", "webhook"),
        (60, "Step 2", "Second", "webhook"),
        (120, "Step 1, again", "First", "webhook"),
        (180, "Step 2, again", "Second", "webhook"),
    ]
    assert {row[1] for row in rows[4:]} == {"Last resort"}
    assert "last-resort" in {each.responder_id for each in told.pages}
    worst = await office.SimulatePolicy(duty_pb.SimulatePolicyRequest(policy=policy, severity=3))
    assert [each.channel for each in worst.pages if not each.after.seconds] == ["webhook", "email"]
    policy.steps[0].targets[0].rotation_id = ids.new_id()
    assert (await office.SimulatePolicy(duty_pb.SimulatePolicyRequest(policy=policy))).problems
    listed = await acting(world, "admin", OnCallServiceStub).ListPolicies(pb.ListPoliciesRequest())
    assert "Draft" not in [each.name for each in listed.policies]


async def test_the_copy_is_kept_and_taken_up_without_a_database(world: World, rotation_id: str) -> None:
    directory = world.crisis.process.service.apis[0].implementation._desk.directory
    async with world.transaction() as tx:
        await directory.read(tx)
    other = Directory(world.crisis.parts.cipher, world.crisis.process.settings)
    other.restore(directory.snapshot(), world.clock.now())
    assert other.book == directory.book
    assert other.version == directory.version
    assert other.channels("first") == directory.channels("first")
    with pytest.raises(ValueError, match="snapshot"):
        Directory(world.crisis.parts.cipher, world.crisis.process.settings).restore(b"{}", world.clock.now())
