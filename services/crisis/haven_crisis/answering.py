"""Answering a page: whoever it went to takes what it is about, one alert or, of a flood, all that went out with it."""

from __future__ import annotations

from haven_crisis.api.desk import Desk
from haven_crisis.store import pages
from haven_crisis.store.deliveries import Paged
from haven_kit.errors import NotFound, Refused
from haven_kit.identity import Principal, system

_PRINCIPAL = system("crisis/answers")


async def take(desk: Desk, page: Paged, channel: str) -> str:
    """The page's responder takes its alerts, as they said by `channel`: `link`, `sms`, `voice`, `push`.

    Each in a transaction of its own: one that a colleague has holds back no other. Empty where they have one of them
    now; else the reason for the last: `taken`, `closed`, `observer`, `unknown`. Raises Unavailable.
    """
    async with desk.parts.database.transaction(_PRINCIPAL) as tx:
        about = await pages.about(tx, page.page_id, page.alert_id)
    reason, has = "unknown", False
    for alert_id in about:
        try:
            async with desk.parts.database.transaction(Principal(page.responder_id)) as tx:
                await desk.acknowledge(tx, alert_id, page.responder_id, channel)
            has = True
        except Refused as refused:
            reason = refused.reason
        except NotFound:
            reason = "unknown"
    return "" if has else reason
