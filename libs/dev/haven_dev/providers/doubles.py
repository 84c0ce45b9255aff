"""All doubles together, for a platform in development: pages go nowhere, and what people would get is kept."""

from __future__ import annotations

import asyncio
import base64
import secrets
from pathlib import Path

from haven_dev.providers.alertmanager import Alertmanager
from haven_dev.providers.pager_duty import PagerDuty
from haven_dev.providers.push import PushService
from haven_dev.providers.twilio import Twilio


class Doubles:
    """Twilio, PagerDuty, Alertmanager and a push service. The key of Web Push is kept, so that browsers stay known."""

    def __init__(self, state: Path) -> None:
        self._push_key = state / "keys" / "web-push"
        self.twilio = Twilio()
        self.pager_duty = PagerDuty()
        self.alertmanager = Alertmanager()
        self.push = PushService()
        self._all = (self.twilio, self.pager_duty, self.alertmanager, self.push)

    async def start(self) -> None:
        """Serve all."""
        await asyncio.gather(*(each.start() for each in self._all))

    async def stop(self) -> None:
        """Stop all."""
        await asyncio.gather(*(each.stop() for each in self._all))

    @property
    def urls(self) -> dict[str, str]:
        """Where each is; `GET /` shows what it got."""
        return {
            "twilio": self.twilio.url,
            "pager_duty": self.pager_duty.url,
            "alertmanager": self.alertmanager.url,
            "push": self.push.url,
        }

    def environment(self, crisis_url: str) -> dict[str, str]:
        """Crisis's settings, as environment variables. Replies to messages are told to `crisis_url`."""
        self.twilio.message_url = f"{crisis_url}/callbacks/twilio/message"
        return {
            "HAVEN_TWILIO_URL": self.twilio.url,
            "HAVEN_TWILIO_ACCOUNT_SID": self.twilio.account_sid,
            "HAVEN_TWILIO_AUTH_TOKEN": self.twilio.auth_token,
            "HAVEN_TWILIO_FROM": self.twilio.number,
            "HAVEN_PAGER_DUTY_URL": self.pager_duty.url,
            "HAVEN_WEB_PUSH_KEY": self._key(),
        }

    def _key(self) -> str:
        if not self._push_key.exists():
            self._push_key.parent.mkdir(parents=True, exist_ok=True)
            self._push_key.touch(mode=0o600)
            # Less than the order of P-256 whatever the other bytes are.
            key = b"\x01" + secrets.token_bytes(31)
            self._push_key.write_text(base64.urlsafe_b64encode(key).rstrip(b"=").decode())
        return self._push_key.read_text()
