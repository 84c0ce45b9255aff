"""A browser, and a program of its own for the console's tests: they end parts of it, at the real time of day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from haven_dev.runner import Platform
from tests.browser.console import BROWSER, PARTS, Clinic, chromium


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium; skips where there is none."""
    if BROWSER is None:
        pytest.skip("no Chromium here")
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def clinic(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, http: aiohttp.ClientSession
) -> AsyncIterator[Clinic]:
    """Crisis with two responders on call, and intake."""
    folder = Path(tmp_path_factory.mktemp("console"))
    async with Platform(folder, ephemeral=True, parts=PARTS) as platform:
        yield await Clinic.begin(platform, http, browser)
