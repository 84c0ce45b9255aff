"""The console at night: a call for help appears, is taken in one tap, and is seen through to its end."""

from __future__ import annotations

import asyncio
import json

from playwright.async_api import Page, expect

from tests.browser.console import DESKTOP, ENOUGH_MS, NOTE, Clinic

COUNT_TONES = """() => {
  window.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...when) { window.tones += 1; return start.apply(this, when); };
}"""
SHOWN = """async () => {
  const shown = await (await navigator.serviceWorker.ready).getNotifications();
  return shown.map((each) => [each.title, each.body]);
}"""


async def _kept(page: Page) -> str:
    """All that the page keeps or shows outside of itself."""
    kept = await page.evaluate("() => JSON.stringify([localStorage, document.title, location.href])")
    tab = await page.evaluate("() => Object.keys(sessionStorage)")
    return f"{kept} {tab}"


async def _until(page: Page, notifications: list[list[str]]) -> None:
    """Wait until these notifications are shown."""
    async with asyncio.timeout(10):
        while await page.evaluate(SHOWN) != notifications:
            await asyncio.sleep(0.05)


async def test_a_call_for_help_is_seen_through_from_the_first_sound_to_the_follow_up(clinic: Clinic) -> None:
    rosa, responder = await clinic.person(), clinic.day.first_responder
    async with clinic.console(responder, permissions=["notifications"]) as console:
        page = console.page
        await page.evaluate(COUNT_TONES)
        await console.says("No alert is open")
        await console.button("Turn on the sound")
        await console.open("device")
        await page.get_by_role("switch", name="Notifications: off").click()
        await expect(page.get_by_role("switch", name="Notifications: on")).to_be_visible()
        await console.open("alerts")

        alert = await clinic.help(rosa)
        await expect(console.card(alert)).to_be_visible(timeout=ENOUGH_MS)
        await expect(console.card(alert)).to_contain_text("Waiting for an answer")
        await page.wait_for_function("() => window.tones >= 4")
        await expect(page.locator("[aria-live=assertive]")).to_contain_text("Alert waiting for an answer")
        await _until(page, [["Haven: crisis alert", "Open the console to take it."]])
        assert await page.title() == "(!) Haven on call"

        await console.card(alert).get_by_role("button", name="Acknowledge").click()
        await expect(console.card(alert)).to_contain_text("You have it.")
        assert (await responder.get(f"/v1/alerts/{alert}"))["responderId"] == responder.sub
        await expect(page.locator(".notice")).to_contain_text("Record contact by then, or everyone is paged again.")
        await _until(page, [])

        await console.card(alert).get_by_role("link", name="Open").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Rosie (she/her)")
        for seen in ("18 Elm Street", "Bell 4", "Cold water on my wrists", "Ana Alvarez", "code word", NOTE):
            await console.says(seen)
        await console.says("No facilitator is known to be with them.")
        for copied in ("Reaching them", "People in their life"):
            await expect(page.get_by_role("region", name=copied)).to_contain_text("As of ")
        await expect(page.get_by_role("link", name="911")).to_have_attribute("href", "tel:911")
        await expect(page.get_by_text("Never tell this person anything.")).to_be_visible()
        kept = await _kept(page)
        assert not [word for word in ("Rosie", "Elm", "safe tonight", rosa.person_id, "Ana") if word in kept]

        await console.button("Record contact")
        await page.get_by_label("Yes, we spoke").check()
        await console.choose("How", "By phone")
        await page.get_by_label("Note for those who help").fill("Spoke for ten minutes.")
        await console.button("Record it")
        await console.says("In contact")
        await console.button("Safe for now")
        await console.button("Record that they are safe for now")
        await console.says("Stabilised")

        await console.button("Close")
        await console.choose("How it ended", "Safety plan used or changed together")
        await page.get_by_label("Low", exact=True).check()
        await console.button("Somebody was told")
        await page.get_by_label("Who was told (1)").fill("Ana Alvarez")
        await console.choose("On what ground (1)", "The person agreed")
        await page.get_by_role("form", name="Close the alert").get_by_role("button", name="Close the alert").click()
        await expect(page.get_by_role("region", name="Where it stands")).to_contain_text("Closed")
        await console.says("Told: Ana Alvarez (The person agreed)")

        await console.open("follow-ups")
        due = page.locator("article.card").filter(has=page.locator(f'a[href="#/alerts/{alert}"]')).first
        await due.get_by_role("button", name="Record it").click()
        await due.get_by_label("Low", exact=True).check()
        await due.get_by_role("button", name="I reached them: record it").click()
        await console.says("The follow-up is recorded.")
    timeline = (await responder.get(f"/v1/alerts/{alert}/timeline"))["entries"]
    assert "ENTRY_KIND_CLOSED" in [each["kind"] for each in timeline]


