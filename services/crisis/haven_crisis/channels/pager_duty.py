"""PagerDuty, by its Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview"""

from __future__ import annotations

from typing import Any

import orjson
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.adapter import code_text
from haven_crisis.channels.http import Http
from haven_crisis.channels.outcome import ACCEPTED, Outcome
from haven_crisis.directory import Channel
from haven_crisis.settings import CrisisSettings
from haven_kit import ids

SOURCE = "haven-crisis"


class PagerDuty:
    """Pages as incidents of a PagerDuty service."""

    def __init__(self, http: Http, settings: CrisisSettings) -> None:
        self._http = http
        self._url = f"{settings.pager_duty_url.rstrip('/')}/v2/enqueue"

    async def page(self, channel: Channel, page: PageText) -> Outcome:
        """Trigger an incident; one that is sent again joins it."""
        key = self.reference(page)
        severity = "critical" if page.alert_id else "warning"
        outcome = await self._enqueue(channel, "trigger", key, page.title, severity, page.link)
        return Outcome(outcome.state, reference=key) if outcome == ACCEPTED else outcome

    def reference(self, page: PageText) -> str:
        """The key of a page's incident."""
        return round_key(page)

    async def code(self, channel: Channel, code: str) -> Outcome:
        """Trigger an incident that says the code."""
        return await self._enqueue(channel, "trigger", ids.new_id(), code_text(code), "info", "")

    async def over(self, channel: Channel, key: str) -> Outcome:
        """Resolve the incident of a page."""
        return await self._http.post(
            self._url, json={"routing_key": channel.secret, "event_action": "resolve", "dedup_key": key}
        )

    async def _enqueue(
        self, channel: Channel, action: str, key: str, summary: str, severity: str, link: str
    ) -> Outcome:
        event: dict[str, Any] = {
            "routing_key": channel.secret,
            "event_action": action,
            "dedup_key": key,
            "client": "Haven",
            "payload": {"summary": summary, "source": SOURCE, "severity": severity},
        }
        if link:
            event |= {"client_url": link, "links": [{"href": link, "text": "Open"}]}
        return await self._http.post(self._url, data=orjson.dumps(event), headers={"content-type": "application/json"})


def round_key(page: PageText) -> str:
    """What pages of one alert and one step of its paging share. A notice, which is about no alert, goes by its own id.

    A page that is sent again is the same incident. A new step is a new one, even where the earlier one was acknowledged
    at the provider: what was answered there and not here must not keep the next step from being heard.
    """
    return f"{page.alert_id}.{page.cycle}.{page.stage}" if page.alert_id else page.page_id
