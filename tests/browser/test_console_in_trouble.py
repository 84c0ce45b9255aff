"""The console while parts are away, and when the sign-in runs out: it says so, loses nothing, and goes on."""

from __future__ import annotations

import time

from playwright.async_api import expect

from tests.browser.console import ENOUGH_MS, Clinic, tokens

LOST = "Connection lost, trying again."
PATIENCE_MS = 30_000


async def test_a_dead_gateway_stops_no_one(clinic: Clinic) -> None:
    clinic.platform.kill("gateway")
    try:
        async with clinic.console(clinic.day.first_responder) as console:
            alert = await clinic.help()
            await console.card(alert).get_by_role("button", name="Acknowledge").click()
            await expect(console.card(alert)).to_contain_text("You have it.")
    finally:
        await clinic.platform.start("gateway")


async def test_what_is_old_is_never_shown_as_fresh_and_what_was_missed_comes(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder, trouble=True) as console:
        page = console.page
        first = await clinic.help()
        await expect(console.card(first)).to_be_visible()
        clinic.platform.kill("crisis")
        await expect(page.get_by_role("alert").filter(has_text=LOST)).to_be_visible(timeout=ENOUGH_MS)
        await expect(page.locator(".connection")).to_contain_text("What you see is")
        await expect(console.card(first)).to_be_visible()
        await clinic.platform.start("crisis")
        second = await clinic.help()
        await expect(page.get_by_text("Live")).to_be_visible(timeout=PATIENCE_MS)
        await expect(console.card(second)).to_be_visible(timeout=ENOUGH_MS)


async def test_without_the_database_an_alert_is_not_said_to_be_taken(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder, trouble=True) as console:
        alert = await clinic.help()
        take = console.card(alert).get_by_role("button", name="Acknowledge")
        await expect(take).to_be_visible()
        await clinic.platform.postgres.stop()
        try:
            await take.click()
            notice = console.page.locator(".notice p")
            await expect(notice).to_be_visible(timeout=PATIENCE_MS)
            assert not (await notice.inner_text()).startswith("You have it")
            await expect(console.card(alert)).not_to_contain_text("You have it")
            await expect(console.page.get_by_role("alert").filter(has_text=LOST)).to_be_visible(timeout=PATIENCE_MS)
        finally:
            await clinic.platform.postgres.start()
        await expect(console.page.get_by_text("Live")).to_be_visible(timeout=PATIENCE_MS)
        await take.click()
        await expect(console.card(alert)).to_contain_text("You have it.", timeout=ENOUGH_MS)


async def test_without_nats_everything_goes_on(clinic: Clinic) -> None:
    await clinic.platform.nats.stop()
    try:
        async with clinic.console(clinic.day.first_responder) as console:
            alert = await clinic.help()
            await console.card(alert).get_by_role("button", name="Acknowledge").click()
            await expect(console.card(alert)).to_contain_text("You have it.")
    finally:
        await clinic.platform.nats.start()


async def test_a_sign_in_that_runs_out_loses_nothing_that_was_typed(clinic: Clinic) -> None:
    responder = clinic.day.first_responder
    async with clinic.console(responder, sign_in=False, trouble=True) as console:
        page = console.page
        await tokens(page, clinic, lifetime_s=8)
        await clinic.sign_in(page, responder)
        alert = await clinic.help()
        await console.card(alert).get_by_role("button", name="Acknowledge").click()
        await console.open(f"alerts/{alert}")
        await console.button("Record contact")
        note = page.get_by_label("Note for those who help")
        await note.fill("She is calmer, we breathe together.")
        await expect(page.get_by_role("alert", name="Signed out")).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.locator(".connection")).to_contain_text("Nothing new comes until you sign in again.")
        await page.unroute_all()
        async with page.expect_popup() as opened:
            await console.button("Sign in again")
        again = await opened.value
        await clinic.at_provider(again, responder)
        await expect(page.get_by_role("alert", name="Signed out")).to_have_count(0, timeout=ENOUGH_MS)
        await expect(note).to_have_value("She is calmer, we breathe together.")
        await page.get_by_label("Yes, we spoke").check()
        await console.choose("How", "By phone")
        await console.button("Record it")
        await console.says("She is calmer, we breathe together.")


async def test_a_sign_in_is_renewed_in_silence_where_the_provider_permits_it(clinic: Clinic) -> None:
    responder = clinic.day.first_responder
    async with clinic.console(responder, sign_in=False) as console:
        renewed = await tokens(console.page, clinic, lifetime_s=8, refresh="kept-by-the-tab")
        await clinic.sign_in(console.page, responder)
        began = time.monotonic()
        await expect(console.page.get_by_text("Live")).to_be_visible(timeout=ENOUGH_MS)
        while not renewed and time.monotonic() < began + 20:
            await console.page.wait_for_timeout(100)
        assert renewed == ["kept-by-the-tab"]
        alert = await clinic.help()
        await expect(console.card(alert)).to_be_visible()
        await expect(console.page.get_by_role("alert", name="Signed out")).to_have_count(0)
