"""Twilio's REST API 2010-04-01, as far as pages need it: messages, calls, and what it tells a service afterwards.

After https://www.twilio.com/docs/messaging/api/message-resource, https://www.twilio.com/docs/voice/api/call-resource,
https://www.twilio.com/docs/usage/security and the list of errors at https://www.twilio.com/docs/api/errors.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import aiohttp
from aiohttp import web

from haven_dev.providers.server import Provider

_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_MESSAGES = {
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    21201: "No 'To' number is specified",
    21205: "Url is not a valid URL",
    21211: "Invalid 'To' Phone Number",
    21212: "Invalid 'From' Phone Number",
    21213: "No 'From' number is specified",
    21602: "Message body is required",
    21603: "A 'From' phone number is required",
    21604: "A 'To' phone number is required",
    21606: "The 'From' phone number provided is not a valid message-capable Twilio phone number",
    21609: "The 'StatusCallback' URL is not a valid URL",
    21610: "Attempt to send to unsubscribed recipient",
    21617: "The concatenated message body exceeds the 1600 character limit",
}
_LONGEST = 1600
SENT = ("queued", "sent", "delivered")


@dataclass
class Message:
    """A text message that was taken."""

    sid: str
    to: str
    body: str
    callback: str


@dataclass
class Call:
    """A call that was taken."""

    sid: str
    to: str
    twiml: ET.Element
    callback: str
    events: tuple[str, ...]


@dataclass
class Told:
    """What a service answered when it was told something."""

    status: int
    body: str

    @property
    def words(self) -> str:
        """What the caller hears, or the sender of a message reads."""
        return " ".join(ET.fromstring(self.body).itertext())


@dataclass
class Refusing:
    """What the account cannot do."""

    unsubscribed: set[str] = field(default_factory=set)
    """Numbers that answered STOP."""
    unreachable: set[str] = field(default_factory=set)
    """Numbers that messages are taken for and never reach: undelivered, with error 30003."""


class Twilio(Provider):
    """One account with one number. `automatic` tells at once how each message went, as a rule that it was delivered."""

    def __init__(self, *, port: int = 0, message_url: str = "", automatic: bool = True) -> None:
        super().__init__(port=port)
        self.account_sid = "AC" + secrets.token_hex(16)
        self.auth_token = secrets.token_hex(16)
        self.number = "+15005550006"
        self.message_url = message_url
        """Where messages that people send to the number are told."""
        self.automatic = automatic
        self.refusing = Refusing()
        self.messages: list[Message] = []
        self.calls: list[Call] = []
        self._telling: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """Messages and calls of the account."""
        base = "/2010-04-01/Accounts/{account}"
        return [
            web.post(f"{base}/Messages.json", self._message),
            web.post(f"{base}/Calls.json", self._call),
            web.post("/reply", self._reply_by_hand),
            web.post("/press", self._press_by_hand),
        ]

    def shown(self) -> object:
        """Messages and calls, the newest last."""
        calls = [{"sid": each.sid, "to": each.to, "said": " ".join(each.twiml.itertext())} for each in self.calls]
        return {"messages": [{"to": each.to, "body": each.body} for each in self.messages], "calls": calls}

    async def _reply_by_hand(self, request: web.Request) -> web.Response:
        """`{"from": number, "body": text}`: somebody sends a message; what they get back."""
        given = await request.json()
        return web.json_response({"said": (await self.reply(given["from"], given["body"])).words})

    async def _press_by_hand(self, request: web.Request) -> web.Response:
        """`{"call": sid, "digits": "1"}`: the person who was called presses keys; what they hear then."""
        given = await request.json()
        call = next(each for each in self.calls if each.sid == given["call"])
        return web.json_response({"said": (await self.press(call, given["digits"])).words})

    async def stop(self) -> None:
        """Stop, and tell nothing more."""
        for each in self._telling:
            each.cancel()
        await super().stop()

    def refusal(self, status: int) -> web.Response:
        """Its own words for being asked too much."""
        return _error(20429, 429) if status == 429 else super().refusal(status)

    async def _message(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        if isinstance(form, web.Response):
            return form
        problem = self._wrong_with_message(form)
        if problem:
            return _error(problem, 400)
        message = Message("SM" + secrets.token_hex(16), form["To"], form["Body"], form.get("StatusCallback", ""))
        self.messages.append(message)
        if self.automatic and message.callback:
            self._later(self._progress(message))
        return self._resource(message.sid, "Messages", form, {"body": message.body, "num_segments": "1"})

    def _wrong_with_message(self, form: Mapping[str, str]) -> int:
        to, body = form.get("To", ""), form.get("Body", "")
        callback = form.get("StatusCallback", "http://unset.example")
        checks = (
            (21604, bool(to)),
            (21211, bool(_NUMBER.fullmatch(to))),
            (21603, bool(form.get("From"))),
            (21606, form.get("From") == self.number),
            (21602, bool(body)),
            (21617, len(body) <= _LONGEST),
            (21609, callback.startswith(("http://", "https://"))),
            (21610, to not in self.refusing.unsubscribed),
        )
        return next((code for code, holds in checks if not holds), 0)

    async def _call(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        if isinstance(form, web.Response):
            return form
        to = form.get("To", "")
        checks = (
            (21201, bool(to)),
            (21211, bool(_NUMBER.fullmatch(to))),
            (21213, bool(form.get("From"))),
            (21212, form.get("From") == self.number),
            (21205, bool(form.get("Twiml"))),
        )
        problem = next((code for code, holds in checks if not holds), 0)
        if problem:
            return _error(problem, 400)
        twiml = ET.fromstring(form["Twiml"])
        events = tuple(form.get("StatusCallbackEvent", "completed").split())
        call = Call("CA" + secrets.token_hex(16), to, twiml, form.get("StatusCallback", ""), events)
        self.calls.append(call)
        return self._resource(call.sid, "Calls", form, {})

    async def _form(self, request: web.Request) -> dict[str, str] | web.Response:
        due = base64.b64encode(f"{self.account_sid}:{self.auth_token}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {due}":
            return _error(20003, 401)
        if request.match_info["account"] != self.account_sid:
            return _error(20404, 404)
        return {name: str(value) for name, value in (await request.post()).items()}

    def _resource(self, sid: str, kind: str, form: Mapping[str, str], more: dict[str, str]) -> web.Response:
        held = {
            "sid": sid,
            "account_sid": self.account_sid,
            "api_version": "2010-04-01",
            "to": form["To"],
            "from": form["From"],
            "status": "queued",
            "direction": "outbound-api",
            "error_code": None,
            "uri": f"/2010-04-01/Accounts/{self.account_sid}/{kind}/{sid}.json",
            **more,
        }
        return web.json_response(held, status=201)

    async def _progress(self, message: Message) -> None:
        undelivered = message.to in self.refusing.unreachable
        for status in ("queued", "sent", "undelivered") if undelivered else SENT:
            await self.tell_message(message, status, "30003" if status == "undelivered" else "")

    async def tell_message(self, message: Message, status: str, error: str = "") -> Told:
        """Tell how a message goes."""
        fields = {
            "MessageSid": message.sid,
            "MessageStatus": status,
            "SmsSid": message.sid,
            "SmsStatus": status,
            "To": message.to,
            "From": self.number,
        }
        return await self.tell(message.callback, fields | ({"ErrorCode": error} if error else {}))

    async def tell_call(self, call: Call, status: str) -> Told:
        """Tell how a call went: completed, busy, no-answer, failed, canceled."""
        return await self.tell(call.callback, self._of_call(call, status))

    async def press(self, call: Call, digits: str) -> Told:
        """The person who was called presses keys; what they hear then."""
        gather = call.twiml.find("Gather")
        assert gather is not None, "the call asks for no key"
        return await self.tell(gather.attrib["action"], self._of_call(call, "in-progress") | {"Digits": digits})

    async def reply(self, number: str, text: str) -> Told:
        """Somebody sends a message to the account's number; what they get back."""
        fields = {"MessageSid": "SM" + secrets.token_hex(16), "From": number, "To": self.number, "Body": text}
        return await self.tell(self.message_url, fields | {"NumMedia": "0"})

    def _of_call(self, call: Call, status: str) -> dict[str, str]:
        return {
            "CallSid": call.sid,
            "CallStatus": status,
            "To": call.to,
            "From": self.number,
            "Direction": "outbound-api",
        }

    async def tell(self, url: str, fields: Mapping[str, str], *, to: str = "", token: str = "") -> Told:
        """POST signed fields. `to` is where the address is reached from here, where that is not the address itself;
        `token` is another one to sign with."""
        form = {"AccountSid": self.account_sid, "ApiVersion": "2010-04-01", **fields}
        signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
        mac = hmac.new((token or self.auth_token).encode(), signed.encode(), hashlib.sha1)
        headers = {
            "X-Twilio-Signature": base64.b64encode(mac.digest()).decode(),
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        }
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http,
            http.post(to or self.route(url), data=urlencode(form).encode(), headers=headers) as answer,
        ):
            return Told(answer.status, await answer.text())

    def route(self, url: str) -> str:
        """Where an address is reached: `reach_by` in the place of `reach_for`."""
        return url.replace(self.reach_for, self.reach_by, 1) if self.reach_for else url

    reach_for = ""
    reach_by = ""

    def _later(self, telling: object) -> None:
        assert asyncio.iscoroutine(telling)
        task: asyncio.Task[None] = asyncio.create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


def _error(code: int, status: int) -> web.Response:
    told = {
        "code": code,
        "message": _MESSAGES[code],
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return web.json_response(told, status=status)
