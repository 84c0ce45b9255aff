"""What Twilio tells: how messages and calls went, replies to messages, keys pressed in calls.

Each carries Twilio's signature over the whole address and all fields, made with the account's token; what does not is
refused, and nothing of it is looked at.
"""

from __future__ import annotations

import hmac
import re
import time
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from uuid import UUID
from xml.sax.saxutils import escape, quoteattr

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from haven_crisis import answering
from haven_crisis.channels import twilio
from haven_crisis.directory import TWILIO
from haven_crisis.domain import replies
from haven_crisis.keeping.keeping import OnPage
from haven_crisis.store import deliveries
from haven_crisis.store.deliveries import Paged, Report
from haven_crisis.store.pages import PageState
from haven_edge import bodies
from haven_edge.limits import TokenBuckets
from haven_edge.problems import Problem
from haven_kit import logs
from haven_kit.errors import Overloaded, Unavailable
from haven_kit.identity import system

if TYPE_CHECKING:
    from haven_crisis.web import Web

MAX_BODY = 64 * 1024
RATE, BURST = 5.0, 60.0
"""Requests a second that Twilio has not signed, from one address, lasting and at once."""
NEWEST = 200
ANSWERED_WITHIN = timedelta(hours=24)
"""How old the page may be that a text message answers."""
_ENDED = {
    "delivered": PageState.DELIVERED,
    "read": PageState.DELIVERED,
    "completed": PageState.DELIVERED,
    "undelivered": PageState.FAILED,
    "failed": PageState.FAILED,
    "canceled": PageState.FAILED,
    "busy": PageState.FAILED,
    "no-answer": PageState.FAILED,
}
"""States of messages and calls that are their last; all others are on the way."""
_TAKEN_NOW = "You have this alert. The console shows whom to reach and how."
_BY_RULE = {
    "taken": "A colleague has this alert already. Thank you.",
    "closed": "This alert is over. Thank you.",
    "away": "It could not be written down. Please try again, or open the console.",
}
_NO_ALERT = "No alert waits for you. Thank you."
_WHICH = "Reply with the three digits of the alert that you take."
_AWAY = _BY_RULE["away"]
_PRINCIPAL = system("crisis/callbacks")
_log = logs.get(__name__)
Fields = dict[str, str]


