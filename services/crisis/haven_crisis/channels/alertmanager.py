"""An Alertmanager, or what takes alerts as it does: POST /api/v2/alerts.

https://prometheus.io/docs/alerting/latest/alerts_api/
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.adapter import code_text
from haven_crisis.channels.http import Http
from haven_crisis.channels.outcome import ACCEPTED, Outcome
from haven_crisis.channels.pager_duty import round_key
from haven_crisis.directory import Channel
from haven_kit import ids
from haven_kit.clock import Clock

FIRES_FOR = timedelta(hours=1)
"""Without an end, Alertmanager takes an alert for resolved five minutes after it was last told of it."""

NAMES = {False: "HavenCrisisAlert", True: "HavenCrisisDrill"}
NOTICE = "HavenCrisisNotice"
"""What is about no alert, and has nothing to take."""


class Alertmanager:
    """Pages as alerts that fire until they are over."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    async def page(self, channel: Channel, page: PageText) -> Outcome:
        """Have the alert fire; one that is sent again is the same alert."""
        key = round_key(page)
        told = {"summary": page.title, "link": page.link}
        outcome = await self._post(channel, key, _name(page), told, FIRES_FOR)
        return Outcome(outcome.state, reference=self.reference(page)) if outcome == ACCEPTED else outcome

    def reference(self, page: PageText) -> str:
        """The name and the key of a page's alert."""
        return f"{_name(page)}/{round_key(page)}"

    async def code(self, channel: Channel, code: str) -> Outcome:
        """Have an alert fire that says the code."""
        return await self._post(channel, ids.new_id(), "HavenChannelCode", {"summary": code_text(code)}, FIRES_FOR)

    async def over(self, channel: Channel, reference: str) -> Outcome:
        """Have the alert of a page end."""
        name, _, key = reference.partition("/")
        return await self._post(channel, key, name, {}, timedelta())

    async def _post(self, channel: Channel, key: str, name: str, told: dict[str, str], fires_for: timedelta) -> Outcome:
        now = self._clock.now()
        severity = "warning" if name == NOTICE else "critical"
        alert: dict[str, Any] = {
            "labels": {"alertname": name, "severity": severity, "service": "haven-crisis", "round": key},
            "annotations": told,
            "startsAt": _written(now),
            "endsAt": _written(now + fires_for),
        }
        return await self._http.post(f"{channel.address.rstrip('/')}/api/v2/alerts", json=[alert])


def _name(page: PageText) -> str:
    return NAMES[page.drill] if page.alert_id else NOTICE


def _written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
