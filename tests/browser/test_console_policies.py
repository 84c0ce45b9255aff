"""The editor of escalation policies: it shows what would happen, says what is wrong where it is, and loses nothing."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Locator, expect

from haven_kit import ids
from tests.browser.console import ENOUGH_MS, ROTATION, Clinic, Console

ROLES = ("on_call_responder", "administrator")
PREVIEW = "If nobody answers, who is paged when"


async def _policy(clinic: Clinic, name: str) -> str:
    """The path of a policy of two steps."""
    day = clinic.day
    path = f"/v1/on-call/policies/{ids.new_id()}"
    steps = [
        {"targets": [{"responderId": each.sub}], "wait": "90s"} for each in (day.first_responder, day.second_responder)
    ]
    last = {"targets": [{"everyoneOnDuty": True}, {"responderId": day.second_responder.sub}], "wait": "300s"}
    await day.administrator.put(path, {"policy": {"name": name, "steps": steps, "lastResort": last}})
    return path


async def _named(clinic: Clinic, name: str) -> list[Any]:
    found = await clinic.day.administrator.get("/v1/on-call/policies")
    return [each for each in found["policies"] if each["name"] == name]


async def _edit(console: Console, path: str) -> Locator:
    await console.open(f"policies/{path.rpartition('/')[2]}")
    form = console.page.get_by_role("form", name="Escalation policy")
    await expect(form).to_be_visible(timeout=ENOUGH_MS)
    return form


def _step(form: Locator, name: str) -> Locator:
    return form.get_by_role("group", name=name, exact=True)


def _rows(form: Locator) -> Locator:
    return form.get_by_role("group", name=PREVIEW).locator("tbody tr")


async def test_a_policy_is_written_and_who_is_paged_when_is_shown_before_it_is_saved(clinic: Clinic) -> None:
    day = clinic.day
    name = "Nights, written by hand"
    async with clinic.console(day.first_responder, *ROLES) as console:
        await console.open("policies")
        await console.page.get_by_role("link", name="New policy").click()
        form = console.page.get_by_role("form", name="Escalation policy")
        await expect(form.get_by_role("group", name=PREVIEW)).to_contain_text("The table comes when every step says")
        await form.get_by_label("Name", exact=True).fill(name)
        first = _step(form, "Step 1")
        await first.get_by_label("Who is paged").select_option(label="Evening on call")
        await first.get_by_role("button", name="Add somebody to step 1").click()
        await expect(first.get_by_label("and", exact=True)).to_be_focused()
        await first.get_by_label("and", exact=True).select_option(label="Responder 2")
        await first.get_by_label("One of them at a time, in turn").check()
        await first.get_by_label("Seconds to wait for an answer").fill("45")
        await form.get_by_role("button", name="Add a step").click()
        second = _step(form, "Step 2")
        await expect(second.get_by_label("Who is paged")).to_be_focused()
        await second.get_by_label("Who is paged").select_option(label="Everyone on duty")
        await expect(second).to_contain_text("That is 2 min.")
        await form.get_by_label("How often all steps are gone through again").fill("0")
        last = _step(form, "The last resort")
        await last.get_by_label("and", exact=True).select_option(label="Responder 1")
        await expect(_rows(form).first).to_contain_text("at once")
        await expect(_rows(form).filter(has_text="45 s").first).to_contain_text("Step 2")
        await expect(_rows(form).last).to_contain_text("Last resort")
        assert await _named(clinic, name) == [], "nothing is saved before it is asked for"
        await second.get_by_role("button", name="Move step 2 up").click()
        await expect(_step(form, "Step 1").get_by_role("button", name="Move step 1 down")).to_be_focused()
        await expect(_rows(form).filter(has_text="2 min").first).to_contain_text("Step 2")
        await form.get_by_role("button", name="Save", exact=True).click()
        await console.says(f"{name} is saved.")
        (saved,) = await _named(clinic, name)
        assert [each["wait"] for each in saved["steps"]] == ["120s", "45s"]
        assert saved["steps"][0]["targets"][0]["everyoneOnDuty"]
        turns = saved["steps"][1]
        assert (turns["roundRobin"], turns["targets"][0]["rotationId"]) == (True, ROTATION)
        assert turns["targets"][1]["responderId"] == day.second_responder.sub
        assert (saved["repeats"], saved["lastResort"]["wait"]) == (0, "300s")
        await console.page.get_by_role("link", name=f"Change {name}").click()
        await console.button("Take this policy out")
        await console.button("Take it out")
        await console.says(f"{name} is taken out.")
        assert await _named(clinic, name) == []
        await console.button("Put it back")
        await console.says(f"{name} is back.")
        assert len(await _named(clinic, name)) == 1


async def test_a_refused_policy_says_what_is_wrong_at_its_field_and_keeps_what_was_typed(clinic: Clinic) -> None:
    path = await _policy(clinic, "Days")
    async with clinic.console(clinic.day.first_responder, *ROLES, trouble=True) as console:
        before = await clinic.day.administrator.get(path)
        form = await _edit(console, path)
        sentence = "Days: The last resort names no supervisor. Name a responder beside everyone on duty."
        last = _step(form, "The last resort")
        await last.get_by_role("button", name="Remove number 2 of the last resort").click()
        await expect(last.get_by_role("button", name="Add somebody to the last resort")).to_be_focused()
        await expect(form.get_by_role("group", name=PREVIEW)).to_contain_text(sentence)
        await form.get_by_role("button", name="Save", exact=True).click()
        refusal = form.get_by_role("alert").filter(has_text="Not saved.")
        await expect(refusal).to_contain_text(sentence)
        await expect(refusal.locator("xpath=..")).to_be_focused()
        await expect(last).to_have_accessible_description(sentence)
        await refusal.get_by_role("button", name=sentence).click()
        await expect(last.get_by_label("Who is paged")).to_be_focused()
        assert await clinic.day.administrator.get(path) == before
        await console.open("alerts")
        form = await _edit(console, path)
        await expect(last.get_by_label("Who is paged").locator("option:checked")).to_have_text("Everyone on duty")
        await expect(last.get_by_label("and", exact=True)).to_have_count(0)
        await last.get_by_role("button", name="Add somebody to the last resort").click()
        await last.get_by_label("and", exact=True).select_option(label="Responder 1")
        await form.get_by_role("button", name="Save", exact=True).click()
        await console.says("Days is saved.")


async def test_a_field_that_is_wrong_says_so_itself(clinic: Clinic) -> None:
    path = await _policy(clinic, "Weekends")
    async with clinic.console(clinic.day.first_responder, *ROLES, trouble=True) as console:
        form = await _edit(console, path)
        wait = _step(form, "Step 2").get_by_label("Seconds to wait for an answer")
        await wait.evaluate("each => { each.max = 9999; }")
        await wait.fill("7200")
        await form.get_by_role("button", name="Save", exact=True).click()
        refusal = form.get_by_role("alert").filter(has_text="Not saved.")
        await expect(wait).to_have_attribute("aria-invalid", "true")
        await refusal.get_by_role("button", name="Step 2:").click()
        await expect(wait).to_be_focused()
        await expect(wait).to_have_value("7200")


async def test_a_policy_that_somebody_else_saved_meanwhile_is_shown_and_nothing_typed_is_lost(clinic: Clinic) -> None:
    administrator = clinic.day.administrator
    path = await _policy(clinic, "Holidays")
    async with clinic.console(clinic.day.first_responder, *ROLES, trouble=True) as console:
        form = await _edit(console, path)
        name, repeats = (
            form.get_by_label("Name", exact=True),
            form.get_by_label("How often all steps are gone through again"),
        )
        await name.fill("Holidays and strikes")
        theirs = await administrator.get(path)
        await administrator.put(path, {"policy": theirs | {"repeats": 4}})
        await form.get_by_role("button", name="Save", exact=True).click()
        await expect(form.get_by_role("alert")).to_contain_text("somebody else saved it after you had opened it")
        await expect(name).to_have_value("Holidays and strikes")
        assert (await administrator.get(path))["name"] == "Holidays"
        await form.get_by_role("button", name="Show what is saved now").click()
        await expect(repeats).to_have_value("4")
        await expect(name).to_have_value("Holidays")
        await form.get_by_role("button", name="Back to what I typed").click()
        await expect(name).to_have_value("Holidays and strikes")
        await repeats.fill("3")
        await form.get_by_role("button", name="Save", exact=True).click()
        await console.says("Holidays and strikes is saved.")
        saved = await administrator.get(path)
        assert (saved["name"], saved["repeats"]) == ("Holidays and strikes", 3)


async def test_changes_are_forgotten_only_when_asked_and_come_back(clinic: Clinic) -> None:
    path = await _policy(clinic, "Evenings")
    async with clinic.console(clinic.day.first_responder, *ROLES) as console:
        form = await _edit(console, path)
        await form.get_by_label("Name", exact=True).fill("Late evenings")
        await console.open("policies")
        await expect(console.page.get_by_role("article", name="Evenings")).to_contain_text("not saved")
        form = await _edit(console, path)
        await form.get_by_role("button", name="Forget my changes").click()
        await expect(form.get_by_label("Name", exact=True)).to_have_value("Evenings")
        await console.button("Bring it back")
        await expect(form.get_by_label("Name", exact=True)).to_have_value("Late evenings")


async def test_responders_read_policies_and_see_no_editor(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        await console.open("policies/new")
        usual = console.page.get_by_role("article", name="Clinical on call")
        await expect(usual).to_contain_text("the default")
        await expect(usual.locator("li").first).to_contain_text("You, then wait 2 s")
        await expect(console.page.get_by_role("link", name="Change")).to_have_count(0)
        await expect(console.page.get_by_role("link", name="New policy")).to_have_count(0)
        await expect(console.page.get_by_role("form")).to_have_count(0)
    async with clinic.console(clinic.day.therapist, "individual_therapist") as console:
        await console.open("policies")
        await console.says("Nothing is here")
