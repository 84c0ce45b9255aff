"""Emergency access: what it opens, who is told of it, and its review."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import alerts_pb2, events_pb2
from haven.crisis.v1 import break_glass_service_pb2 as glass_pb
from haven.crisis.v1.break_glass_service_pb2_grpc import BreakGlassServiceStub

from haven_crisis import facts, texts
from haven_crisis.store import break_glass, pages
from haven_kit.errors import NotFound, Refused
from haven_kit.testing import eventually

from .world import World, body_of, measured


async def test_break_glass_opens_is_loud_and_is_reviewed(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    outsider = world.staff("outsider", "individual_therapist")
    ask = alert_pb.GetResponderViewRequest(alert_id=raised.alert_id)
    with pytest.raises(NotFound):
        await world.alerts("outsider").GetResponderView(ask)
    reason = "The person is on the phone with me now"
    used = await outsider.stub(BreakGlassServiceStub).BreakGlass(
        glass_pb.BreakGlassRequest(alert_id=raised.alert_id, reason=reason)
    )
    view = await world.alerts("outsider").GetResponderView(ask)
    assert alerts_pb2.ENTRY_KIND_BREAK_GLASS in {each.kind for each in view.timeline}
    async with world.transaction() as tx:
        marked = await tx.fetch(
            """SELECT action FROM audit_entry WHERE person_id = $1 AND principal_id = 'outsider' AND break_glass""",
            person_id,
        )
    assert {each["action"].rpartition("/")[2] for each in marked} == {"BreakGlass", "GetResponderView"}
    admin = world.staff("admin", "administrator").stub(BreakGlassServiceStub)
    listed = (await admin.ListBreakGlassUses(glass_pb.ListBreakGlassUsesRequest(unreviewed=True))).uses
    assert listed[0].reason == reason
    review = glass_pb.ReviewBreakGlassRequest(break_glass_id=used.break_glass_id, justified=True, note="plausible")
    reviewed = await admin.ReviewBreakGlass(review)
    assert reviewed.reviewed_by == "admin"
    assert reviewed.reason == reason
    with pytest.raises(Refused):
        await admin.ReviewBreakGlass(review)
    world.clock.advance(timedelta(hours=1, seconds=1))
    with pytest.raises(NotFound):
        await world.alerts("outsider").GetResponderView(ask)


async def test_nobody_reviews_their_own_emergency_access(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    both = world.crisis.as_role("administrator", "on_call_responder", sub="boss-2").stub(BreakGlassServiceStub)
    used = await both.BreakGlass(glass_pb.BreakGlassRequest(alert_id=raised.alert_id, reason="nobody else is here"))
    with pytest.raises(Refused):
        await both.ReviewBreakGlass(
            glass_pb.ReviewBreakGlassRequest(break_glass_id=used.break_glass_id, justified=True, note="mine")
        )


async def test_emergency_access_is_loud_and_a_review_that_is_late_is_found(world: World, person_id: str) -> None:
    await world.plan()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    outsider = world.staff("outsider", "individual_therapist").stub(BreakGlassServiceStub)
    used = await outsider.BreakGlass(
        glass_pb.BreakGlassRequest(alert_id=raised.alert_id, reason="the person is on the phone with me")
    )
    await eventually(lambda: _notices(world, used.break_glass_id))  # `boss` watches over privacy, by the settings
    (told,) = [each for each in await world.crisis.told(events_pb2.BreakGlassUsed) if each.alert_id == raised.alert_id]
    assert (told.principal_id, told.break_glass_id) == ("outsider", used.break_glass_id)
    assert told.review_due_at == used.review_due_at
    world.clock.advance(facts.closing_rules().break_glass_within)
    for _ in range(2):
        await world.step("reviews")
    late = [each for each in await world.crisis.told(events_pb2.ReviewLate) if each.alert_id == raised.alert_id]
    assert [each.kind for each in late] == ["break_glass"]


@pytest.mark.parametrize("closed", [False, True])
async def test_the_privacy_reviewer_is_told_and_has_nothing_to_take(world: World, person_id: str, closed: bool) -> None:
    if closed:
        alert_id = await _closed(world, person_id)
    else:
        await world.plan()
        alert_id = (await world.signal(person_id)).alert_id
    before = len(world.pages("boss", alert_id))
    used = await _opened(world, alert_id)
    await eventually(lambda: _notices(world, used.break_glass_id))
    (notice,) = _notices(world, used.break_glass_id)
    assert notice["title"] == texts.glass_broken_title(drill=False)
    assert notice["link"] == "https://crisis.example/console/#/reviews"
    assert (notice["alert_id"], notice["drill"], notice["resent"]) == ("", False, False)
    assert any(texts.glass_broken_title(drill=False) == each.message["Subject"] for each in world.mail.received)
    async with world.transaction() as tx:
        assert not await pages.was_paged(tx, alert_id, "boss")
    assert len(world.pages("boss", alert_id)) == before
    with pytest.raises(NotFound):
        await world.alerts("boss").AcknowledgeAlert(alert_pb.AcknowledgeAlertRequest(alert_id=alert_id))
    world.clock.advance(timedelta(hours=2))
    await world.step("break-glass")
    assert len(_notices(world, used.break_glass_id)) == 1


async def test_the_reviewer_is_told_again_until_a_provider_takes_it(world: World, person_id: str) -> None:
    used = await _opened_and_nobody_told(world, person_id)
    await world.step("break-glass")
    assert len(_notices(world, used.break_glass_id)) == 1  # not before its time
    world.mail.reply, world.hooks["boss"].status = None, 204
    taken = _told("accepted")
    world.clock.advance(break_glass.AGAIN_AFTER)
    await world.step("break-glass")
    await eventually(lambda: _told("accepted") == taken + 1)
    assert [each["resent"] for each in _notices(world, used.break_glass_id)] == [False, True]


async def test_of_what_is_reviewed_nobody_is_told_again(world: World, person_id: str) -> None:
    used = await _opened_and_nobody_told(world, person_id)
    world.mail.reply, world.hooks["boss"].status = None, 204
    admin = world.staff("admin", "administrator").stub(BreakGlassServiceStub)
    review = glass_pb.ReviewBreakGlassRequest(break_glass_id=used.break_glass_id, justified=True, note="plausible")
    await admin.ReviewBreakGlass(review)
    world.clock.advance(timedelta(hours=2))
    await world.step("break-glass")
    assert len(_notices(world, used.break_glass_id)) == 1


def _notices(world: World, break_glass_id: str) -> list[dict[str, Any]]:
    """What the privacy reviewer was told of a use."""
    return [told for told in map(body_of, world.hooks["boss"].received) if told["page_id"] == break_glass_id]


async def _opened(world: World, alert_id: str) -> glass_pb.BreakGlassUse:
    outsider = world.staff("outsider", "individual_therapist").stub(BreakGlassServiceStub)
    reason = "the person is on the phone with me"
    used: glass_pb.BreakGlassUse = await outsider.BreakGlass(
        glass_pb.BreakGlassRequest(alert_id=alert_id, reason=reason)
    )
    return used


async def _opened_and_nobody_told(world: World, person_id: str) -> glass_pb.BreakGlassUse:
    """An access of which no provider has taken the notice."""
    await world.plan()
    raised = await world.signal(person_id)
    world.mail.reply, world.hooks["boss"].status = "554 no", 500
    failed = _told("failed")
    used = await _opened(world, raised.alert_id)
    await eventually(lambda: _told("failed") == failed + 1)
    return used


async def _closed(world: World, person_id: str) -> str:
    """An alert that is over, with what `first` had to say."""
    await world.plan()
    alert_id = (await world.signal(person_id)).alert_id
    desk = world.alerts("first")
    await desk.RecordContact(alert_pb.RecordContactRequest(alert_id=alert_id, reached=True, way="video"))
    close = alert_pb.CloseAlertRequest(
        alert_id=alert_id,
        disposition=alerts_pb2.DISPOSITION_SUPPORTED,
        risk_level=alerts_pb2.RISK_LEVEL_LOW,
        nobody_told=True,
        note="we talked it through",
    )
    close.follow_up_due_at.FromDatetime(world.clock.now() + timedelta(hours=20))
    await desk.CloseAlert(close)
    return alert_id


def _told(outcome: str) -> float:
    return measured("haven_crisis_break_glass_told_total", outcome=outcome)
