"""Text messages and calls by Twilio's REST API, version 2010-04-01.

https://www.twilio.com/docs/messaging/api/message-resource and https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

import aiohttp
import orjson
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.adapter import code_text
from haven_crisis.channels.http import Answer, Http
from haven_crisis.channels.outcome import Outcome, failed
from haven_crisis.directory import Channel
from haven_crisis.domain import replies
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.pages import PageState

STATUS_PATH = "/callbacks/twilio/status"
KEY_PATH = "/callbacks/twilio/key"
MESSAGE_PATH = "/callbacks/twilio/message"
RING_SECONDS = 30
"""Shorter than voice mail as a rule takes to answer, and than Twilio's own 60."""

Form = Sequence[tuple[str, str]]


class Account:
    """The account that sends; NOT_SET_UP where the settings name none."""

    def __init__(self, http: Http, settings: CrisisSettings) -> None:
        self._http = http
        self._sid = settings.twilio_account_sid or ""
        token = settings.twilio_auth_token
        self._headers: dict[str, str] = {}
        if self._sid and token:
            self._headers = {
                "authorization": aiohttp.encode_basic_auth(self._sid, token.get_secret_value()),
                "content-type": "application/x-www-form-urlencoded",
            }
        self._from = settings.twilio_from or ""
        self._base = f"{settings.twilio_url.rstrip('/')}/2010-04-01/Accounts/{self._sid}"
        self.crisis_url = settings.crisis_url

    async def create(self, resource: Literal["Messages", "Calls"], to: str, form: Form) -> Outcome:
        """Have a message sent, or a call made. Accepted means that Twilio queued it; how it went is told later."""
        if not self._headers:
            return failed("not set up")
        fields = urlencode([("To", to), ("From", self._from), *form]).encode()
        answer = await self._http.ask_once(f"{self._base}/{resource}.json", self._headers, data=fields)
        return _outcome(answer) if isinstance(answer, Answer) else answer


class Sms:
    """Pages by text message. A reply with the code takes the alert."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def page(self, channel: Channel, page: PageText) -> Outcome:
        """Send the page."""
        text = f"{page.title}. Open {page.link}"
        if page.alert_id:
            text = f"{page.title}, open {page.link} or reply {replies.code(page.alert_id)} to take it."
        callback = _callback(self._account, STATUS_PATH, page)
        return await self._account.create("Messages", channel.address, [("Body", text), ("StatusCallback", callback)])

    async def code(self, channel: Channel, code: str) -> Outcome:
        """Send the code."""
        return await self._account.create("Messages", channel.address, [("Body", code_text(code))])


class Voice:
    """Pages by call. The page is read out; 1 on the keys takes the alert, and nothing else does: not voice mail."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def page(self, channel: Channel, page: PageText) -> Outcome:
        """Call."""
        twiml = f'<Response><Say loop="3">{escape(page.title)}</Say></Response>'
        if page.alert_id:
            action = quoteattr(_callback(self._account, KEY_PATH, page))
            said = escape(f"{page.title}. Press 1 to take it.")
            twiml = (
                f'<Response><Gather numDigits="1" timeout="5" action={action} method="POST">'
                f'<Say loop="3">{said}</Say></Gather></Response>'
            )
        form = [("Twiml", twiml), ("Timeout", str(RING_SECONDS)), ("StatusCallbackEvent", "completed")]
        return await self._account.create(
            "Calls", channel.address, [*form, ("StatusCallback", _callback(self._account, STATUS_PATH, page))]
        )

    async def code(self, channel: Channel, code: str) -> Outcome:
        """Read the code out, digit by digit."""
        said = escape(f"This is Haven. Your code is {' '.join(code)}.")
        return await self._account.create(
            "Calls", channel.address, [("Twiml", f'<Response><Say loop="3">{said}</Say></Response>')]
        )


def signature(token: str, url: str, form: Iterable[tuple[str, str]]) -> str:
    """X-Twilio-Signature: HMAC-SHA1 over the address and the form's names and values, sorted.

    https://www.twilio.com/docs/usage/security
    """
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def _callback(account: Account, path: str, page: PageText) -> str:
    # Twilio signs the whole address, the page's id with it.
    return f"{account.crisis_url}{path}?page={page.page_id}"


def _outcome(answer: Answer) -> Outcome:
    try:
        told = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        told = {}
    told = told if isinstance(told, dict) else {}
    if 200 <= answer.status < 300:
        return Outcome(PageState.ACCEPTED, reference=str(told.get("sid", ""))[:64])
    code = told.get("code")
    return failed(f"status {answer.status}, code {code}" if isinstance(code, int) else f"status {answer.status}")
