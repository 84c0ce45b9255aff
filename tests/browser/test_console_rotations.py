"""The editor of rotations: gaps are shown before saving, who is on call after it, and nothing typed is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import Locator, expect

from haven_kit import ids
from tests.browser.console import ENOUGH_MS, ROTATION, Clinic, Console

ROLES = ("on_call_responder", "administrator")
AHEAD = "What it means for the plan"
WEEKS = "As it is saved: the next two weeks"


async def _rotation(clinic: Clinic, name: str) -> str:
    """The path of a rotation of two responders who take turns of a day."""
    day = clinic.day
    path = f"/v1/on-call/rotations/{ids.new_id()}"
    turns = {
        "name": name,
        "responderIds": [day.first_responder.sub, day.second_responder.sub],
        "shiftDays": 1,
        "timeZone": "Europe/Berlin",
        "handOver": "07:30",
        "firstDay": "2026-01-05",
    }
    await day.administrator.put(path, {"rotation": turns})
    return path


async def _named(clinic: Clinic, name: str) -> list[Any]:
    found = await clinic.day.administrator.get("/v1/on-call/rotations")
    return [each for each in found["rotations"] if each["name"] == name]


async def _edit(console: Console, path: str) -> Locator:
    await console.open(f"rotations/{path.rpartition('/')[2]}")
    form = console.page.get_by_role("form", name="Rotation")
    await expect(form).to_be_visible(timeout=ENOUGH_MS)
    return form


def _layer(form: Locator, number: int) -> Locator:
    return form.get_by_role("group", name=f"Layer {number}", exact=True)


async def test_a_rotation_is_written_and_its_gap_is_shown_before_it_is_saved(clinic: Clinic) -> None:
    first, second = clinic.day.first_responder, clinic.day.second_responder
    name = "Follow the sun"
    soon = (datetime.now(UTC) + timedelta(days=5)).strftime("%Y-%m-%d")
    async with clinic.console(first, *ROLES, trouble=True) as console:
        await console.open("rotations")
        await console.page.get_by_role("link", name="New rotation").click()
        form = console.page.get_by_role("form", name="Rotation")
        ahead = form.get_by_role("group", name=AHEAD)
        await expect(ahead).to_contain_text("Gaps are shown when every layer says")
        await form.get_by_label("Name", exact=True).fill(name)
        base = _layer(form, 1)
        await base.get_by_label("Turn 1", exact=True).select_option(label="Responder 1")
        await base.get_by_role("button", name="Add a turn to layer 1").click()
        await expect(base.get_by_label("Turn 2", exact=True)).to_be_focused()
        await base.get_by_label("Turn 2", exact=True).select_option(label="Responder 2")
        await base.get_by_label("Time zone").fill("America/Chicago")
        await expect(ahead).to_contain_text("Somebody is on call at every moment until")
        await base.get_by_label("First day").fill(soon)
        await expect(ahead).to_contain_text("This would be refused:")
        gap = ahead.get_by_text("Begin the first turn earlier, widen a layer, or add an override.")
        await expect(gap).to_be_visible()
        sentence = await gap.inner_text()
        await form.get_by_role("button", name="Save", exact=True).click()
        refusal = form.get_by_role("alert").filter(has_text="Not saved.")
        await expect(refusal).to_contain_text(sentence)
        assert await _named(clinic, name) == []
        await base.get_by_label("First day").fill("2026-01-05")
        await base.get_by_label("Length of a turn").fill("12")
        await base.get_by_label("in", exact=True).select_option(label="hours")
        await form.get_by_role("button", name="Add a layer").click()
        day = _layer(form, 2)
        await expect(day.get_by_label("Name of the layer")).to_be_focused()
        await day.get_by_label("Name of the layer").fill("Berlin days")
        await day.get_by_label("Turn 1", exact=True).select_option(label="Responder 2")
        await day.get_by_label("Time zone").fill("Europe/Berlin")
        await day.get_by_role("button", name="Limit to times of the week").click()
        times = day.get_by_role("group", name="Times 1")
        await expect(times.get_by_label("Monday", exact=True)).to_be_focused()
        await times.get_by_label("Saturday").check()
        await times.get_by_label("Monday", exact=True).check()
        await times.get_by_label("From").fill("22:00")
        await times.get_by_label("Up to").fill("06:00")
        await expect(times).to_contain_text("On the next day.")
        await expect(ahead).to_contain_text("Somebody is on call at every moment until")
        await form.get_by_role("button", name="Save", exact=True).click()
        await console.says(f"{name} is saved.")
        await expect(console.page.get_by_role("region", name=WEEKS).get_by_role("listitem").first).to_be_visible()
        (saved,) = await _named(clinic, name)
        one, two = saved["layers"]
        assert one["responderIds"] == [first.sub, second.sub]
        assert (one["turnHours"], one["timeZone"], one["firstDay"]) == (12, "America/Chicago", "2026-01-05")
        assert (two["name"], two["turnDays"], two["timeZone"]) == ("Berlin days", 7, "Europe/Berlin")
        assert two["windows"] == [{"days": ["WEEKDAY_MONDAY", "WEEKDAY_SATURDAY"], "starts": "22:00", "ends": "06:00"}]
        await console.button("Take this rotation out")
        await console.button("Take it out")
        await console.says(f"{name} is taken out.")
        assert await _named(clinic, name) == []


async def test_who_is_on_call_is_shown_as_it_is_saved_and_turns_change_places(clinic: Clinic) -> None:
    path = await _rotation(clinic, "Berlin")
    async with clinic.console(clinic.day.first_responder, *ROLES, timezone_id="Europe/Berlin") as console:
        form = await _edit(console, path)
        weeks = console.page.get_by_role("region", name=WEEKS).get_by_role("listitem")
        before = await weeks.nth(1).inner_text()
        assert ", 07:30 to " in before
        turns = _layer(form, 1).get_by_role("group", name="Who takes turns, in this order")
        await turns.get_by_role("button", name="Move turn 1 of layer 1 down").click()
        await expect(turns.get_by_role("button", name="Move turn 2 of layer 1 up")).to_be_focused()
        await form.get_by_role("button", name="Save", exact=True).click()
        await console.says("Berlin is saved.")
        other = "Responder 2" if before.endswith("Responder 1") else "Responder 1"
        await expect(weeks.nth(1)).to_have_text(before.rpartition(": ")[0] + f": {other}")
        await expect(form.get_by_role("button", name="Forget my changes")).to_have_count(0)
        saved = await clinic.day.administrator.get(path)
        order = [clinic.day.second_responder.sub, clinic.day.first_responder.sub]
        assert [each["responderIds"] for each in saved["layers"]] == [order]


async def test_a_field_that_is_wrong_says_so_itself(clinic: Clinic) -> None:
    path = await _rotation(clinic, "Weekends")
    async with clinic.console(clinic.day.first_responder, *ROLES, trouble=True) as console:
        form = await _edit(console, path)
        zone = _layer(form, 1).get_by_label("Time zone")
        await zone.fill("Mars/Olympus")
        await form.get_by_role("button", name="Save", exact=True).click()
        sentence = "This is not an IANA time zone, such as America/New_York."
        await expect(zone).to_have_attribute("aria-invalid", "true")
        await expect(zone).to_have_accessible_description(
            f"By place, as Europe/Berlin. Hand-over is at the same wall time all year. {sentence}"
        )
        await form.get_by_role("button", name=f"Layer 1, time zone: {sentence}").click()
        await expect(zone).to_be_focused()
        await expect(zone).to_have_value("Mars/Olympus")


async def test_a_rotation_that_somebody_else_saved_meanwhile_is_shown_and_nothing_typed_is_lost(clinic: Clinic) -> None:
    administrator = clinic.day.administrator
    path = await _rotation(clinic, "Holidays")
    async with clinic.console(clinic.day.first_responder, *ROLES, trouble=True) as console:
        form = await _edit(console, path)
        name, hand_over = form.get_by_label("Name", exact=True), form.get_by_label("Hand-over at")
        await name.fill("Holidays and strikes")
        theirs = await administrator.get(path)
        await administrator.put(path, {"rotation": theirs | {"handOver": "09:00"}})
        await form.get_by_role("button", name="Save", exact=True).click()
        await expect(form.get_by_role("alert")).to_contain_text("somebody else saved it after you had opened it")
        await form.get_by_role("button", name="Show what is saved now").click()
        await expect(hand_over).to_have_value("09:00")
        await form.get_by_role("button", name="Back to what I typed").click()
        await expect(name).to_have_value("Holidays and strikes")
        await hand_over.fill("09:00")
        await form.get_by_role("button", name="Save", exact=True).click()
        await console.says("Holidays and strikes is saved.")
        saved = await administrator.get(path)
        assert (saved["name"], saved["layers"][0]["handOver"]) == ("Holidays and strikes", "09:00")


async def test_responders_read_rotations_and_see_no_editor(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        await console.open(f"rotations/{ROTATION}")
        evening = console.page.get_by_role("article", name="Evening on call")
        await expect(evening).to_contain_text("You, Responder 2")
        await expect(evening).to_contain_text("each a day, hand-over at 08:00 in America/Chicago")
        for name in ("Change", "New rotation"):
            await expect(console.page.get_by_role("link", name=name)).to_have_count(0)
        await expect(console.page.get_by_role("form")).to_have_count(0)
