"""What is measured: each leg from a call for help to contact, by severity, drills apart, and the page that waits."""

from __future__ import annotations

from datetime import timedelta

import pytest_asyncio
from haven.crisis.v1 import alert_service_pb2 as alert_pb
from haven.crisis.v1 import signals_pb2

from haven_kit.testing import eventually

from .world import World, measured


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def planned(world: World) -> None:
    await world.plan()


async def test_each_leg_is_measured_by_severity_and_drills_apart(world: World, person_id: str) -> None:
    labels = {"severity": "high", "drill": "no"}
    names = ("haven_crisis_signal_to_durable_seconds_count", "haven_crisis_alert_to_page_seconds_count")

    def counts(**labels: str) -> list[float]:
        return [measured(names[0], road="database", **labels), measured(names[1], **labels)]

    before, drills_before = counts(**labels), counts(**(labels | {"drill": "yes"}))
    total, good = measured("haven_crisis_first_page_total"), measured("haven_crisis_first_page_in_time_total")
    raised = await world.signal(person_id)
    await eventually(lambda: counts(**labels) == [each + 1 for each in before])
    assert counts(**(labels | {"drill": "yes"})) == drills_before
    assert measured("haven_crisis_first_page_total") == total + 1
    assert measured("haven_crisis_first_page_in_time_total") == good + 1
    assert measured("haven_crisis_signals_in_flight") == 0
    drill = await world.signal(person_id, world.staff("first"), source=signals_pb2.SIGNAL_SOURCE_DRILL)
    await eventually(lambda: counts(**(labels | {"drill": "yes"})) == [each + 1 for each in drills_before])
    assert drill.alert_id != raised.alert_id
    assert measured("haven_crisis_first_page_total") == total + 1


async def test_answering_and_contact_are_measured(world: World, person_id: str) -> None:
    names = ("haven_crisis_alert_to_acknowledged_seconds_count", "haven_crisis_alert_to_contact_seconds_count")

    def counts() -> list[float]:
        return [measured(name, severity="high", drill="no") for name in names]

    before = counts()
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    first = world.alerts("first")
    for _ in range(2):
        await first.AcknowledgeAlert(alert_pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    assert counts() == [before[0] + 1, before[1]]
    for _ in range(2):
        await first.RecordContact(alert_pb.RecordContactRequest(alert_id=raised.alert_id, reached=True, way="phone"))
    assert counts() == [before[0] + 1, before[1] + 1], "the first contact counts"


async def test_a_call_after_help_had_come_is_measured_from_that_call(world: World, person_id: str) -> None:
    name = "haven_crisis_alert_to_acknowledged_seconds"
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    first = world.alerts("first")
    await first.AcknowledgeAlert(alert_pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    await first.RecordContact(alert_pb.RecordContactRequest(alert_id=raised.alert_id, reached=True, way="phone"))
    world.clock.advance(timedelta(seconds=200))
    total, good = measured("haven_crisis_first_page_total"), measured("haven_crisis_first_page_in_time_total")
    took = measured(f"{name}_sum", severity="high", drill="no")
    again = await world.signal(person_id)
    assert again.alert_id == raised.alert_id
    await eventually(lambda: measured("haven_crisis_first_page_in_time_total") == good + 1)
    assert measured("haven_crisis_first_page_total") == total + 1
    await first.AcknowledgeAlert(alert_pb.AcknowledgeAlertRequest(alert_id=raised.alert_id))
    assert measured(f"{name}_sum", severity="high", drill="no") - took < 200


async def test_the_page_that_waits_longest_is_measured(world: World, person_id: str) -> None:
    raised = await world.signal(person_id)
    await world.paged("first", raised.alert_id)
    async with world.transaction() as holding:
        # While the alert is held, no replica claims its pages.
        await holding.fetch("SELECT 1 FROM alert WHERE alert_id = $1 FOR NO KEY UPDATE", raised.alert_id)
        async with world.transaction() as tx:
            await tx.fetch(
                """INSERT INTO page (page_id, alert_id, cycle, stage, responder_id, place, channel, attempt, state,
                resent, due_at, worker, traceparent, created_at, failure)
                VALUES (gen_random_uuid(), $1, 0, 0, 'nobody', 0, 'webhook', 9, 1, FALSE, $2, '', '', $2, '')""",
                raised.alert_id,
                world.clock.now() - timedelta(seconds=70),
            )
        await world.step("gauges")
        assert 70 <= measured("haven_crisis_oldest_page_seconds") < 80

    async def gone() -> bool:
        await world.step("gauges")
        return measured("haven_crisis_oldest_page_seconds") == 0

    await eventually(gone)
