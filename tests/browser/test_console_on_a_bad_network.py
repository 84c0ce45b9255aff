"""The console where the network breaks off, brings half an answer, or says nothing while the phone sleeps."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from playwright.async_api import Page, Route, expect

from tests.browser.console import ENOUGH_MS, Clinic, Console

LOST = "Connection lost, trying again."
UNKNOWN = "so it may or may not have been done"
TRIES = 3
STREAM = """
window.streams = 0;
const reached = window.fetch;
window.fetch = (address, how) => {
  if (!String(address).endsWith("/v1/alerts:watch")) return reached(address, how);
  window.streams += 1;
  const body = new ReadableStream({ start(into) {
    window.feed = (text) => into.enqueue(new TextEncoder().encode(text));
    how.signal.addEventListener("abort", () => into.error(how.signal.reason));
  } });
  return Promise.resolve(new Response(body, { status: 200 }));
};
const actual = Date.now;
window.ahead = 0;
Date.now = () => actual() + window.ahead;
"""
"""The stream of alerts in the test's own hand, and the time of day."""
SETTLED = {"eventId": "09", "reset": False}


async def _in_hand(console: Console) -> Page:
    """The page, with a stream that brings what the test feeds."""
    await console.page.add_init_script(STREAM)
    await console.page.reload()
    await console.page.wait_for_function("() => window.streams === 1 && window.feed")
    return console.page


async def _feed(page: Page, *events: dict[str, Any]) -> None:
    text = "".join(f"data: {json.dumps(each)}\n\n" for each in events)
    await page.evaluate("text => window.feed(text)", text or ": still here\n\n")


def _alert(alert_id: str) -> dict[str, Any]:
    return {
        "alertId": alert_id,
        "state": "ALERT_STATE_PAGED",
        "severity": "SEVERITY_HIGH",
        "raisedAt": "2026-01-05T03:12:00Z",
        "responderId": "",
        "drill": False,
        "stage": 0,
        "etag": "v2",
    }


ONE, OTHER = "0197c0de-0000-7000-8000-00000000000a", "0197c0de-0000-7000-8000-00000000000b"


