"""Who may open an alert, and until when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from haven.crisis.v1 import alert_service_pb2 as pb
from haven.crisis.v1 import alerts_pb2
from haven.crisis.v1 import break_glass_service_pb2 as glass_pb
from haven.crisis.v1 import follow_up_service_pb2 as follow_up_pb
from haven.crisis.v1 import review_service_pb2 as review_pb
from haven.crisis.v1.alert_service_pb2_grpc import AlertServiceStub
from haven.crisis.v1.break_glass_service_pb2_grpc import BreakGlassServiceStub
from haven.crisis.v1.follow_up_service_pb2_grpc import FollowUpServiceStub
from haven.crisis.v1.review_service_pb2_grpc import ReviewServiceStub

from haven_kit.errors import NotFound

from .world import WAIT, World, care_team

SIGNER, THERAPIST = "signer-1", "therapist-1"
ROLES = {SIGNER: "prescriber", THERAPIST: "individual_therapist"}
Opens = Callable[[str, str], Awaitable[bool]]


@pytest.fixture
def opens(world: World) -> Opens:
    """Whether somebody may open an alert, by each way that there is; all of them say the same."""

    async def so(name: str, alert_id: str) -> bool:
        desk = world.staff(name, ROLES.get(name, "on_call_responder")).stub(AlertServiceStub)
        answers = set()
        for ask in (
            lambda: desk.GetAlert(pb.GetAlertRequest(alert_id=alert_id)),
            lambda: desk.GetAlertTimeline(pb.GetAlertTimelineRequest(alert_id=alert_id)),
            lambda: desk.GetResponderView(pb.GetResponderViewRequest(alert_id=alert_id)),
            lambda: desk.ListPages(pb.ListPagesRequest(alert_id=alert_id)),
        ):
            try:
                await ask()
                answers.add(True)
            except NotFound:
                answers.add(False)
        (same,) = answers
        return same

    return so


async def listed(world: World, name: str, person_id: str) -> list[str]:
    ask = pb.ListAlertsRequest(person_id=person_id, include_closed=True)
    return [each.alert_id for each in (await world.alerts(name).ListAlerts(ask)).alerts]


async def test_an_alert_opens_to_whom_it_paged_until_nothing_is_due(world: World, person_id: str, opens: Opens) -> None:
    await world.plan()
    alert_id = (await world.signal(person_id)).alert_id
    async with world.transaction() as tx:
        await care_team(tx, person_id, THERAPIST)
    await world.later(WAIT + timedelta(seconds=1))
    await world.paged("second", alert_id)
    second = world.alerts("second")
    await second.AcknowledgeAlert(pb.AcknowledgeAlertRequest(alert_id=alert_id))
    await world.later(WAIT * 6)  # `second` loses it again, and everybody on the way is paged
    await world.later(WAIT + timedelta(seconds=1))
    await world.later(WAIT + timedelta(seconds=1))
    await world.paged("boss", alert_id)
    await second.RecordContact(pb.RecordContactRequest(alert_id=alert_id, reached=True, way="video"))
    close = pb.CloseAlertRequest(
        alert_id=alert_id,
        disposition=alerts_pb2.DISPOSITION_SUPPORTED,
        risk_level=alerts_pb2.RISK_LEVEL_LOW,
        nobody_told=True,
        note="we talked it through",
        co_signer_id=SIGNER,
    )
    close.follow_up_due_at.FromDatetime(world.clock.now() + timedelta(hours=20))
    closed = await second.CloseAlert(close)
    everybody = {"first": True, "second": True, "boss": True, SIGNER: True, THERAPIST: True, "outsider": False}

    async def by_all() -> dict[str, bool]:
        return {name: await opens(name, alert_id) for name in everybody}

    done = (
        lambda: (
            world.staff(SIGNER, ROLES[SIGNER])
            .stub(ReviewServiceStub)
            .CoSign(review_pb.CoSignRequest(alert_id=alert_id))
        ),
        lambda: (
            world.staff("second")
            .stub(ReviewServiceStub)
            .RecordDebrief(review_pb.RecordDebriefRequest(alert_id=alert_id, debrief=_debrief()))
        ),
        lambda: (
            world.staff("second")
            .stub(FollowUpServiceStub)
            .RecordFollowUp(
                follow_up_pb.RecordFollowUpRequest(
                    follow_up_id=closed.follow_up_id, reached=True, risk_level=alerts_pb2.RISK_LEVEL_LOW, note="well"
                )
            )
        ),
    )
    for each in done:
        assert await by_all() == everybody
        assert await listed(world, "boss", person_id) == [alert_id]
        await each()
    # Duty and care team open it still.
    assert await by_all() == everybody | {"second": False, "boss": False, SIGNER: False}
    for name in ("second", "boss"):
        assert await listed(world, name, person_id) == []
        reviews = review_pb.ListReviewsRequest(include_done=True, page_size=200)
        shown = (await world.staff(name).stub(ReviewServiceStub).ListReviews(reviews)).reviews
        assert not [each for each in shown if each.alert_id == alert_id and each.asked_of != name]
    assert await listed(world, "first", person_id) == [alert_id]
    await (
        world.staff("boss")
        .stub(BreakGlassServiceStub)
        .BreakGlass(glass_pb.BreakGlassRequest(alert_id=alert_id, reason="the person is on the phone with me"))
    )
    assert await opens("boss", alert_id)


def _debrief() -> alerts_pb2.Debrief:
    return alerts_pb2.Debrief(
        went_well="the sister was reached",
        to_change="the plan was old",
        support_offered="peer call",
        took_part=["second"],
    )
