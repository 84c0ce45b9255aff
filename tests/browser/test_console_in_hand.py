"""The console in a tired hand: keys, sound, the focus, addresses, a tap on a notification, and signing out."""

from __future__ import annotations

import json

from playwright.async_api import Page, Route, expect

from tests.browser.console import CORS, ENOUGH_MS, ROTATION, Clinic, tokens

HEARD = """() => {
  const Own = window.AudioContext;
  window.AudioContext = class extends Own { constructor() { super(); window.audio = this; } };
}"""
SOON = """() => {
  const later = window.setTimeout;
  window.setTimeout = (work, wait) => later(work, wait === 20_000 ? 500 : wait);
}"""
"""What a notice waits for comes soon."""


async def test_an_address_names_an_alert_or_nothing(clinic: Clinic) -> None:
    asked: list[str] = []
    async with clinic.console(clinic.day.first_responder) as console:
        page = console.page
        page.on("request", lambda sent: asked.append(sent.url))
        for address in ("alerts/%", "alerts/..%2f..%2fon-call%2fnow", "policies/..", "constructor"):
            await console.open(address)
            await expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is here")
            await page.reload()
            await expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is here")
        await console.open(f"rotations/{ROTATION}")
        await page.reload()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Rotations")
    assert not [each for each in asked if "%2f" in each or ".." in each]


