"""The channels of a page: a signed webhook, and email. Each says whether the provider took it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate

import aiohttp
import aiosmtplib
from google.protobuf.json_format import MessageToJson
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.directory import Channel
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.pages import PageState
from haven_kit import logs, telemetry
from haven_kit.clock import Clock

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a send went: ACCEPTED, FAILED, or UNKNOWN where the provider may have taken it. `reason` is our word."""

    state: PageState
    reason: str = ""


ACCEPTED = Outcome(PageState.ACCEPTED)


class Channels:
    """Long-lived clients of the providers. Close them."""

    def __init__(self, settings: CrisisSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._http: aiohttp.ClientSession | None = None

    async def send(self, channel: Channel, page: PageText) -> Outcome:
        """Hand a page to the channel's provider. Ends within the page timeout, and never raises: whatever is wrong
        with one channel, the next one is to be tried."""
        try:
            async with asyncio.timeout(self._settings.page_timeout_seconds):
                return await (self._webhook if channel.kind == "webhook" else self._email)(channel, page)
        except TimeoutError:
            return Outcome(PageState.UNKNOWN, "no answer")
        except Exception:  # noqa: BLE001 - a secret or an address that no library takes, say
            _log.exception("page.channel_broken", page_id=page.page_id, channel=channel.kind)
            return Outcome(PageState.FAILED, "channel broken")

    async def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            await self._http.close()

    async def _webhook(self, channel: Channel, page: PageText) -> Outcome:
        body = MessageToJson(
            page, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
        )
        headers = signature(channel.secret, page.page_id, int(self._clock.now().timestamp()), body)
        telemetry.inject(headers)
        try:
            return await self._post(channel.address, body.encode(), headers)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # As a rule a kept connection that the receiver had closed. The same message id goes once more.
            return await self._once_more(channel.address, body.encode(), headers)
        except (aiohttp.ClientError, TimeoutError):
            return Outcome(PageState.UNKNOWN, "no answer")

    async def _once_more(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        try:
            return await self._post(url, body, headers)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Outcome(PageState.UNKNOWN, "no answer")

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        try:
            async with self._session().post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return ACCEPTED if 200 <= answer.status < 300 else Outcome(PageState.FAILED, f"status {answer.status}")
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, aiohttp.ConnectionTimeoutError):
            return Outcome(PageState.FAILED, "unreachable")

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=self._settings.page_timeout_seconds)
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
            self._http = aiohttp.ClientSession(
                timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._http

    async def _email(self, channel: Channel, page: PageText) -> Outcome:
        settings = self._settings
        password = settings.smtp_password
        try:
            await aiosmtplib.send(
                email(settings.smtp_from, channel.address, page),
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_user,
                password=password.get_secret_value() if password else None,
                start_tls=settings.smtp_starttls,
                timeout=settings.page_timeout_seconds,
            )
        except (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPConnectTimeoutError):
            return Outcome(PageState.FAILED, "unreachable")
        except (aiosmtplib.SMTPTimeoutError, aiosmtplib.SMTPServerDisconnected, OSError):
            return Outcome(PageState.UNKNOWN, "no answer")
        except (aiosmtplib.SMTPException, ValueError):
            return Outcome(PageState.FAILED, "refused")
        return ACCEPTED


def signature(secret: str, page_id: str, at: int, body: str) -> dict[str, str]:
    """The headers of a webhook, signed as Standard Webhooks 1.0 says: HMAC-SHA256 over `id.timestamp.body`.

    The page's id is the message id, so that a receiver knows one that comes twice. Without a secret nothing is signed.
    """
    headers = {"content-type": "application/json", "webhook-id": page_id, "webhook-timestamp": str(at)}
    if secret:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mac = hmac.new(key, f"{page_id}.{at}.{body}".encode(), hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(mac).decode()}"
    return headers


def email(sender: str, to: str, page: PageText) -> EmailMessage:
    """A page as an email."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = to
    message["Subject"] = page.title
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = f"<{page.page_id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Priority"] = "1"
    again = "\nYou may have had this page before.\n" if page.resent else ""
    # Seven bits, so that no encoding breaks the link in two.
    message.set_content(f"{page.title}. Open {page.link}\n{again}", cte="7bit")
    return message