async def test_two_responders_tap_at_once_and_one_has_it(clinic: Clinic) -> None:
    first, second = clinic.day.first_responder, clinic.day.second_responder
    async with (
        clinic.console(first, trouble=True) as one,
        clinic.console(second, trouble=True, viewport=DESKTOP) as other,
    ):
        alert = await clinic.help()
        taps = [each.card(alert).get_by_role("button", name="Acknowledge") for each in (one, other)]
        await asyncio.gather(*(expect(each).to_be_visible(timeout=ENOUGH_MS) for each in taps))
        await asyncio.gather(*(each.click() for each in taps))
        told = [await each.page.locator(".notice p").inner_text() for each in (one, other)]
        assert sorted(text.partition(".")[0].partition(" until")[0] for text in told) == [
            "Another responder has taken it",
            "You have it",
        ]
        winner, loser = (one, other) if told[0].startswith("You have it") else (other, one)
        await expect(winner.card(alert)).to_contain_text("You have it.")
        await expect(loser.card(alert)).to_contain_text("has it.")
        await expect(loser.card(alert).get_by_role("button", name="Acknowledge")).to_have_count(0)


async def test_an_alert_is_handed_over_by_consent(clinic: Clinic) -> None:
    first, second = clinic.day.first_responder, clinic.day.second_responder
    async with clinic.console(first) as one, clinic.console(second) as other:
        alert = await clinic.help()
        await one.card(alert).get_by_role("button", name="Acknowledge").click(timeout=ENOUGH_MS)
        await one.open(f"alerts/{alert}")
        await one.button("Hand over")
        await one.choose("Who is to take it over", "Responder 2")
        await one.button("Ask them now")
        await one.says("Responder 2 is asked to take it over. You keep it until they accept.")
        await other.open(f"alerts/{alert}")
        await other.says("Responder 1 asks you to take this over.")
        await other.button("Take it over")
        await expect(other.page.get_by_role("region", name="Where it stands")).to_contain_text("You have it.")
        await expect(one.page.get_by_role("region", name="Where it stands")).to_contain_text("Responder 2 has it.")


async def test_a_pushed_page_acknowledges_without_the_console(clinic: Clinic) -> None:
    responder, received = clinic.day.first_responder, clinic.platform.webhook.received
    async with clinic.console(responder, permissions=["notifications"]) as console:
        await console.open("device")
        await console.page.get_by_role("switch", name="Notifications: off").click()
        await expect(console.page.get_by_role("switch", name="Notifications: on")).to_be_visible()
        worker = console.context.service_workers[0]
        await console.page.evaluate("() => localStorage.clear()")
        alert = await clinic.help()
        async with asyncio.timeout(10):
            while not (pages := [each for each in received if alert.encode() in each.body and "first" in each.path]):
                await asyncio.sleep(0.05)
        pushed = json.loads(pages[0].body)
        shown = await worker.evaluate(
            """async (told) => {
              self.dispatchEvent(new PushEvent("push", { data: JSON.stringify(told) }));
              for (;;) {
                const [found] = await self.registration.getNotifications({ tag: told.alert_id });
                if (found?.actions.length) {
                  const tap = { notification: found, action: "acknowledge" };
                  self.dispatchEvent(new NotificationEvent("notificationclick", tap));
                  return [found.title, found.body, found.actions.map((each) => each.action)];
                }
                await new Promise((done) => setTimeout(done, 50));
              }
            }""",
            pushed,
        )
        assert shown == ["Haven: crisis alert", "Open the console to take it.", ["acknowledge"]]
        await responder.eventually(f"/v1/alerts/{alert}", lambda found: found["responderId"] == responder.sub)


async def test_a_drill_is_marked_everywhere_and_seen_to_go_through(clinic: Clinic) -> None:
    responder = clinic.day.first_responder
    async with clinic.console(responder) as console:
        await console.open("drill")
        await console.button("Page people for a drill")
        await console.says("First page taken by a provider")
        await console.page.get_by_role("link", name="Open the drill").click()
        await console.says("Drill: nobody is in danger")
        await console.button("Acknowledge")
        await console.says("You have it.")
        await console.open("alerts")
        drill = console.page.locator("article.card").filter(has_text="You have it.").filter(has_text="Drill")
        await drill.first.get_by_role("link", name="Open").click()
        await console.button("Record contact")
        await console.page.get_by_label("Yes, we spoke").check()
        await console.choose("How", "By phone")
        await console.button("Record it")
        await console.button("Close")
        await console.page.get_by_role("form").get_by_role("button", name="Close the alert").click()
        await expect(console.page.get_by_role("region", name="Where it stands")).to_contain_text("Closed by you.")


async def test_signing_out_clears_every_tab(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        other = await console.context.new_page()
        await other.goto(f"{clinic.platform.crisis_url}/console/#/on-call")
        await clinic.sign_in(other, clinic.day.first_responder)
        await expect(other.get_by_role("heading", name="On call", exact=True)).to_be_visible(timeout=ENOUGH_MS)
        await console.page.reload()
        await expect(console.page.get_by_role("button", name="Sign out")).to_be_visible(timeout=ENOUGH_MS)
        await console.button("Sign out")
        for page in (console.page, other):
            await expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible(timeout=ENOUGH_MS)
            assert await page.evaluate("() => sessionStorage.length") == 0
