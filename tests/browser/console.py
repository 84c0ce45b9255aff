"""The console in a real browser, and the program behind it: crisis and intake, at the real time of day."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from playwright.async_api import Browser, BrowserContext, Locator, Page, Route, async_playwright, expect

from haven_dev.day import before
from haven_dev.day.actor import Actor, Web
from haven_dev.day.day import STAFF, Clock, Day, Who
from haven_dev.issuer import Issuer
from haven_dev.runner import Platform

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)
PARTS = ("intake", "crisis", "gateway")
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}
ENOUGH_MS = 10_000
ROTATION = "0197c0de-0000-7000-8000-000000000002"
NOTE = "I do not feel safe tonight."
CORS = {"content-type": "application/json", "access-control-allow-origin": "*", "cache-control": "no-store"}
"""Headers of an answer that a provider gives to a page of another origin."""

PLAN = {
    "warningSigns": ["I stop answering messages", "Everything feels far away"],
    "coping": ["Cold water on my wrists", "Counting breaths to forty"],
    "distractions": ["The library on Clark Street"],
    "peopleToAsk": ["My sister Ana"],
    "professionals": ["Dr. Ito", "988, call or text"],
    "saferSurroundings": ["Ana keeps the medicine"],
}
HOME = {
    "address": "18 Elm Street, Apt 4, Chicago",
    "region": "IL",
    "country": "US",
    "accessNote": "Bell 4, third floor",
}
CONTACTS = [
    {
        "name": "Ana Alvarez",
        "relationship": "sister",
        "ways": [{"kind": "phone", "address": "312-555-0177", "safeTimes": "any time", "mayLeaveMessage": True}],
        "consented": True,
    },
    {"name": "Former partner", "relationship": "partner", "neverContact": True},
]


class RealTime(Clock):
    """The platform's time of day as it is: a browser cannot be set forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> datetime:
        """Now."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class Straight:
    """The platform as seen past the gateway: crisis answers by itself."""

    platform: Platform

    @property
    def gateway_url(self) -> str:
        """Where crisis answers."""
        return self.platform.crisis_url

    @property
    def issuer(self) -> Issuer:
        """The sign-in provider."""
        return self.platform.issuer


@dataclass
class Console:
    """A signed-in browser tab, and what went wrong in it."""

    page: Page
    context: BrowserContext
    problems: list[str] = field(default_factory=list)

    async def open(self, view: str) -> None:
        """Go to a view."""
        await self.page.evaluate(
            """view => new Promise((done) => {
              location.hash = view;
              requestAnimationFrame(() => requestAnimationFrame(done));
            })""",
            f"#/{view}",
        )

    async def button(self, name: str) -> None:
        """Press a button."""
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def says(self, text: str) -> None:
        """Wait until the page shows a text."""
        await expect(self.page.get_by_text(text).first).to_be_visible(timeout=ENOUGH_MS)

    def card(self, alert_id: str) -> Locator:
        """An alert in the list."""
        return self.page.locator("article.card").filter(has=self.page.locator(f'a[href="#/alerts/{alert_id}"]'))

    async def choose(self, label: str, option: str) -> None:
        """Choose from a list."""
        await self.page.get_by_label(label).select_option(label=option)


@dataclass
class Clinic:
    """The program: its people, and consoles for its staff."""

    day: Day
    browser: Browser
    front: Web
    """The way through the gateway, to intake."""

    @property
    def platform(self) -> Platform:
        """What it runs on."""
        return self.day.platform

    @classmethod
    async def begin(cls, platform: Platform, http: aiohttp.ClientSession, browser: Browser) -> Clinic:
        """Two responders on call, of whom the second is paged when the first does not answer."""
        clock = RealTime()
        past_the_gateway = Web(Straight(platform), http, clock.now)
        day = Day(platform, past_the_gateway, lambda _: None, clock, Who.anyone())
        for name, roles in STAFF.items():
            day.sign_in(name, *roles)
        await before.on_call(day)
        turns = {
            "name": "Evening on call",
            "responderIds": [day.first_responder.sub, day.second_responder.sub],
            "shiftDays": 1,
            "timeZone": "America/Chicago",
            "handOver": "08:00",
            "firstDay": "2026-01-05",
        }
        await day.administrator.put(f"/v1/on-call/rotations/{ROTATION}", {"rotation": turns | {"rotationId": ROTATION}})
        return cls(day, browser, Web(platform, http, clock.now))

    async def person(self, given: str = "Rosa") -> Actor:
        """Somebody with a card, a safety plan, contacts and a confirmed place."""
        who = Who.anyone()
        coordinator = Actor(self.front, "coordinator", "care_coordinator")
        about = {
            "givenName": given,
            "familyName": who.family,
            "birthDate": who.birth_date,
            "phones": [{"value": who.phone, "use": "mobile"}],
            "timeZone": "America/Chicago",
            "languages": ["en"],
        }
        referral = {"person": about, "kind": "REFERRAL_KIND_CLINICIAN", "reason": "asked for help"}
        made = await coordinator.post("/v1/referrals", referral)
        await coordinator.post(f"/v1/referrals/{made['referralId']}:accept")
        record = f"/v1/people/{made['personId']}"
        safe = {"channel": "phone", "value": who.phone, "when": "before three", "messageOk": False}
        preferences = {"chosenName": "Rosie", "pronouns": "she/her", "safeContacts": [safe], "codeWord": "marigold"}
        at_intake = Actor(self.front, given, "participant", person_id=made["personId"])
        await at_intake.put(f"{record}/preferences", {"preferences": preferences})
        someone = Actor(self.day.web, given, "participant", person_id=made["personId"], sub=at_intake.sub)
        await someone.put(f"{record}/safety-plan", {"plan": PLAN})
        await someone.put(f"{record}/crisis-contacts", {"contacts": {"contacts": CONTACTS}})
        await someone.put(f"{record}/location", {"location": HOME})
        return someone

    async def help(self, someone: Actor | None = None) -> str:
        """Somebody calls for help, past the gateway. Returns the alert."""
        caller = someone or Actor(self.day.web, "somebody", "participant", person_id=str(uuid.uuid4()))
        called = await caller.post("/v1/signals", {"note": NOTE})
        return str(called["alertId"])

    @asynccontextmanager
    async def console(
        self, who: Actor, *roles: str, sign_in: bool = True, trouble: bool = False, **options: Any
    ) -> AsyncIterator[Console]:
        """A browser of its own in which this member of staff signs in.

        Unless there is to be `trouble`, nothing may go wrong in it: no script fails, nothing breaks the security
        policy, no request fails, and nobody outside is asked.
        """
        context = await self.browser.new_context(
            **{"viewport": PHONE, "color_scheme": "dark", "locale": "en-US", "service_workers": "allow", **options}
        )
        context.set_default_timeout(ENOUGH_MS)
        page = await context.new_page()
        console = Console(page, context)
        own = (self.platform.crisis_url, self.platform.issuer.url)
        page.on("console", lambda message: message.type == "error" and console.problems.append(message.text))
        page.on("pageerror", lambda error: console.problems.append(str(error)))
        context.on("request", lambda sent: sent.url.startswith(own) or console.problems.append(f"asked {sent.url}"))
        try:
            await page.goto(f"{self.platform.crisis_url}/console/")
            if sign_in:
                await self.sign_in(page, who, *roles)
            yield console
            assert trouble or not console.problems, console.problems
        finally:
            await context.close()

    async def sign_in(self, page: Page, who: Actor, *roles: str) -> None:
        """Sign in at the provider as somebody would."""
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await self.at_provider(page, who, *roles)
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=ENOUGH_MS)

    async def at_provider(self, page: Page, who: Actor, *roles: str) -> None:
        """What somebody does at the development issuer."""
        for role in roles or ("on_call_responder",):
            await page.get_by_label(role.replace("_", " "), exact=True).check()
        await page.get_by_label("Account").fill(who.sub)
        await page.get_by_role("button", name="Sign in").click()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium."""
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=BROWSER, args=[*as_root, "--autoplay-policy=user-gesture-required"]
        )
        try:
            yield browser
        finally:
            await browser.close()


async def tokens(page: Page, clinic: Clinic, *, lifetime_s: int, refresh: str = "") -> list[str]:
    """Make the provider's tokens short, or renewable. Returns what was given to renew one."""
    issuer, sub = clinic.platform.issuer, clinic.day.first_responder.sub
    renewed: list[str] = []

    async def answer(route: Route) -> None:
        if "grant_type=refresh_token" in (route.request.post_data or ""):
            renewed.append(refresh)
            given = {"token_type": "Bearer", "access_token": issuer.token("on_call_responder", sub=sub)}
            await route.fulfill(status=200, body=json.dumps(given | {"expires_in": 3600}), headers=CORS)
            return
        given = await (await route.fetch()).json()
        given["access_token"] = issuer.token("on_call_responder", sub=sub, lifetime_s=lifetime_s)
        given |= {"expires_in": lifetime_s} | ({"refresh_token": refresh} if refresh else {})
        await route.fulfill(status=200, body=json.dumps(given), headers=CORS)

    await page.route(f"{issuer.url}/token", answer)
    return renewed