class TwilioCallbacks:
    """Answers Twilio."""

    def __init__(self, web: Web) -> None:
        self._web = web
        settings = web.parts.settings
        self._base = settings.crisis_url
        self._token = settings.twilio_auth_token
        self._account = settings.twilio_account_sid
        self._unsigned = TokenBuckets(RATE, BURST, time.monotonic)

    async def status(self, request: Request) -> Response:
        """How a message or a call went."""
        fields = await self._fields(request)
        told = fields.get("MessageStatus") or fields.get("CallStatus", "")
        state = _ENDED.get(told)
        if state is not None:
            reference = fields.get("MessageSid") or fields.get("CallSid", "")
            kind = "sms" if "MessageStatus" in fields else "voice"
            reason = _reason(told, fields)
            await self._keep(Report(_page_id(request), reference[:64], state, reason, kind, TWILIO))
        return Response(status_code=204)

    async def _keep(self, told: Report) -> None:
        try:
            async with self._web.parts.database.transaction(_PRINCIPAL) as tx:
                await deliveries.report(tx, told)
                tx.wake("deliveries")
        except (Unavailable, Overloaded):
            # Twilio says it once. It is written down when the record is back.
            self._web.channels.reports.append(told)

    async def key(self, request: Request) -> Response:
        """A key was pressed in a call: 1 takes the alert."""
        fields = await self._fields(request)
        page_id = _page_id(request)
        if fields.get("Digits") != "1":
            return _twiml(self._ask_again(page_id, "Press 1 to take the alert."))
        page = self._kept(page_id)
        if page is None:
            try:
                async with self._web.parts.database.transaction(_PRINCIPAL) as tx:
                    page = await deliveries.page(tx, page_id)
            except (Unavailable, Overloaded):
                page = _paged(page_id, self._web.desk.roads.keeping.on_earlier_page(page_id))
                if page is None:
                    return _twiml(self._ask_again(page_id, "It could not be written down. Press 1 again."))
        said = await self._take(page, "voice") if page is not None else _AWAY
        return _twiml(self._ask_again(page_id, said) if said == _AWAY else f"<Say>{escape(said)}</Say>")

    async def message(self, request: Request) -> Response:
        """A text message came: the alert whose code it names, or the only one, is taken."""
        fields = await self._fields(request)
        return _twiml(f"<Message>{escape(await self._reply(fields.get('From', ''), fields.get('Body', '')))}</Message>")

    async def _reply(self, number: str, text: str) -> str:
        directory = self._web.desk.directory
        paged = [each for each in self._away() if each.responder_id in directory.reached_by(number)]
        try:
            async with self._web.parts.database.transaction(_PRINCIPAL) as tx:
                await directory.read(tx)
                paged += await deliveries.open_alerts(tx, directory.reached_by(number), tx.now - ANSWERED_WITHIN)
        except (Unavailable, Overloaded):
            earlier = self._web.desk.roads.keeping.earlier_pages(directory.reached_by(number))
            paged += [each for each in earlier if each.channel in ("sms", "voice")]
            if not paged:
                return _AWAY
        if not paged:
            return _NO_ALERT
        meant = replies.meant(text, sorted({each.alert_id for each in paged}))
        page = next((each for each in paged if each.alert_id == meant), None)
        return await self._take(page, "sms") if page is not None else _WHICH

    def _away(self) -> list[Paged]:
        """The newest messages and calls that went out while the record was away."""
        if not self._web.desk.roads.keeping.cases:
            return []
        told = (sent.page_id for sent in reversed(self._web.channels.sends) if sent.channel in ("sms", "voice"))
        return [page for page_id in islice(told, NEWEST) if (page := self._kept(page_id)) is not None]

    def _kept(self, page_id: str) -> Paged | None:
        """The page, where it was sent while the record was away: who takes it is written down with what is kept."""
        return _paged(page_id, self._web.desk.roads.keeping.on_page(page_id))

    async def _take(self, page: Paged, channel: str) -> str:
        reason = await answering.take(self._web.desk, page, channel)
        return _BY_RULE.get(reason, _NO_ALERT) if reason else _TAKEN_NOW

    def _ask_again(self, page_id: str, said: str) -> str:
        action = quoteattr(f"{self._base}{twilio.KEY_PATH}?page={page_id}")
        return f'<Gather numDigits="1" timeout="10" action={action} method="POST"><Say>{escape(said)}</Say></Gather>'

    async def _fields(self, request: Request) -> Fields:
        """The fields of the form. Raises Problem 403 where Twilio has not signed them."""
        body = (await bodies.read(request, MAX_BODY)).decode("utf-8", "replace")
        form = parse_qsl(body, keep_blank_values=True)
        query = f"?{request.url.query}" if request.url.query else ""
        fields = dict(form)
        given = request.headers.get("x-twilio-signature", "")
        if self._token is None:
            raise Problem("not_found")
        due = twilio.signature(self._token.get_secret_value(), f"{self._base}{request.url.path}{query}", form)
        if not hmac.compare_digest(given.encode(), due.encode()) or fields.get("AccountSid") != self._account:
            self._unsigned.admit(request.client.host if request.client else "")
            _log.warning("callback.not_signed", path=request.url.path)
            raise Problem("denied", "The signature does not hold.")
        return fields


def routes(web: Web) -> list[BaseRoute]:
    """The addresses that Twilio is given."""
    callbacks = TwilioCallbacks(web)
    return [
        Route(twilio.STATUS_PATH, callbacks.status, methods=["POST"]),
        Route(twilio.KEY_PATH, callbacks.key, methods=["POST"]),
        Route(twilio.MESSAGE_PATH, callbacks.message, methods=["POST"]),
    ]


def _page_id(request: Request) -> str:
    try:
        return str(UUID(request.query_params.get("page", "")))
    except ValueError:
        raise Problem("not_found") from None


def _paged(page_id: str, found: OnPage | None) -> Paged | None:
    return Paged(page_id, found.alert_id, found.responder_id, found.channel) if found is not None else None


def _reason(told: str, fields: Fields) -> str:
    code = fields.get("ErrorCode", "")
    return f"{told}, code {code}" if re.fullmatch(r"\d{1,6}", code) else told


def _twiml(inner: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Response>{inner}</Response>'
    return Response(body, media_type="application/xml")
