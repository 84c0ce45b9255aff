"""The links of pages: short-lived, signed, each for one page, which was made for one responder and one alert.

A link says who may answer and for which page, and nothing about anybody. Opening it changes nothing; to take the alert
needs a second token, which only the opened page holds.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime, timedelta
from uuid import UUID

from haven_crisis.settings import CrisisSettings
from haven_kit.cipher import Cipher

TAP_FOR = timedelta(minutes=10)
"""How long an opened page can be used."""
_MAC = 16
_TIME = 4


class NoLink(Exception):
    """Not made here."""


class LinkOver(Exception):
    """Made here, and no longer good."""


class Links:
    """Makes and reads the tokens of links."""

    def __init__(self, cipher: Cipher, settings: CrisisSettings) -> None:
        self._cipher = cipher
        self._url = settings.crisis_url
        self._good_for = timedelta(minutes=settings.crisis_link_minutes)

    def address(self, page_id: str, now: datetime) -> str:
        """The link of a page."""
        return f"{self._url}/p/{self.token(page_id, now)}"

    def console(self, alert_id: str = "") -> str:
        """The console, at an alert."""
        return f"{self._url}/console/" + (f"#/alerts/{alert_id}" if alert_id else "")

    def token(self, page_id: str, now: datetime) -> str:
        """What a link ends with: page, end, and a keyed hash over both."""
        return self._signed("page link", UUID(page_id).bytes + _seconds(now + self._good_for))

    def made(self, token: str) -> bool:
        """Whether a link with this token was made here, be it over or not."""
        return self._read("page link", token, 16 + _TIME) is not None

    def page(self, token: str, now: datetime) -> str:
        """The id of the page that a link is for. Raises NoLink, or LinkOver."""
        held = self._read("page link", token, 16 + _TIME)
        if held is None:
            raise NoLink
        if _time(held[16:]) <= now:
            raise LinkOver
        return str(UUID(bytes=held[:16]))

    def tap(self, token: str, now: datetime) -> str:
        """What the opened page of a link sends back when it is tapped."""
        return self._signed(f"page tap {token}", _seconds(now + TAP_FOR))

    def tapped(self, token: str, tap: str, now: datetime) -> bool:
        """Whether the opened page of this very link sent this, a little while ago."""
        held = self._read(f"page tap {token}", tap, _TIME)
        return held is not None and _time(held) > now

    def _signed(self, purpose: str, held: bytes) -> str:
        return base64.urlsafe_b64encode(held + self._cipher.blind(purpose, held.hex())[:_MAC]).rstrip(b"=").decode()

    def _read(self, purpose: str, written: str, length: int) -> bytes | None:
        try:
            found = base64.b64decode(written + "=" * (-len(written) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        held, mac = found[:length], found[length:]
        if len(held) != length:
            return None
        good = [hmac.compare_digest(mac, each[:_MAC]) for each in self._cipher.blinds(purpose, held.hex())]
        return held if any(good) else None


def _seconds(at: datetime) -> bytes:
    return int(at.timestamp()).to_bytes(_TIME, "big")


def _time(held: bytes) -> datetime:
    return datetime.fromtimestamp(int.from_bytes(held, "big"), UTC)
