"""The trace of the call for help: from the gateway to the page, and over NATS to whoever reacts."""

from __future__ import annotations

import asyncio
import time

from haven_dev.day.day import Day
from haven_dev.otlp import Span

PATIENCE_S = 20.0
PARTS = ("gateway", "sessions", "crisis")


def missing(spans: list[Span]) -> list[str]:
    """What the trace of a call for help lacks: processes, or stations on the way."""
    names = {span.name for span in spans}
    lacks = [part for part in PARTS if part not in {span.service for span in spans}]
    stations = {
        "the gateway's request": any("callForHelp" in name for name in names),
        "the call to sessions": any(name.endswith("HelpService/CallForHelp") for name in names),
        "the call to crisis": any(name.endswith("CrisisService/RaiseSignal") for name in names),
        "the commit": any(span.name == "commit" and span.service == "crisis" for span in spans),
        "the event's publication": any(name.startswith("publish haven.sessions") for name in names),
        "the reaction in crisis": any(name.startswith("react") for name in names),
        "the page": any("page" in name for name in names),
    }
    return lacks + [station for station, there in stations.items() if not there]


async def complete_trace(day: Day) -> str:
    """The trace as a tree with durations, once all its spans have come. Raises AssertionError where they do not."""
    deadline = time.monotonic() + PATIENCE_S
    while lacks := missing(day.platform.otlp.trace(day.made["trace"])):
        if time.monotonic() > deadline:
            raise AssertionError(f"the trace lacks: {', '.join(lacks)}")
        await asyncio.sleep(0.2)
    return day.platform.otlp.tree(day.made["trace"])
