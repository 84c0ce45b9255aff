"""The console for everybody: by keyboard, at 360 pixels, light and dark, by axe's rules of WCAG 2.2 A and AA."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.browser.console import ENOUGH_MS, ROTATION, Clinic, Console

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = ["color-contrast", "link-in-text-block"]
"""What light and dark make a difference to."""
VIEWS = [
    *("alerts", "follow-ups", "on-call", "more", "simulator", "drill"),
    *("deliveries", "channels", "reviews", "device", "keys", "nothing"),
    *("policies", "policies/new", "rotations", "rotations/new", f"rotations/{ROTATION}"),
]
FORMS = ["Record contact", "Hand over", "Give to another", "Page one more", "Need longer", "Change severity"]
PLANNER = ("on_call_responder", "administrator")
SMALL = """() => [...document.querySelectorAll("button, a, input, select, textarea, summary")]
  .filter((each) => each.checkVisibility() && !each.closest(".skip"))
  .map((each) => (["radio", "checkbox"].includes(each.type) ? each.parentElement : each))
  .filter((each) => { const { width, height } = each.getBoundingClientRect(); return width < 44 || height < 44; })
  .map((each) => each.outerHTML)"""
OUTSIDE = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.checkVisibility() && !each.closest(".unseen, .skip, .scroll"))
  .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => each.outerHTML.slice(0, 200))"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def alert(clinic: Clinic) -> str:
    """An alert about somebody who is known, held by the first responder."""
    raised = await clinic.help(await clinic.person())
    await clinic.day.first_responder.post(f"/v1/alerts/{raised}:acknowledge")
    return raised


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def phone(clinic: Clinic) -> AsyncIterator[Console]:
    """The console of somebody who may see every view."""
    async with clinic.console(clinic.day.first_responder, *PLANNER) as console:
        yield console


async def _settled(console: Console, view: str) -> None:
    await console.open(view)
    await expect(console.page.locator("h1")).to_be_focused(timeout=ENOUGH_MS)
    await expect(console.page.get_by_text("Loading.", exact=True)).to_have_count(0, timeout=ENOUGH_MS)
    await expect(console.page.get_by_text("Opening the alert.")).to_have_count(0, timeout=ENOUGH_MS)


async def _violations(console: Console, *rules: str) -> list[str]:
    found = await Axe().run(console.page, options={"runOnly": list(rules) or RULES})
    return [
        f"{each['id']}: {node['html']}: {node['failureSummary']}"
        for each in found.response["violations"]
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "rules"), [("dark", ()), ("light", COLOURS)], ids=["dark", "light"])
async def test_axe_finds_nothing_in_any_view(phone: Console, alert: str, scheme: str, rules: Sequence[str]) -> None:
    await phone.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for view in (*VIEWS, f"alerts/{alert}"):
        await _settled(phone, view)
        assert (view, await _violations(phone, *rules)) == (view, [])
    for form in FORMS:
        await phone.button(form)
        assert (form, await _violations(phone, *rules)) == (form, [])


async def test_axe_finds_nothing_before_sign_in_and_where_glass_is_to_be_broken(clinic: Clinic, alert: str) -> None:
    async with clinic.console(clinic.day.facilitator, sign_in=False, trouble=True) as console:
        await expect(console.page.get_by_role("button", name="Sign in")).to_be_visible()
        assert await _violations(console) == []
        await clinic.sign_in(console.page, clinic.day.facilitator, "facilitator")
        await console.open(f"alerts/{alert}")
        await console.says("This alert is not open to you")
        assert await _violations(console) == []
        await console.page.get_by_label("Why waiting would be dangerous").fill("The responder lost the line.")
        await console.button("Open it for one hour")
        await expect(console.page.get_by_role("heading", level=1)).to_have_text("Rosie (she/her)")
        await console.open("alerts")
        await console.says("No alert is open. A new one appears here by itself.")
        await expect(console.card(alert)).to_have_count(0)


async def test_axe_finds_nothing_in_forms_of_the_plan_and_where_they_are_refused(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder, *PLANNER, trouble=True) as console:
        page = console.page
        await _settled(console, "on-call")
        await console.button("Note time off")
        await page.get_by_role("button", name="Change who has it").last.click()
        await expect(page.get_by_label("Who takes it")).to_be_focused(timeout=ENOUGH_MS)
        await page.get_by_label("Who takes it").select_option(index=1)
        await expect(page.get_by_text("Somebody is on call at every moment").last).to_be_visible(timeout=ENOUGH_MS)
        await _fits(console)
        await _settled(console, f"rotations/{ROTATION}")
        await console.button("Limit to times of the week")
        await console.says("This would be refused:")
        await console.button("Save")
        await console.says("Not saved.")
        await _fits(console)
        await page.emulate_media(color_scheme="light")
        assert await _violations(console, *COLOURS) == []


async def _fits(console: Console) -> None:
    assert await _violations(console) == []
    assert await console.page.evaluate(OUTSIDE) == []
    assert await console.page.evaluate(SMALL) == []


async def test_at_360_pixels_everything_fits_and_can_be_tapped(phone: Console, alert: str) -> None:
    for view in (*VIEWS, f"alerts/{alert}"):
        await _settled(phone, view)
        assert (view, await phone.page.evaluate(OUTSIDE)) == (view, [])
        assert (view, await phone.page.evaluate(SMALL)) == (view, [])


async def test_an_alert_is_taken_and_answered_by_keyboard_alone(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        page = console.page
        keys = page.keyboard
        await page.evaluate("() => document.activeElement.blur()")
        await keys.press("?")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Keys")
        await keys.press("a")
        alert = await clinic.help()
        await expect(console.card(alert)).to_be_visible(timeout=ENOUGH_MS)
        take = console.card(alert).get_by_role("button", name="Acknowledge")
        await keys.press("Tab")
        while not await take.evaluate("each => each === document.activeElement"):
            await keys.press("Tab")
        assert await take.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
        await keys.press("Enter")
        await expect(console.card(alert)).to_contain_text("You have it.")
        await page.evaluate("id => { location.hash = `#/alerts/${id}` }", alert)
        await expect(page.get_by_role("button", name="Record contact")).to_be_visible()
        await keys.press("n")
        await expect(page.get_by_role("button", name="Record contact")).to_be_focused()
        await keys.press("Enter")
        await expect(page.get_by_label("Yes, we spoke")).to_be_focused()
        await keys.press("ArrowDown")  # chooses "Tried, not reached", the second
        await keys.press("Tab")
        await keys.press("B")  # "By phone"
        await keys.press("Tab")
        await keys.type("No answer, message not left.")
        await keys.press("Tab")
        await keys.press("Enter")
        await console.says("The try is recorded; you have the same time again.")
        await console.says("No answer, message not left.")
