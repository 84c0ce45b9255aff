"""The links in pages. Opening one (GET, HEAD) changes nothing, so that scanners of links may; a tap on it takes the
alert.

A program, such as the console's service worker, asks with `Accept: application/json`: it is told `state`, and `tap` to
send back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from haven_crisis import answering
from haven_crisis.domain.alerts import UNANSWERED, Alert
from haven_crisis.domain.alerts import State as AlertState
from haven_crisis.domain.escalation import LAST_RESORT_ID
from haven_crisis.keeping.keeping import OnPage
from haven_crisis.links import LinkOver, Links, NoLink
from haven_crisis.store import alerts, deliveries, pages
from haven_crisis.store.deliveries import Paged
from haven_crisis.web.link_page import TEXTS, TO_TAKE, State, shown
from haven_edge import bodies
from haven_edge.limits import TokenBuckets
from haven_kit import logs
from haven_kit.errors import Overloaded, Unavailable
from haven_kit.identity import system

if TYPE_CHECKING:
    from haven_crisis.web import Web

RATE, BURST = 5.0, 60.0
"""Requests a second, lasting and at once: for one link; and for one address, with links that are none."""
MAX_BODY = 4096
_JSON = "application/json"
_PRINCIPAL = system("crisis/links")
_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a link leads to."""

    state: State
    page: Paged | None = None
    drill: bool = False
    alerts: int = 1
    """How many the page is about."""


class LinkPages:
    """Answers links."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._clock = web.parts.clock
        self._links = Links(web.parts.cipher, web.parts.settings)
        self._buckets = TokenBuckets(RATE, BURST, time.monotonic)

    async def open(self, request: Request) -> Response:
        """GET and HEAD: how things stand, and a button where the alert can be taken."""
        self._admit(request)
        token = request.path_params["token"]
        return self._answer(request, token, await self._look(token))

    async def take(self, request: Request) -> Response:
        """POST: the alert is taken, where the tap comes from the opened page."""
        self._admit(request)
        token = request.path_params["token"]
        form = parse_qs((await bodies.read(request, MAX_BODY)).decode("latin-1"))
        seen = await self._look(token)
        page = seen.page
        if page is not None and seen.state in TO_TAKE:
            if self._links.tapped(token, form.get("tap", [""])[0], self._clock.now()):
                seen = await self._take(page, "push" if _asks_json(request) else "link")
            else:
                _log.info("link.tap_refused", page_id=page.page_id)
        if _asks_json(request) or TEXTS[seen.state].status != 200:
            return self._answer(request, token, seen)
        # So that loading the page again asks for nothing but how things stand.
        return RedirectResponse(request.url.path, 303)

    async def _look(self, token: str) -> Seen:
        now = self._clock.now()
        try:
            page_id = self._links.page(token, now)
        except NoLink:
            return Seen(State.UNKNOWN)
        except LinkOver:
            return Seen(State.EXPIRED)
        return await self._stands(page_id)

    async def _stands(self, page_id: str) -> Seen:
        kept = self._kept(page_id)
        try:
            async with self._web.parts.database.transaction(_PRINCIPAL) as tx:
                page = await deliveries.page(tx, page_id)
                related = await pages.about(tx, page_id, page.alert_id) if page is not None else []
                about = [await alerts.get(tx, each) for each in related]
        except (Unavailable, Overloaded):
            return await self._heard(page_id) or self._earlier(page_id) or Seen(State.AWAY)
        if page is None:
            # What was kept may have become part of the record since it was looked for there.
            return await self._heard(page_id) or kept or Seen(State.NOT_YET)
        states = {_state(each, page.responder_id) for each in about}
        return Seen(next(each for each in State if each in states), page, about[0].drill, len(about))

    def _kept(self, page_id: str) -> Seen | None:
        """How things stand with a page that was sent while the record was away."""
        found = self._web.desk.roads.keeping.on_page(page_id)
        return _seen(page_id, found) if found is not None else None

    async def _heard(self, page_id: str) -> Seen | None:
        """The same, as far as other replicas have told by now."""
        if self._kept(page_id) is None:
            await self._web.desk.roads.keeping.callers.hear()
        return self._kept(page_id)

    def _earlier(self, page_id: str) -> Seen | None:
        """How things stand with a page that was sent before the record went away."""
        found = self._web.desk.roads.keeping.on_earlier_page(page_id)
        return _seen(page_id, found) if found is not None else None

    async def _take(self, page: Paged, channel: str) -> Seen:
        if await answering.take(self._web.desk, page, channel) == "away":
            return Seen(State.AWAY)
        for seen in (self._kept(page.page_id), self._earlier(page.page_id)):
            if seen is not None and seen.state in (State.YOURS, State.TAKEN):
                return seen
        return await self._stands(page.page_id)

    def _answer(self, request: Request, token: str, seen: Seen) -> Response:
        tap = self._links.tap(token, self._clock.now()) if seen.state in TO_TAKE else ""
        known = seen.page.alert_id if seen.page is not None and seen.alerts == 1 else ""
        console = self._links.console(known)
        if _asks_json(request):
            told = {"state": seen.state.value, "drill": seen.drill, "tap": tap, "console": console}
            return Response(orjson.dumps(told), TEXTS[seen.state].status, media_type=_JSON)
        return shown(seen.state, drill=seen.drill, alerts=seen.alerts, tap=tap, console=console)

    def _admit(self, request: Request) -> None:
        """Hold a link to its own rate, so that nobody at its reader's address uses it up, and a guesser to theirs."""
        token = request.path_params["token"]
        if self._links.made(token):
            self._buckets.admit(f"link {token}")
        else:
            self._buckets.admit(f"address {request.client.host if request.client else ''}")


def routes(web: Web) -> list[BaseRoute]:
    """`/p/{token}`."""
    pages = LinkPages(web)
    return [
        Route("/p/{token}", pages.open, methods=["GET", "HEAD"]),
        Route("/p/{token}", pages.take, methods=["POST"]),
    ]


def _state(alert: Alert, responder_id: str) -> State:
    if alert.state is AlertState.CLOSED:
        return State.OVER
    if alert.state in UNANSWERED:
        return State.CONSOLE if responder_id == LAST_RESORT_ID else State.OPEN
    if alert.offered_to == responder_id:
        return State.OFFERED
    return State.YOURS if alert.responder_id == responder_id else State.TAKEN


def _seen(page_id: str, found: OnPage) -> Seen:
    page = Paged(page_id, found.alert_id, found.responder_id, found.channel)
    if found.taken_by:
        return Seen(State.YOURS if found.taken_by == found.responder_id else State.TAKEN, page, found.drill)
    return Seen(State.CONSOLE if found.responder_id == LAST_RESORT_ID else State.OPEN, page, found.drill)


def _asks_json(request: Request) -> bool:
    return request.headers.get("accept", "").partition(";")[0].strip() == _JSON
