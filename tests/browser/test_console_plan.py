"""Time off and overrides in the console: what each would mean for the plan is shown before it is saved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from playwright.async_api import Locator, expect

from haven_dev.day.actor import Actor
from tests.browser.console import ENOUGH_MS, ROTATION, Clinic, Console

CHICAGO = ZoneInfo("America/Chicago")
AHEAD = "What it means for the plan"
ROLES = ("on_call_responder", "administrator")


def _typed(at: datetime) -> str:
    """What somebody in Chicago types for a moment."""
    return at.astimezone(CHICAGO).strftime("%Y-%m-%dT%H:%M")


async def _duties(clinic: Clinic, who: Actor) -> list[tuple[datetime, datetime]]:
    """The stretches in which somebody is on call, from the day after tomorrow on."""
    now = datetime.now(UTC)
    found = await clinic.day.administrator.get(
        "/v1/on-call/duties",
        starts_at=(now + timedelta(days=2)).isoformat(),
        ends_at=(now + timedelta(days=13)).isoformat(),
        rotation_id=ROTATION,
        responder_id=who.sub,
    )
    return [
        (datetime.fromisoformat(each["startsAt"]), datetime.fromisoformat(each["endsAt"])) for each in found["duties"]
    ]


async def _rotation(clinic: Clinic) -> Any:
    return await clinic.day.administrator.get(f"/v1/on-call/rotations/{ROTATION}")


async def _between(form: Locator, starts: datetime, ends: datetime) -> None:
    await form.get_by_label("From").fill(_typed(starts))
    await form.get_by_label("Up to").fill(_typed(ends))


def _sentence(starts: datetime, ends: datetime) -> str:
    shown = [at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") for at in (starts, ends)]
    return f"is on call from {shown[0]} to {shown[1]} and has time off then."


async def test_time_off_is_noted_listed_and_taken_back(clinic: Clinic) -> None:
    first, second = clinic.day.first_responder, clinic.day.second_responder
    path = f"/v1/on-call/responders/{first.sub}/time-off"
    start = (await _duties(clinic, second))[0][0] + timedelta(hours=3)
    async with clinic.console(first, timezone_id="America/Chicago") as console:
        await console.open("on-call")
        part = console.page.get_by_role("region", name="Time off")
        await expect(part).to_contain_text("None is noted.")
        await part.get_by_role("button", name="Note time off").click()
        form = part.get_by_role("form", name="Note time off")
        await expect(form.get_by_label("From")).to_be_focused()
        await _between(form, start, start + timedelta(hours=4))
        await expect(form.get_by_role("group", name=AHEAD)).to_contain_text("You are not on call in it.")
        assert (await first.get(path))["timeOff"] == [], "nothing is saved before it is asked for"
        await form.get_by_role("button", name="Save time off").click()
        await expect(part.locator("li.card")).to_have_count(1)
        await expect(part.get_by_role("button", name="Note time off")).to_be_focused()
        (saved,) = (await first.get(path))["timeOff"]
        assert datetime.fromisoformat(saved["startsAt"]) == start.replace(second=0, microsecond=0)
        await part.get_by_role("button", name="Take it back").click()
        await expect(part).to_contain_text("None is noted.")
        await console.button("Note it again")
        await expect(part.locator("li.card")).to_have_count(1)
        await part.get_by_role("button", name="Take it back").click()
        await expect(part).to_contain_text("None is noted.")
        assert (await first.get(path))["timeOff"] == []


async def test_time_off_that_meets_a_duty_is_shown_to_and_its_refusal_is_told_as_it_is(clinic: Clinic) -> None:
    first = clinic.day.first_responder
    start = (await _duties(clinic, first))[0][0] + timedelta(hours=3)
    end = start + timedelta(hours=4)
    async with clinic.console(first, timezone_id="America/Chicago", trouble=True) as console:
        await console.open("on-call")
        await console.button("Note time off")
        form = console.page.get_by_role("form", name="Note time off")
        await _between(form, start, end)
        ahead = form.get_by_role("group", name=AHEAD)
        await expect(ahead).to_contain_text("You are on call in it. It is refused until somebody else has:")
        await expect(ahead).to_contain_text("Evening on call")
        await form.get_by_role("button", name="Save time off").click()
        await expect(form.get_by_role("alert")).to_contain_text(_sentence(start, end))
        await expect(form.get_by_role("alert")).to_contain_text("Give the stretch to somebody else by an override")
        await expect(form.get_by_label("From")).to_have_value(_typed(start))
        await console.open("alerts")
        await console.open("on-call")
        await console.button("Note time off")
        await expect(form.get_by_label("Up to")).to_have_value(_typed(end))


async def test_an_administrator_gives_a_shift_to_somebody_else_and_takes_that_back(clinic: Clinic) -> None:
    first, second = clinic.day.first_responder, clinic.day.second_responder
    before = (await _rotation(clinic))["overrides"]
    start, end = (await _duties(clinic, second))[1]
    middle = start + timedelta(hours=6)
    async with clinic.console(first, *ROLES, timezone_id="America/Chicago") as console:
        await console.open("on-call")
        change = console.page.get_by_role("button", name=f"Change who has it: {await _when(console, start, end)}")
        await change.click()
        form = console.page.get_by_role("form", name="Change who has it")
        await expect(form.get_by_label("Who takes it").locator("option:checked")).to_have_text("You")
        await form.get_by_label("Up to").fill(_typed(middle))
        ahead = form.get_by_role("group", name=AHEAD)
        await expect(ahead).to_contain_text("You, instead of Responder 2")
        await expect(ahead).to_contain_text("Somebody is on call at every moment until")
        assert (await _rotation(clinic))["overrides"] == before, "nothing is saved before it is asked for"
        await form.get_by_role("button", name="Save the change").click()
        await expect(console.page.get_by_role("heading", name="The next weeks")).to_be_focused(timeout=ENOUGH_MS)
        made = [each for each in (await _rotation(clinic))["overrides"] if each not in before]
        assert [(each["responderId"], datetime.fromisoformat(each["startsAt"])) for each in made] == [
            (first.sub, start)
        ]
        remove = console.page.get_by_role("button", name=f"Remove: You, {await _when(console, start, middle)}")
        await console.button("Dismiss")
        await remove.click()
        again = console.page.get_by_role("form", name="Remove the override")
        await expect(again.get_by_role("group", name=AHEAD)).to_contain_text("Somebody is on call")
        await again.get_by_role("button", name="Remove it").click()
        await expect(remove).to_have_count(0)
        assert (await _rotation(clinic))["overrides"] == before
        await console.button("Put it back")
        await expect(remove).to_have_count(1)
        await console.button("Dismiss")
        await remove.click()
        await again.get_by_role("button", name="Remove it").click()
        await expect(remove).to_have_count(0)
        assert (await _rotation(clinic))["overrides"] == before


async def test_a_shift_is_not_given_to_somebody_who_is_away(clinic: Clinic) -> None:
    first, second = clinic.day.first_responder, clinic.day.second_responder
    start, end = (await _duties(clinic, second))[2]
    away = {"startsAt": start.isoformat(), "endsAt": end.isoformat()}
    path = f"/v1/on-call/responders/{first.sub}/time-off"
    noted = await first.post(path, away)
    async with clinic.console(first, *ROLES, timezone_id="America/Chicago", trouble=True) as console:
        await console.open("on-call")
        await console.page.get_by_role("button", name=f"Change who has it: {await _when(console, start, end)}").click()
        form = console.page.get_by_role("form", name="Change who has it")
        ahead = form.get_by_role("group", name=AHEAD)
        await expect(ahead).to_contain_text("This would be refused:")
        await expect(ahead).to_contain_text(_sentence(start, end))
        await form.get_by_role("button", name="Save the change").click()
        await expect(form.get_by_role("alert")).to_contain_text(_sentence(start, end))
        # Once the time off is taken back, the same form goes through.
        part = console.page.get_by_role("region", name="Time off")
        await part.get_by_role("button", name="Take it back").click()
        await expect(part).to_contain_text("None is noted.")
        await form.get_by_label("Up to").fill(_typed(start + timedelta(hours=1)))
        await expect(ahead).to_contain_text("Somebody is on call at every moment until")
    assert noted["timeOffId"] not in {each["timeOffId"] for each in (await first.get(path))["timeOff"]}


async def test_who_may_not_change_the_plan_sees_no_button_for_it(clinic: Clinic) -> None:
    async with clinic.console(clinic.day.first_responder) as console:
        await console.open("on-call")
        await console.says("Note time off")
        await expect(
            console.page.get_by_role("region", name="The next weeks").get_by_role("listitem")
        ).not_to_have_count(0)
        for name in ("Change who has it", "Remove"):
            await expect(console.page.get_by_role("button", name=name)).to_have_count(0)
    async with clinic.console(clinic.day.therapist, "individual_therapist") as console:
        await console.open("on-call")
        await console.says("The next weeks")
        await expect(console.page.get_by_role("button", name="Note time off")).to_have_count(0)


async def _when(console: Console, starts: datetime, ends: datetime) -> str:
    """The stretch as the console writes it."""
    shown = await console.page.evaluate(
        """(stamps) => {
          const day = new Intl.DateTimeFormat([], { weekday: "short", month: "short", day: "numeric" });
          const time = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
          return stamps.map((each) => `${day.format(new Date(each))}, ${time.format(new Date(each))}`);
        }""",
        [starts.isoformat(), ends.isoformat()],
    )
    return " to ".join(shown)
