"""PagerDuty's Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from haven_dev.providers.server import Provider

_SEVERITIES = ("critical", "error", "warning", "info")
_ACTIONS = ("trigger", "acknowledge", "resolve")


@dataclass
class Incident:
    """What events with one key made."""

    dedup_key: str
    status: str
    """triggered, acknowledged or resolved."""
    events: list[dict[str, Any]] = field(default_factory=list)


class PagerDuty(Provider):
    """Services by their routing keys."""

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(port=port)
        self.routing_key = secrets.token_hex(16)
        self.incidents: dict[str, Incident] = {}

    def routes(self) -> list[web.RouteDef]:
        """The one that takes events."""
        return [web.post("/v2/enqueue", self._enqueue)]

    def shown(self) -> object:
        """Incidents, the newest last."""
        return [
            {"key": each.dedup_key, "status": each.status, "events": each.events} for each in self.incidents.values()
        ]

    def refusal(self, status: int) -> web.Response:
        """Its own words for being asked too much."""
        told = {"status": "throttle exceeded", "message": "Requests for this service are arriving too quickly."}
        return web.json_response(told, status=429) if status == 429 else super().refusal(status)

    async def _enqueue(self, request: web.Request) -> web.Response:
        try:
            event = await request.json()
        except json.JSONDecodeError:
            return _invalid(["JSON is invalid"])
        errors = _errors(event)
        if errors:
            return _invalid(errors)
        key = event.get("dedup_key") or secrets.token_hex(16)
        self._apply(event, key)
        return web.json_response({"status": "success", "message": "Event processed", "dedup_key": key}, status=202)

    def _apply(self, event: dict[str, Any], key: str) -> None:
        # An unknown routing key is taken too, and goes nowhere.
        if event["routing_key"] != self.routing_key:
            return
        held = self.incidents.get(key)
        action = event["event_action"]
        if action == "trigger":
            # Joins an incident that is not resolved, and does not wake anybody about one that was acknowledged.
            if held is None or held.status == "resolved":
                held = self.incidents[key] = Incident(key, "triggered")
        elif held is not None and held.status != "resolved":
            held.status = "acknowledged" if action == "acknowledge" else "resolved"
        if held is not None:
            held.events.append(event)


def _errors(event: Any) -> list[str]:
    if not isinstance(event, dict):
        return ["Event object is invalid"]
    found = []
    if not isinstance(event.get("routing_key"), str) or len(event["routing_key"]) != 32:
        found.append("'routing_key' is missing or blank")
    action = event.get("event_action")
    if action not in _ACTIONS:
        found.append("'event_action' is missing, blank or invalid")
    if len(event.get("dedup_key") or "") > 255:
        found.append("'dedup_key' is too long")
    if action in ("acknowledge", "resolve") and not event.get("dedup_key"):
        found.append("'dedup_key' is missing or blank")
    payload = event.get("payload")
    if action == "trigger":
        payload = payload if isinstance(payload, dict) else {}
        found += [f"'payload.{name}' is missing or blank" for name in ("summary", "source") if not payload.get(name)]
        if payload.get("severity") not in _SEVERITIES:
            found.append("'payload.severity' is invalid (must be one of: critical, error, warning, info)")
    return found


def _invalid(errors: list[str]) -> web.Response:
    told = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
    return web.json_response(told, status=400)
