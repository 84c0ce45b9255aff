"""Where signals come from beside people who call: what other services tell of."""

from __future__ import annotations

from typing import Any

import pytest
from haven.crisis.v1 import alerts_pb2 as pb
from haven.crisis.v1 import signals_pb2
from haven.intake.v1 import events_pb2 as intake

from haven_kit import ids

from .world import World


async def opened(world: World, person_id: str) -> pb.Alert | None:
    """The person's open alert."""
    from haven.crisis.v1.alert_service_pb2 import ListAlertsRequest

    found = (await world.alerts().ListAlerts(ListAlertsRequest(person_id=person_id))).alerts
    return found[0] if found else None


def at_now(world: World, event: Any) -> Any:
    event.raised_at.FromDatetime(world.clock.now())
    return event


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        ("", pb.SEVERITY_HIGH),
        ("high", pb.SEVERITY_HIGH),
        ("immediate", pb.SEVERITY_IMMEDIATE),
        ("a word of a later release", pb.SEVERITY_HIGH),
    ],
)
async def test_a_screening_is_as_severe_as_intake_says(
    world: World, person_id: str, level: str, severity: pb.Severity.ValueType
) -> None:
    await world.plan()
    signal_id = ids.new_id()
    event = intake.ConcernRaised(signal_id=signal_id, person_id=person_id, screening_id=ids.new_id(), level=level)
    await world.crisis.react(at_now(world, event), key=person_id)
    alert = await opened(world, person_id)
    assert alert is not None
    assert alert.severity == severity
    # The other road of the same signal changes nothing.
    call = {"signal_id": signal_id, "source": signals_pb2.SIGNAL_SOURCE_SCREENING}
    again = await world.signal(person_id, world.crisis.as_service("intake"), **call)
    assert again.alert_id == alert.alert_id
    assert (await world.alert(alert.alert_id)).severity == severity
    await world.replays(alert.alert_id)


async def test_days_that_became_worse_need_a_human_today(world: World, person_id: str) -> None:
    await world.plan()
    event = intake.CheckInTrendNoticed(signal_id=ids.new_id(), person_id=person_id, rule_id="check-in-trend/1")
    await world.crisis.react(at_now(world, event), key=person_id)
    alert = await opened(world, person_id)
    assert alert is not None
    assert alert.severity == pb.SEVERITY_ELEVATED
    await world.paged("first", alert.alert_id)


async def test_only_staff_and_services_judge_how_severe_a_call_is(world: World, person_id: str) -> None:
    await world.plan()
    immediate = {"level": signals_pb2.SIGNAL_LEVEL_IMMEDIATE}
    raised = await world.signal(person_id, **immediate)
    assert (await world.alert(raised.alert_id)).severity == pb.SEVERITY_HIGH
    facilitator = world.staff("facilitator", "facilitator")
    source = signals_pb2.SIGNAL_SOURCE_FACILITATOR
    again = await world.signal(person_id, facilitator, **immediate, source=source)
    assert again.alert_id == raised.alert_id
    assert (await world.alert(raised.alert_id)).severity == pb.SEVERITY_IMMEDIATE
    odd = await world.signal(ids.new_id(), facilitator, level=77, source=source)
    assert (await world.alert(odd.alert_id)).severity == pb.SEVERITY_HIGH