async def test_single_keys_can_be_turned_off(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        page = console.page
        await console.open("device")
        await page.get_by_role("switch", name="Keys: on").click()
        await page.get_by_role("switch", name="Keys: off").press("o")
        await page.get_by_role("switch", name="Keys: off").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("This device")
        await page.get_by_role("switch", name="Keys: on").press("o")
        await expect(page.get_by_role("heading", level=1)).to_have_text("On call")


async def test_sound_that_the_system_took_away_is_missed_in_every_view_and_comes_back_with_a_tap(
    clinic: Clinic,
) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        page = console.page
        hint = page.get_by_text("The browser keeps this page silent until you tap it.")
        await page.evaluate(HEARD)
        await console.open("device")
        await page.get_by_role("switch", name="Sound: off").click()
        await page.wait_for_function("() => window.audio?.state === 'running'")
        await expect(hint).to_have_count(0)
        await page.evaluate("() => window.audio.suspend()")
        await expect(hint).to_be_visible()
        await console.open("on-call")
        await expect(hint).to_be_visible()
        await page.get_by_role("heading", level=1).click()
        await page.wait_for_function("() => window.audio.state === 'running'")
        await expect(hint).to_have_count(0)


async def test_a_telephone_shakes_also_where_nothing_is_to_move(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder, reduced_motion="reduce") as console:
        page = console.page
        await page.evaluate("() => { navigator.vibrate = (how) => ((window.shaken = how), true); }")
        await console.open("device")
        await console.button("Hear the sound")
        await page.wait_for_function("() => window.shaken?.length === 3")


async def test_only_what_needs_no_answer_goes_away_by_itself(clinic: Clinic) -> None:
    refusal = {"type": "/problems/refused", "status": 409, "detail": "Not at this moment."}

    async def refuse(route: Route) -> None:
        await route.fulfill(status=409, content_type="application/problem+json", body=json.dumps(refusal))

    alert = await clinic.help()
    async with clinic.console(clinic.day.first_responder, trouble=True) as console:
        page = console.page
        await page.evaluate(SOON)
        await console.open(f"alerts/{alert}")
        await console.button("Look on")
        await console.says("You are watching this alert. Paging goes on as before.")
        await expect(page.locator(".notice")).to_have_count(0)
        await page.route("**/v1/alerts/*:stopObserving", refuse)
        await console.button("Stop looking on")
        await console.says("Not at this moment.")
        await page.evaluate("() => new Promise((done) => setTimeout(done, 20_000))")
        await expect(page.locator(".notice")).to_contain_text("Not at this moment.")
        await console.button("Dismiss")
        await expect(page.locator(".notice")).to_have_count(0)


async def test_the_focus_goes_back_to_what_opened_a_form(clinic: Clinic) -> None:
    alert = await clinic.help()
    await clinic.day.first_responder.post(f"/v1/alerts/{alert}:acknowledge")
    async with clinic.console(clinic.day.first_responder) as console:
        page = console.page
        await console.open(f"alerts/{alert}")
        await console.button("Change severity")
        await expect(page.get_by_role("radio").first).to_be_focused()
        await console.button("Not now")
        await expect(page.get_by_role("button", name="Change severity")).to_be_focused()
        await console.open("on-call")
        ask = page.get_by_role("button", name="Ask somebody to take it").first
        await ask.click()
        await console.button("Not now")
        await expect(ask).to_be_focused()


async def test_a_choice_is_named_with_its_help_and_what_is_wrong(clinic: Clinic) -> None:
    wrong = {"field": "severity", "rule": "required", "message": "Say how severe it is."}
    refusal = {"type": "/problems/invalid", "status": 400, "detail": "severity: Say it.", "violations": [wrong]}

    async def refuse(route: Route) -> None:
        await route.fulfill(status=400, content_type="application/problem+json", body=json.dumps(refusal))

    alert = await clinic.help()
    await clinic.day.first_responder.post(f"/v1/alerts/{alert}:acknowledge")
    async with clinic.console(clinic.day.first_responder, trouble=True) as console:
        page = console.page
        await page.route("**/v1/alerts/*:changeSeverity", refuse)
        await console.open(f"alerts/{alert}")
        await console.button("Change severity")
        await page.get_by_label("Why").fill("She is alone.")
        await console.button("Change it")
        choice = page.get_by_role("group", name="How severe it is")
        await expect(choice).to_have_accessible_description("Say how severe it is.")
        await expect(page.get_by_role("form").get_by_role("alert")).to_have_text(
            "Not sent. What is wrong stands at its field."
        )


async def test_a_tap_on_a_notification_says_when_nobody_knows_what_came_of_it(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder, permissions=["notifications"]) as console:
        await console.open("device")
        await console.page.get_by_role("switch", name="Notifications: off").click()
        await expect(console.page.get_by_role("switch", name="Notifications: on")).to_be_visible()
        shown = await console.context.service_workers[0].evaluate(
            """async () => {
              const within = AbortSignal.timeout;
              AbortSignal.timeout = (wait) => within.call(AbortSignal, wait / 100);
              self.fetch = (_, { signal } = {}) => new Promise((_, fail) =>
                signal?.addEventListener("abort", () => fail(signal.reason)));
              const told = { title: "Haven: crisis alert", link: "https://crisis.example/p/x", alert_id: "one" };
              self.dispatchEvent(new PushEvent("push", { data: JSON.stringify(told) }));
              for (;;) {
                const [found] = await self.registration.getNotifications({ tag: "one" });
                if (found?.actions.length) {
                  const tap = { notification: found, action: "acknowledge" };
                  self.dispatchEvent(new NotificationEvent("notificationclick", tap));
                } else if (found) return found.body;
                await new Promise((done) => setTimeout(done, 50));
              }
            }"""
        )
        assert shown == "It is not known whether you have it. Open the console."


async def test_signing_out_ends_the_session_at_the_provider_whatever_the_browser_refuses(clinic: Clinic) -> None:
    issuer, responder = clinic.platform.issuer.url, clinic.day.first_responder
    revoked: list[str] = []

    async def discovery(route: Route) -> None:
        found = await (await route.fetch()).json()
        found |= {"revocation_endpoint": f"{issuer}/revoke", "end_session_endpoint": f"{issuer}/end"}
        await route.fulfill(status=200, body=json.dumps(found), headers=CORS)

    async def revoke(route: Route) -> None:
        revoked.append(route.request.post_data or "")
        await route.fulfill(status=200, headers=CORS)

    async with clinic.console(responder, sign_in=False) as console:
        page: Page = console.page
        await page.route(f"{issuer}/.well-known/openid-configuration", discovery)
        await page.route(f"{issuer}/revoke", revoke)
        await page.route(f"{issuer}/end?*", lambda route: route.fulfill(status=200, body="Ended"))
        await tokens(page, clinic, lifetime_s=600, refresh="kept-by-the-tab")
        await clinic.sign_in(page, responder)
        await page.evaluate("() => { navigator.serviceWorker.getRegistration = () => Promise.reject(new Error()); }")
        await console.button("Sign out")
        await page.wait_for_url(f"{issuer}/end?*", timeout=ENOUGH_MS)
    assert ["token=kept-by-the-tab" in each for each in revoked] == [True]
