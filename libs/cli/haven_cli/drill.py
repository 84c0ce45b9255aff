"""`haven drill`: a call for help, marked as a drill, from the signal to the closed alert, on a running system."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import aiohttp
import typer

from haven_cli.output import fail, told

LOOK_EVERY_S = 0.2
_TAKEN = frozenset({"PAGE_STATE_ACCEPTED", "PAGE_STATE_DELIVERED"})


class DrillFailed(Exception):
    """The drill did not come through. The message says where it stopped."""


def drill(
    gateway: Annotated[
        str, typer.Option(envvar="HAVEN_GATEWAY", help="Where crisis answers: its own address, or a gateway's.")
    ],
    token: Annotated[
        str, typer.Option(envvar="HAVEN_TOKEN", help="Of an administrator who is an on-call responder.", hidden=False)
    ],
    within: Annotated[int, typer.Option(min=1, max=3600, help="Seconds for a provider to take the page.")] = 60,
) -> None:
    """Raise a drill, wait for its page, acknowledge, record contact and close it. People on call are paged."""
    try:
        asyncio.run(_drill(gateway.rstrip("/"), token, within))
    except DrillFailed as error:
        fail(str(error))
    except (aiohttp.ClientError, TimeoutError):
        fail(f"{gateway} does not answer.")


async def _drill(gateway: str, token: str, within: int) -> None:
    headers = {"authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=15)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:

        async def call(verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
            # A key for every call: what was done and not heard of is not done twice.
            key = {"idempotency-key": str(uuid.uuid4())} if verb != "GET" else {}
            async with session.request(verb, gateway + path, json=body, headers=key) as answer:
                found: dict[str, Any] = await answer.json(content_type=None)
                if answer.status != 200:
                    raise DrillFailed(f"{verb} {path}: {answer.status} {found.get('detail') or found.get('title')}")
                return found

        began = time.monotonic()
        signal = {"signalId": str(uuid.uuid4()), "personId": str(uuid.uuid4()), "source": "SIGNAL_SOURCE_DRILL"}
        alert = f"/v1/alerts/{(await call('POST', '/v1/signals', signal))['alertId']}"
        _say("signal accepted", began)
        try:
            await _paged(call, alert, began + within)
            _say("page taken by its provider", began)
        finally:
            # Whatever happened, no drill stays open to page people again.
            await _end(call, alert, began)


async def _paged(call: Callable[..., Any], alert: str, until: float) -> None:
    states: list[str] = []
    while time.monotonic() < until:
        pages = (await call("GET", f"{alert}/pages")).get("pages", [])
        states = [f"{each['channel']}: {each['state'].removeprefix('PAGE_STATE_').lower()}" for each in pages]
        if any(each["state"] in _TAKEN for each in pages):
            return
        await asyncio.sleep(LOOK_EVERY_S)
    raise DrillFailed(f"No provider took a page in time ({', '.join(states) or 'nobody was paged'}).")


async def _end(call: Callable[..., Any], alert: str, began: float) -> None:
    await call("POST", f"{alert}:acknowledge", {})
    _say("acknowledged", began)
    await call("POST", f"{alert}:recordContact", {"reached": True, "way": "phone"})
    due = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    closing = {"disposition": "DISPOSITION_DRILL", "riskLevel": "RISK_LEVEL_LOW", "followUpDueAt": due}
    closed = await call("POST", f"{alert}:close", closing)
    if closed.get("followUpId"):
        await call(
            "POST", f"/v1/follow-ups/{closed['followUpId']}:record", {"reached": True, "riskLevel": "RISK_LEVEL_LOW"}
        )
    _say("closed", began)


def _say(what: str, began: float) -> None:
    told(f"{what} ({(time.monotonic() - began) * 1000:.0f} ms)")