async def test_nothing_is_said_to_be_live_or_empty_before_the_alerts_were_read(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        page = await _in_hand(console)
        await _feed(page)
        await page.wait_for_function("() => new Promise((done) => requestAnimationFrame(() => done(true)))")
        await console.says("Looking for open alerts.")
        await expect(page.locator(".connection")).to_have_text("Connecting")
        await _feed(page, SETTLED)
        await console.says("No alert is open. A new one appears here by itself.")
        await expect(page.locator(".connection")).to_contain_text("Live")


async def test_an_alert_that_may_no_longer_be_seen_leaves_the_screen(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        page = await _in_hand(console)
        await _feed(page, *({"eventId": "01", "alert": _alert(each)} for each in (ONE, OTHER)), SETTLED)
        for each in (ONE, OTHER):
            await expect(console.card(each)).to_be_visible()
        await _feed(page, {"reset": True}, {"eventId": "1", "alert": _alert(ONE)}, SETTLED)
        await expect(console.card(OTHER)).to_have_count(0)
        await expect(console.card(ONE)).to_be_visible()
        await expect(page.get_by_label("1 waiting")).to_be_visible()


async def test_a_screen_reader_hears_each_of_several_alerts_that_sound_the_same(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        page = await _in_hand(console)
        await _feed(page, *({"eventId": "01", "alert": _alert(each)} for each in (ONE, OTHER)), SETTLED)
        said = page.locator("[aria-live=assertive] > p")
        await expect(said).to_have_text(["Alert waiting for an answer, High."] * 2)


async def test_a_phone_that_wakes_opens_a_stream_that_was_silent_anew(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        page = await _in_hand(console)
        await _feed(page, SETTLED)
        await page.evaluate("() => dispatchEvent(new Event('online'))")
        assert await page.evaluate("() => window.streams") == 1, "a stream that speaks is kept"
        await page.evaluate("() => { window.ahead = 25_000; dispatchEvent(new Event('online')); }")
        await page.wait_for_function("() => window.streams === 2")
        await expect(page.locator(".connection")).to_contain_text(LOST)
        await _feed(page)
        await expect(page.locator(".connection")).to_contain_text(LOST)
        await _feed(page, SETTLED)
        await expect(page.locator(".connection")).to_contain_text("Live")


async def test_what_nobody_confirmed_for_two_heartbeats_is_not_live(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        page = await _in_hand(console)
        await _feed(page, SETTLED)
        await expect(page.locator(".connection")).to_contain_text("Live")
        await page.evaluate("() => { window.ahead = 3 * 3_600_000; }")
        await expect(page.locator(".connection")).to_contain_text("What you see is 3 h old")
        await console.says("Open alerts cannot be read at the moment.")


async def test_a_second_tap_after_a_lost_answer_is_the_same_command(clinic: Clinic) -> None:
    responder = clinic.day.first_responder
    keys: list[str] = []

    async def lose(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > TRIES:
            return await route.continue_()
        await route.fetch()
        return await route.abort()

    async with clinic.console(responder, trouble=True) as console:
        page = console.page
        alert = await clinic.help()
        await console.card(alert).get_by_role("button", name="Acknowledge").click(timeout=ENOUGH_MS)
        await console.open(f"alerts/{alert}")
        await page.route("**/v1/alerts/*:recordContact", lose)
        await console.button("Record contact")
        await page.get_by_label("Tried, not reached").check()
        await console.choose("How", "By phone")
        await page.get_by_label("Note for those who help").fill("It rang out.")
        await console.button("Record it")
        await expect(page.get_by_role("form").get_by_role("alert")).to_contain_text(UNKNOWN, timeout=ENOUGH_MS)
        await expect(page.get_by_label("Note for those who help")).to_have_value("It rang out.")
        await console.button("Record it")
        await console.says("The try is recorded; you have the same time again.")
        await expect(page.get_by_role("button", name="Record contact")).to_be_focused()
    timeline = (await responder.get(f"/v1/alerts/{alert}/timeline"))["entries"]
    assert [each["kind"] for each in timeline].count("ENTRY_KIND_CONTACT_TRIED") == 1
    assert len(keys) == TRIES + 1
    assert len(set(keys)) == 1


async def test_an_answer_that_was_cut_off_is_asked_for_again(clinic: Clinic) -> None:
    cut: list[str] = []

    async def cut_off(route: Route) -> None:
        cut.append(route.request.headers["idempotency-key"])
        if len(cut) > 1:
            return await route.continue_()
        await route.fetch()
        return await route.fulfill(status=200, content_type="application/json", body='{"alertId": "01')

    async with clinic.console(clinic.day.first_responder) as console:
        alert = await clinic.help()
        await console.page.route("**/v1/alerts/*:acknowledge", cut_off)
        await console.card(alert).get_by_role("button", name="Acknowledge").click(timeout=ENOUGH_MS)
        await expect(console.page.locator(".notice")).to_contain_text("You have it until")
        await expect(console.card(alert).get_by_role("link", name="Open")).to_be_focused()
    assert len(cut) == 2
    assert len(set(cut)) == 1


async def test_two_taps_are_one(clinic: Clinic) -> None:
    asked: list[str] = []
    tapped = asyncio.Event()

    async def slow(route: Route) -> None:
        asked.append(route.request.url)
        await tapped.wait()
        await route.continue_()

    async with clinic.console(clinic.day.first_responder) as console:
        alert = await clinic.help()
        await console.page.route("**/v1/alerts/*:acknowledge", slow)
        await console.open(f"alerts/{alert}")
        take = console.page.get_by_role("button", name="Acknowledge")
        await take.click()
        await expect(console.page.get_by_role("button", name="Taking…")).to_have_attribute("aria-disabled", "true")
        await console.page.get_by_role("button", name="Taking…").click(force=True)
        tapped.set()
        await console.says("You have it.")
        await expect(console.page.get_by_role("button", name="Record contact")).to_be_focused()
    assert len(asked) == 1


async def test_the_reading_that_was_begun_last_is_shown(clinic: Clinic) -> None:
    first: list[Route] = []

    async def answer(route: Route, name: str) -> None:
        line = {"channel": name, "provider": "", "counts": []}
        await route.fulfill(status=200, content_type="application/json", body=json.dumps({"lines": [line]}))

    async def hold(route: Route) -> None:
        if not first:
            first.append(route)
            return None
        return await answer(route, "newer")

    async with clinic.console(clinic.day.first_responder) as console:
        page = console.page
        await page.route("**/v1/delivery-report?*", hold)
        await console.open("deliveries")
        await console.choose("When", "The last day")
        await console.says("newer")
        async with page.expect_request_finished(lambda sent: sent == first[0].request):
            await answer(first[0], "older")
        await page.wait_for_function("() => new Promise((done) => requestAnimationFrame(() => done(true)))")
        await expect(page.get_by_text("older", exact=True)).to_have_count(0)
        await expect(page.get_by_text(re.compile(r"^Read \d+ s ago\.$"))).to_be_visible()
        await console.button("Read again")
        await expect(page.get_by_text("newer", exact=True)).to_be_visible()


async def test_a_drill_is_looked_at_once_for_each_change(clinic: Clinic) -> None:
    looks: list[str] = []

    async def none(route: Route) -> None:
        looks.append(route.request.url)
        await route.fulfill(status=200, content_type="application/json", body='{"pages": []}')

    async with clinic.console(clinic.day.first_responder) as console:
        page = console.page
        await page.route("**/v1/alerts/*/pages", none)
        await console.open("drill")
        await console.button("Page people for a drill")
        await console.says("Here on the page: Waiting for an answer.")
        await page.evaluate("async () => { for (let turn = 0; turn < 50; turn++) await fetch('config.json'); }")
        assert 1 <= len(looks) <= 10
