"""Being on call, seen in the console: the calendar and swaps, what would happen, how pages went, one's own channels."""

from __future__ import annotations

from playwright.async_api import expect

from haven_dev.codes import Codes
from tests.browser.console import ENOUGH_MS, Clinic

ADDRESS = "night@example.org"


async def test_a_shift_is_given_to_a_colleague_who_agrees(clinic: Clinic) -> None:
    first, second = clinic.day.first_responder, clinic.day.second_responder
    async with clinic.console(first) as one, clinic.console(second) as other:
        await one.open("on-call")
        shifts = one.page.get_by_role("region", name="My shifts").locator("li.card")
        mine = shifts.last
        when = await mine.locator("p").first.inner_text()
        held = await shifts.count()
        await mine.get_by_role("button", name="Ask somebody to take it").click()
        await one.choose("Whom to ask", "Responder 2")
        await one.button("Ask")
        await one.says("Responder 2 is asked. You keep the shift until they accept.")
        await other.open("on-call")
        asked = other.page.get_by_role("region", name="Swaps that wait for an answer")
        await expect(asked).to_contain_text(f"Responder 1 asked You: {when}")
        await asked.get_by_role("button", name="Accept").click()
        await expect(asked).to_have_count(0, timeout=ENOUGH_MS)
        await expect(other.page.get_by_role("heading", name="My shifts")).to_be_focused()
        await one.button("Read again")
        await expect(shifts).to_have_count(held - 1)
        await expect(shifts.filter(has_text=when)).to_have_count(0)


async def test_what_happens_if_nobody_answers_is_a_table(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        await console.open("simulator")
        await console.button("Show who is paged")
        rows = console.page.get_by_role("table", name="Who is paged when").locator("tbody tr")
        await expect(rows.first).to_contain_text("at once")
        await expect(rows.first).to_contain_text("Responder 1")
        await expect(rows.nth(1)).to_contain_text("Responder 2")
        await expect(rows.last).to_contain_text("Last resort")


async def test_how_pages_went_is_told_by_channel(clinic: Clinic) -> None:
    alert = await clinic.help()
    await clinic.day.first_responder.eventually(
        f"/v1/alerts/{alert}/pages", lambda found: [each for each in found["pages"] if each.get("acceptedAt")]
    )
    async with clinic.console(clinic.day.first_responder) as console:
        await console.open("deliveries")
        # One line for each provider, and beside them one for pages that are on their way.
        lines = console.page.locator("li.card").filter(has_text="webhook").filter(has_text="half within")
        await expect(lines.filter(has_text="Taken by the provider").first).to_be_visible()


async def test_a_channel_is_added_and_shown_to_reach_its_owner(clinic: Clinic) -> None:
    platform = clinic.platform
    async with clinic.console(clinic.day.second_responder) as console:
        await console.open("channels")
        await console.choose("How", "Email")
        await console.page.get_by_label("Address or number").fill(ADDRESS)
        await console.button("Add it")
        added = console.page.locator("article.card").filter(has_text=ADDRESS)
        await expect(added).to_contain_text("Not verified yet.")
        await added.get_by_role("button", name="Send a code").click()
        code = await Codes([platform.webhook], platform.smtp).take(ADDRESS)
        await added.get_by_label("The six digits that came").fill(code)
        await added.get_by_role("button", name="Verify").click()
        await expect(added).to_contain_text("Reached you")


async def test_an_opening_by_break_glass_is_reviewed_by_somebody_else(clinic: Clinic) -> None:
    alert = await clinic.help()
    reason = "Her responder lost the line and she was alone."
    await clinic.day.therapist.post(f"/v1/alerts/{alert}:breakGlass", {"reason": reason})
    async with clinic.console(clinic.day.administrator, "administrator") as console:
        await console.open("reviews")
        use = console.page.locator("article.card").filter(has_text=reason)
        await use.get_by_role("button", name="Review").click()
        await use.get_by_label("Yes").check()
        await use.get_by_label("What you found").fill("Right: there was nobody else.")
        await use.get_by_role("button", name="Record the review").click()
        await expect(use).to_have_count(0)
