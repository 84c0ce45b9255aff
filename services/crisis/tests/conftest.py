"""Fixtures of the crisis service's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from haven.crisis.v1 import integration_service_pb2 as pb

from haven_crisis.__main__ import SPEC
from haven_dev.providers import Alertmanager, PagerDuty, PushService, Twilio
from haven_dev.receivers import SmtpReceiver, WebhookReceiver
from haven_kit.clock import FakeClock
from haven_kit.testing.proxy import Proxy
from haven_kit.testing.running import Running
from haven_kit.testing.servers import Road

from .keeping_world import Trouble
from .paging_world import URL, Phones
from .plan_world import days
from .systems_world import System, admin
from .world import World


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(serve: Callable[..., Awaitable[Any]]) -> AsyncIterator[World]:
    """A crisis service with a clock that the test turns, and receivers for first, second, boss and the last resort."""
    hooks = {name: WebhookReceiver() for name in ("first", "second", "boss", "last")}
    mail = SmtpReceiver()
    for hook in hooks.values():
        await hook.start()
    await mail.start()
    clock = FakeClock()
    crisis = await serve(
        SPEC,
        clock=clock,
        crisis_last_resort_webhook=hooks["last"].url,
        smtp_port=mail.port,
        crisis_url="https://crisis.example",
        crisis_privacy_reviewer="boss",
    )
    yield World(crisis, clock, hooks, mail)
    for hook in hooks.values():
        await hook.stop()
    await mail.stop()


@pytest_asyncio.fixture
async def system(world: World) -> AsyncIterator[System]:
    """A system that is registered, and a plan of who is on call."""
    await world.plan()
    async with aiohttp.ClientSession() as http:
        yield System(world, http, await admin(world).CreateSystem(pb.CreateSystemRequest(name="Night sensor")))


@pytest.fixture
def person_id() -> str:
    """Somebody new."""
    from haven_kit import ids

    return ids.new_id()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def phones(haven: Any, serve: Callable[..., Awaitable[Any]]) -> AsyncIterator[Phones]:
    """A crisis service whose responders are paged by the doubles of real providers."""
    twilio, pager_duty, alertmanager, push = Twilio(automatic=False), PagerDuty(), Alertmanager(), PushService()
    last = WebhookReceiver()
    servers = (twilio, pager_duty, alertmanager, push, last)
    for each in servers:
        await each.start()
    clock = FakeClock()
    database = Proxy(await haven.database_url("crisis"))
    await database.start()
    crisis = await serve(
        SPEC,
        clock=clock,
        database_url=database.url,
        crisis_url=URL,
        crisis_last_resort_webhook=last.url,
        twilio_url=twilio.url,
        twilio_account_sid=twilio.account_sid,
        twilio_auth_token=twilio.auth_token,
        twilio_from=twilio.number,
        pager_duty_url=pager_duty.url,
    )
    world = World(crisis, clock, {"last": last}, SmtpReceiver())
    made = Phones(world, twilio, pager_duty, alertmanager, push, database)
    twilio.reach_for, twilio.reach_by = URL, made.edge
    twilio.message_url = f"{URL}/callbacks/twilio/message"
    yield made
    for each in servers:
        await each.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trouble(
    haven: Any,
    serve: Callable[..., Awaitable[Running]],
    nats_server: Road,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Trouble]:
    """A crisis service whose database and NATS can be taken away."""
    hooks = {name: WebhookReceiver() for name in ("first", "second", "boss", "last")}
    mail = SmtpReceiver()
    for each in (*hooks.values(), mail):
        await each.start()
    clock = FakeClock()
    database = Proxy(await haven.database_url("crisis"))
    await database.start()
    journal = tmp_path_factory.mktemp("journal")
    settings = {
        "clock": clock,
        "database_url": database.url,
        "crisis_last_resort_webhook": hooks["last"].url,
        "smtp_port": mail.port,
        "crisis_journal_dir": journal,
    }
    crisis = await serve(SPEC, **settings)
    world = World(crisis, clock, hooks, mail)
    await world.plan()
    made = Trouble(world, database, nats_server, serve, settings, journal)
    await made.on_call_is_known()
    yield made
    for each in (*hooks.values(), mail):
        await each.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def rotation_id(world: World) -> str:
    """Days that `first` and `second` have in turn, beside the plan; `first` has the first one of each two."""
    return await days(world)
