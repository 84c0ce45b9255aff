"""The page behind a link in a real browser: without JavaScript, by keyboard, at 360 pixels, by axe's rules."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from haven.crisis.v1 import signals_pb2
from playwright.async_api import Browser, Page, async_playwright, expect

from .paging_world import PHONES, Phones, sms

FOUND = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
BROWSER = next((each for each in FOUND if each), None)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PHONE = {"width": 360, "height": 740}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium; skips where there is none."""
    if BROWSER is None:
        pytest.skip("no Chromium here")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        await started.close()


async def link(phones: Phones, person_id: str, *, drill: bool = False) -> tuple[str, str]:
    """An alert, and the link that `first` got for it."""
    await phones.seat({name: [sms(name)] for name in PHONES})
    source = signals_pb2.SIGNAL_SOURCE_DRILL if drill else signals_pb2.SIGNAL_SOURCE_HELP_BUTTON
    caller = phones.world.staff("boss") if drill else None
    alert_id = (await phones.world.signal(person_id, caller, source=source)).alert_id
    await phones.reached(alert_id, ("sms", "ACCEPTED", ""))
    return alert_id, await phones.link(PHONES["first"])


async def test_by_keyboard_and_without_javascript(phones: Phones, browser: Browser, person_id: str) -> None:
    alert_id, address = await link(phones, person_id)
    context = await browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = await context.new_page()
    await page.goto(address)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="I take it")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="You have this alert")).to_be_visible()
    assert page.url == address
    await page.reload()
    await expect(page.get_by_role("heading", name="You have this alert")).to_be_visible()
    assert (await phones.world.alert(alert_id)).responder_id == "first"
    await context.close()


async def test_axe_finds_nothing_and_everything_is_large(phones: Phones, browser: Browser, person_id: str) -> None:
    _, address = await link(phones, person_id, drill=True)
    context = await browser.new_context(viewport=PHONE, bypass_csp=True)
    page = await context.new_page()
    await page.goto(address)
    await _sound(page)
    button = await page.get_by_role("button").bounding_box()
    assert button is not None
    assert button["height"] >= 90
    assert button["width"] >= 300
    await page.get_by_role("button").click()
    await _sound(page)
    phones.world.clock.advance(timedelta(hours=2))
    await page.reload()
    await expect(page.get_by_role("heading", name="This link has expired")).to_be_visible()
    await _sound(page)
    await context.close()


async def test_the_policy_of_the_page_lets_it_be_seen_and_used(
    phones: Phones, browser: Browser, person_id: str
) -> None:
    _, address = await link(phones, person_id)
    context = await browser.new_context(viewport=PHONE)
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await page.goto(address)
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(16, 20, 26)"
    await page.get_by_role("button").click()
    await expect(page.get_by_role("heading", name="You have this alert")).to_be_visible()
    assert [each for each in said if "Content Security Policy" in each] == []
    await context.close()


async def _sound(page: Page) -> None:
    found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide
    links = await page.evaluate("[...document.links].map((each) => each.getBoundingClientRect().height)")
    assert all(height >= 44 for height in links)
