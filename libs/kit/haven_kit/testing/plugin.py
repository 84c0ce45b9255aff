"""The pytest plugin of every Haven test: real servers, one database and one NATS a module, services, callers, time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from haven_kit.clock import FakeClock
    from haven_kit.database import Database
    from haven_kit.testing.module import Module
    from haven_kit.testing.running import Running
    from haven_kit.testing.servers import Road, Shared

_STARTED = pytest.StashKey[tuple[Any, Callable[[], Coroutine[Any, Any, None]]]]()
_INPUT = "haven_shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the servers come from."""
    parser.addoption("--containers", action="store_true", help="run PostgreSQL and NATS in containers, not embedded")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    config.addinivalue_line("markers", "capability(id): the test proves this capability of the programs")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where the servers are; they belong to the process that controls the workers."""
    node.workerinput[_INPUT] = json.dumps(_start(node.config).as_dict())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    if _STARTED in config.stash:
        asyncio.run(config.stash[_STARTED][1]())
        del config.stash[_STARTED]


def _start(config: pytest.Config) -> Shared:
    from haven_kit.testing.servers import start_session

    if _STARTED not in config.stash:
        config.stash[_STARTED] = asyncio.run(start_session(config.getoption("--containers")))
    shared: Shared = config.stash[_STARTED][0]
    return shared


@pytest.fixture(scope="session")
def shared_servers(request: pytest.FixtureRequest) -> Shared:
    """PostgreSQL, certificates and keys of the whole session."""
    from haven_kit.testing.servers import Shared

    given = getattr(request.config, "workerinput", {}).get(_INPUT)
    if given is not None:
        return Shared(**json.loads(given))
    return _start(request.config)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def haven(request: pytest.FixtureRequest, shared_servers: Shared) -> AsyncIterator[Module]:
    """All that this module's services run on. Its parts have fixtures of their own: `serve`, `database`, `nats`."""
    from haven_kit.testing.module import Module

    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    module = Module(shared_servers, f"{worker}-{Path(str(request.path)).stem}")
    await module.start()
    yield module
    await module.stop()


@pytest.fixture(scope="module")
def serve(haven: Module) -> Callable[..., Awaitable[Running]]:
    """`await serve(SPEC, clock=…, targets=…, **settings)` runs a service in this process until the module ends."""
    return haven.serve


@pytest.fixture(scope="module")
def database(haven: Module) -> Callable[..., Awaitable[Database]]:
    """`await database("intake")` is this module's own, migrated database of that service."""
    return haven.database


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nats_server(haven: Module) -> Road:
    """This module's NATS, to stop and start."""
    return await haven.nats()


@pytest.fixture
def clock() -> FakeClock:
    """A clock to turn by hand. It stands at Monday 2026-01-05 09:00 UTC."""
    from haven_kit.clock import FakeClock

    return FakeClock()
