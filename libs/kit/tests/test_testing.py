"""The test surroundings themselves: services run on them, and events travel between services once."""

from typing import Any

import pytest
from haven.intake.v1 import events_pb2 as intake

from haven_kit import contract, ids
from haven_kit.clock import FakeClock
from haven_kit.database import Tx
from haven_kit.identity import system
from haven_kit.reactions import Reaction
from haven_kit.service import Parts, Service, Spec
from haven_kit.settings import Settings
from haven_kit.testing import eventually

seen: list[str] = []


async def noted(tx: Tx, event: intake.PersonAdmitted) -> None:
    seen.append(event.person_id)


def silent(_: Parts[Any]) -> Service:
    return Service(apis=[])


def listening(_: Parts[Any]) -> Service:
    return Service(apis=[], reactions=[Reaction(intake.PersonAdmitted, noted)])


TELLS = Spec(name="intake", settings=Settings, build=silent)
HEARS = Spec(name="scheduling", settings=Settings, build=listening)


async def test_an_event_travels_through_nats_and_outlives_its_absence(serve: Any, nats_server: Any) -> None:
    tells, hears = await serve(TELLS), await serve(HEARS)
    first, second, third = ids.new_id(), ids.new_id(), ids.new_id()

    async def tell(person_id: str) -> None:
        async with tells.process.database.transaction(system("test")) as tx:
            tx.emit(intake.PersonAdmitted(person_id=person_id), key=person_id)

    await tell(first)
    await eventually(lambda: seen == [first])
    await nats_server.stop()
    await tell(second)
    await nats_server.start()
    await eventually(lambda: seen == [first, second], timeout=30)
    await tells.all_published()
    event_id = await hears.react(intake.PersonAdmitted(person_id=third))
    await hears.react(intake.PersonAdmitted(person_id=third), event_id=event_id)
    assert seen == [first, second, third]
    assert [event.person_id for event in await tells.told(intake.PersonAdmitted)] == [first, second]


async def test_a_module_keeps_its_database_over_a_restart(serve: Any, database: Any) -> None:
    running = await serve(TELLS, clock=FakeClock())
    person_id = ids.new_id()
    async with (await database("intake")).transaction(system("test")) as tx:
        tx.emit(intake.PersonAdmitted(person_id=person_id), key=person_id)
    await running.stop()
    running = await serve(TELLS)
    assert person_id in [event.person_id for event in await running.told(intake.PersonAdmitted)]


async def test_eventually_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match="not so after"):
        await eventually(lambda: 0, timeout=0.05)


def test_every_service_has_a_contract_to_serve() -> None:
    assert set(contract.SERVICES) == {"intake", "scheduling", "sessions", "crisis", "billing"}
