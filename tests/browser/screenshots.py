"""Pictures of every view of the console, for the guide: `make screenshots` writes them to docs/images/console."""

from __future__ import annotations

import asyncio
import base64
import re
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from playwright.async_api import Locator, Page, expect

from haven_dev import project
from haven_dev.day.actor import Actor
from haven_dev.runner import Platform
from tests.browser.console import DESKTOP, ENOUGH_MS, PARTS, PHONE, ROTATION, Clinic, Console, chromium

FOLDER = project.root() / "docs" / "images" / "console"
QUALITY = 0.72
WAITING = re.compile(r"^(Loading\.|Opening the alert\.)$")
PHONE_VIEWS = ["follow-ups", "on-call", "more", "drill", "deliveries", "channels", "reviews", "device", "keys"]
SMALLER = """async ([png, quality]) => {
  const picture = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d").drawImage(picture, 0, 0);
  const small = await canvas.convertToBlob({ type: "image/webp", quality });
  return btoa(Array.from(new Uint8Array(await small.arrayBuffer()), (byte) => String.fromCharCode(byte)).join(""));
}"""


class Camera:
    """Takes pictures, and keeps them small."""

    def __init__(self, darkroom: Page) -> None:
        self._darkroom = darkroom

    async def take(self, name: str, page: Page) -> None:
        """A picture of what the page shows now."""
        png = base64.b64encode(await page.screenshot(animations="disabled")).decode()
        small = base64.b64decode(await self._darkroom.evaluate(SMALLER, [png, QUALITY]))
        (FOLDER / f"{name}.webp").write_bytes(small)
        sys.stdout.write(f"{name}.webp: {len(small) // 1024} KiB\n")


async def main() -> None:
    """Play a short night, and take pictures of it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            chromium() as browser,
            Platform(Path(folder), ephemeral=True, parts=PARTS) as platform,
            aiohttp.ClientSession() as http,
        ):
            camera = Camera(await browser.new_page())
            await _night(await Clinic.begin(platform, http, browser), camera)


async def _night(clinic: Clinic, camera: Camera) -> None:
    day = clinic.day
    rosa = await clinic.person()
    away = await clinic.person("Sam")
    opened = await clinic.help(away)
    await day.therapist.post(f"/v1/alerts/{opened}:breakGlass", {"reason": "The responder's line is dead."})
    await _close(day.second_responder, opened)
    roles = ("on_call_responder", "administrator")
    async with clinic.console(day.first_responder, sign_in=False, viewport=PHONE) as phone:
        await phone.page.get_by_role("button", name="Sign in").wait_for()
        await camera.take("sign-in", phone.page)
        await clinic.sign_in(phone.page, day.first_responder, *roles)
        await phone.button("Turn on the sound")
        alert = await clinic.help(rosa)
        await phone.card(alert).wait_for()
        await camera.take("alerts", phone.page)
        async with clinic.console(day.first_responder, *roles, viewport=DESKTOP, color_scheme="light") as desk:
            await desk.card(alert).wait_for()
            await camera.take("alerts-desktop", desk.page)
            await phone.card(alert).get_by_role("button", name="Acknowledge").click()
            await phone.says("You have it until")
            await camera.take("acknowledged", phone.page)
            await _look(desk, f"alerts/{alert}", "alert-desktop", camera)
            await _look(desk, "on-call", "on-call-desktop", camera)
        await _responder(phone, alert, camera)
        for view in PHONE_VIEWS:
            await _look(phone, view, view, camera)
        await phone.open("simulator")
        await phone.button("Show who is paged")
        await phone.page.get_by_role("region", name="Who is paged when").scroll_into_view_if_needed()
        await camera.take("simulator", phone.page)
        await _plan(phone, camera)


async def _responder(phone: Console, alert: str, camera: Camera) -> None:
    await _look(phone, f"alerts/{alert}", "alert", camera)
    await phone.page.get_by_role("heading", name="Where they are").scroll_into_view_if_needed()
    await camera.take("alert-place", phone.page)
    await phone.page.get_by_role("heading", name="Safety plan").scroll_into_view_if_needed()
    await camera.take("alert-plan", phone.page)
    await phone.button("Record contact")
    await phone.page.get_by_role("form", name="Record contact").scroll_into_view_if_needed()
    await camera.take("contact", phone.page)


async def _plan(phone: Console, camera: Camera) -> None:
    page = phone.page
    await phone.open("on-call")
    await page.get_by_role("button", name="Change who has it").nth(1).click()
    form = page.get_by_role("form", name="Change who has it")
    await expect(form).to_contain_text("Somebody is on call at every moment", timeout=ENOUGH_MS)
    await _at_the_top(form)
    await camera.take("override", page)
    await phone.open("policies")
    await page.get_by_role("link", name="Change Clinical on call").click()
    await _at_the_top(page.get_by_role("group", name="Step 2"))
    await camera.take("policy", page)
    await phone.open(f"rotations/{ROTATION}")
    await _at_the_top(page.get_by_role("group", name="Layer 1"))
    await camera.take("rotation", page)


async def _at_the_top(part: Locator) -> None:
    await part.evaluate("each => each.scrollIntoView({ block: 'start' })")


async def _look(console: Console, view: str, name: str, camera: Camera) -> None:
    await console.open(view)
    await expect(console.page.get_by_text(WAITING)).to_have_count(0, timeout=ENOUGH_MS)
    await camera.take(name, console.page)


async def _close(responder: Actor, alert: str) -> None:
    due = datetime.now(UTC) + timedelta(hours=20)
    await responder.eventually(f"/v1/alerts/{alert}", bool)  # once the policy has come to them
    await responder.post(f"/v1/alerts/{alert}:acknowledge")
    await responder.post(f"/v1/alerts/{alert}:recordContact", {"reached": True, "way": "phone"})
    await responder.post(
        f"/v1/alerts/{alert}:close",
        {
            "disposition": "DISPOSITION_SUPPORTED",
            "riskLevel": "RISK_LEVEL_LOW",
            "nobodyTold": True,
            "followUpDueAt": due.isoformat(),
        },
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
