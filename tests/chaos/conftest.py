"""One platform of their own for tests that break it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from trouble import SEED, Story

from haven_dev.day.play import FAST
from haven_dev.runner import Platform


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def story(tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession) -> AsyncIterator[Story]:
    """A platform that no other test uses, and an undisturbed day on it to compare with."""
    folder = Path(tmp_path_factory.mktemp("chaos"))
    async with Platform(folder, ephemeral=True, environment=FAST) as platform:
        yield Story(platform, http)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Chance that can be had again: `CHAOS_SEED` is printed by every test."""
    return random.Random(f"{SEED} {request.node.name}")
