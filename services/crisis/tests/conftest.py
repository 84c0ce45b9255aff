"""Fixtures of the crisis service's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from haven_crisis.__main__ import SPEC
from haven_dev.receivers import SmtpReceiver, WebhookReceiver
from haven_kit.clock import FakeClock

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
    )
    yield World(crisis, clock, hooks, mail)
    for hook in hooks.values():
        await hook.stop()
    await mail.stop()


@pytest.fixture
def person_id() -> str:
    """Somebody new."""
    from haven_kit import ids

    return ids.new_id()
