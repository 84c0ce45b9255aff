"""What the day is played on: the development platform, or a release somewhere else."""

from __future__ import annotations

from typing import Protocol

from haven_dev.issuer import Issuer
from haven_dev.otlp import OtlpReceiver
from haven_dev.receivers import SmtpReceiver, WebhookReceiver


class Stage(Protocol):
    """A running Haven, with what stands around it."""

    @property
    def gateway_url(self) -> str:
        """Where clients reach it."""
        ...

    @property
    def issuer(self) -> Issuer:
        """Who signs people in."""
        ...

    @property
    def webhook(self) -> WebhookReceiver:
        """Who takes pages."""
        ...

    @property
    def smtp(self) -> SmtpReceiver:
        """Who takes mail."""
        ...

    @property
    def otlp(self) -> OtlpReceiver:
        """Who takes spans."""
        ...

    def turn_clock(self, to_seconds: float) -> None:
        """Set its time of day forward: to this many seconds after the real one."""
        ...
