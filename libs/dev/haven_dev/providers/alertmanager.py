"""Alertmanager's API v2: alerts that fire until their end, known by their labels.

After https://prometheus.io/docs/alerting/latest/alerts_api/ and api/v2/openapi.yaml of prometheus/alertmanager.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from haven_dev.providers.server import Provider

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
Labels = frozenset[tuple[str, str]]


@dataclass
class Alert:
    """One alert."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    posts: int = 1


class Alertmanager(Provider):
    """Takes alerts."""

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(port=port)
        self.alerts: dict[Labels, Alert] = {}

    def routes(self) -> list[web.RouteDef]:
        """The one that takes alerts."""
        return [web.post("/api/v2/alerts", self._post)]

    def shown(self) -> object:
        """Alerts, the newest last."""
        return [
            {"labels": each.labels, "annotations": each.annotations, "ends_at": each.ends_at.isoformat()}
            for each in self.alerts.values()
        ]

    def firing(self, at: datetime) -> list[Alert]:
        """Alerts that are not resolved."""
        return [each for each in self.alerts.values() if each.ends_at > at]

    async def _post(self, request: web.Request) -> web.Response:
        try:
            given = [_alert(each) for each in await request.json()]
        except (json.JSONDecodeError, ValueError, TypeError, KeyError) as error:
            return web.json_response(str(error), status=400)
        for alert in given:
            self._merge(alert)
        return web.Response(status=200)

    def _merge(self, new: Alert) -> None:
        key = frozenset(new.labels.items())
        held = self.alerts.get(key)
        # The earlier start stays; the end is what was said last.
        if held is not None:
            new.starts_at = min(held.starts_at, new.starts_at)
            new.annotations = new.annotations or held.annotations
            new.posts = held.posts + 1
        self.alerts[key] = new


def _alert(given: Any) -> Alert:
    labels = {name: value for name, value in given["labels"].items() if value}
    if not labels:
        raise ValueError("at least one label pair required")
    for name in labels:
        if not _LABEL.fullmatch(name):
            raise ValueError(f"invalid label set: invalid name {name!r}")
    starts_at, ends_at = (datetime.fromisoformat(given[name]) for name in ("startsAt", "endsAt"))
    if starts_at.tzinfo is None or ends_at.tzinfo is None:
        raise ValueError("parsing time: no zone")
    if ends_at < starts_at:
        raise ValueError("start time must be before end time")
    return Alert(labels, dict(given.get("annotations", {})), starts_at, ends_at)
