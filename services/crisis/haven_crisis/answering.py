"""Answering a page: whoever it went to takes what it is about, one alert or, of a flood, all that went out with it."""

from __future__ import annotations

from haven_crisis.api.desk import Desk
from haven_crisis.keeping.keeping import OnPage
from haven_crisis.store import pages
from haven_crisis.store.deliveries import Paged
from haven_kit.errors import NotFound, Overloaded, Refused, Unavailable
from haven_kit.identity import Principal, system

_PRINCIPAL = system("crisis/answers")


async def take(desk: Desk, page: Paged, channel: str) -> str:
    """The page's responder takes its alerts, as they said by `channel`: `link`, `sms`, `voice`, `push`.

    What is kept while the record is away is written down there. It may become part of the record at any moment, so
    what cannot be taken there is taken in the record. Empty where they have one of the alerts now; else the reason for
    the last: `taken`, `closed`, `observer`, `unknown`; `away` where it cannot be written down anywhere now.
    """
    keeping = desk.roads.keeping
    if keeping.on_page(page.page_id) is not None:
        if await keeping.acknowledge(page.alert_id, page.responder_id, channel):
            return ""
        if _a_colleague_has(keeping.on_page(page.page_id)):
            return "taken"
    try:
        reason = await _take_in_the_record(desk, page, channel)
    except (Unavailable, Overloaded):
        if await keeping.acknowledge(page.alert_id, page.responder_id, channel):
            return ""
        reason = "away"
    kept = keeping.on_page(page.page_id)
    if reason == "away" and _a_colleague_has(kept or keeping.on_earlier_page(page.page_id)):
        return "taken"
    return "away" if reason == "unknown" and kept is not None else reason


def _a_colleague_has(seen: OnPage | None) -> bool:
    return seen is not None and seen.taken_by not in ("", seen.responder_id)


async def _take_in_the_record(desk: Desk, page: Paged, channel: str) -> str:
    """Each alert in a transaction of its own: one that a colleague has holds back no other. Raises Unavailable."""
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
