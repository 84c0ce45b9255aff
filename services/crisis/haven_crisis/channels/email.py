"""Email, by SMTP to the one server that the settings name."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import formatdate

import aiosmtplib
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.adapter import code_text
from haven_crisis.channels.outcome import ACCEPTED, NO_ANSWER, REFUSED, UNREACHABLE, Outcome
from haven_crisis.directory import Channel
from haven_crisis.settings import CrisisSettings
from haven_kit import ids


class Email:
    """Pages by email."""

    def __init__(self, settings: CrisisSettings) -> None:
        self._settings = settings

    async def page(self, channel: Channel, page: PageText) -> Outcome:
        """Send the page."""
        again = "\nYou may have had this page before.\n" if page.resent else ""
        text = f"{page.title}. Open {page.link}\n{again}"
        return await self._send(message(self._settings.smtp_from, channel.address, page.page_id, page.title, text))

    async def code(self, channel: Channel, code: str) -> Outcome:
        """Send the code."""
        text = f"{code_text(code)}\n"
        return await self._send(
            message(self._settings.smtp_from, channel.address, ids.new_id(), "Haven: your code", text)
        )

    async def _send(self, message: EmailMessage) -> Outcome:
        settings = self._settings
        password = settings.smtp_password
        try:
            await aiosmtplib.send(
                message,
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_user,
                password=password.get_secret_value() if password else None,
                start_tls=settings.smtp_starttls,
                timeout=settings.page_timeout_seconds,
            )
        except (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPConnectTimeoutError):
            return UNREACHABLE
        except (aiosmtplib.SMTPTimeoutError, aiosmtplib.SMTPServerDisconnected, OSError):
            return NO_ANSWER
        except (aiosmtplib.SMTPException, ValueError):
            return REFUSED
        return ACCEPTED


def message(sender: str, to: str, message_id: str, subject: str, text: str) -> EmailMessage:
    """An email that asks to be seen soon, and to be answered by no machine."""
    made = EmailMessage()
    made["From"] = sender
    made["To"] = to
    made["Subject"] = subject
    made["Date"] = formatdate(usegmt=True)
    made["Message-ID"] = f"<{message_id}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made["X-Priority"] = "1"
    # Seven bits, so that no encoding breaks the link in two.
    made.set_content(text, cte="7bit")
    return made
