"""The API reference in a real browser: it shows every operation with nothing but what the gateway serves."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import aiohttp
import pytest

from haven_dev.runner import Platform
from tests.browser.console import BROWSER

QUIET = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=20000",
    "--enable-logging=stderr",
    "--v=0",
    "--dump-dom",
]


async def _look(url: str, profile: Path) -> tuple[str, str]:
    """What the page holds once its scripts have run, and what the browser's console said."""
    assert BROWSER is not None
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(
        BROWSER,
        *QUIET,
        *as_root,
        f"--user-data-dir={profile}",
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    page, console = await asyncio.wait_for(process.communicate(), timeout=90)
    return page.decode(), console.decode()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
async def test_the_reference_shows_every_tag_without_the_internet(
    platform: Platform, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with http.get(f"{platform.gateway_url}/openapi.json") as answer:
        document = await answer.json()
    page, console = await _look(f"{platform.gateway_url}/docs", tmp_path)
    shown = set(re.findall(r'data-tag="([^"]+)"', page))
    assert shown == {tag["name"] for tag in document["tags"]}
    assert "Content Security Policy" not in console
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?://[^"]+)"', page)
    assert loaded == []
