"""The codes that crisis sends to a responder's channels, read where they arrive on this machine."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from haven_dev.receivers import SmtpReceiver, WebhookReceiver

PATIENCE_S = 15.0
PAUSE_S = 0.02
_CODE = re.compile(r"\b\d{6}\b")


class Codes:
    """Takes codes out of what was received, so that pages are all that stays."""

    def __init__(self, webhooks: Iterable[WebhookReceiver], smtp: SmtpReceiver) -> None:
        self._webhooks = tuple(webhooks)
        self._smtp = smtp

    async def take(self, address: str) -> str:
        """The code that comes to a webhook's URL or an email address. Raises LookupError where none does."""
        deadline = time.monotonic() + PATIENCE_S
        while not (code := self._look(address)):
            if time.monotonic() > deadline:
                raise LookupError(f"no code came to {address}")
            await asyncio.sleep(PAUSE_S)
        return code

    def _look(self, address: str) -> str:
        """The last code that came there, taken out; empty for none."""
        to = urlsplit(address)
        for receiver in self._webhooks:
            for call in reversed(receiver.received):
                if (receiver.port, call.path) == (to.port, to.path) and b'"code"' in call.body:
                    receiver.received.remove(call)
                    return _in(call.body.decode())
        for mail in reversed(self._smtp.received):
            text = mail.message.get_content()
            if address in mail.recipients and "code is" in text:
                self._smtp.received.remove(mail)
                return _in(text)
        return ""


def _in(text: str) -> str:
    found = _CODE.search(text)
    if found is None:
        raise LookupError("a message without its code")
    return found.group()
