"""Doubles of every provider, and channels that know them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels import Channels, web_push
from haven_crisis.directory import Channel
from haven_crisis.settings import CrisisSettings
from haven_dev.providers import Alertmanager, PagerDuty, PushService, Twilio
from haven_dev.providers.server import Provider
from haven_dev.receivers import SmtpReceiver, WebhookReceiver
from haven_kit import ids

from .world import SECRET, World

NUMBER = "+15551230001"
LINK = "https://crisis.example/p/token"


@dataclass
class Providers:
    """All doubles, and channels that know them."""

    channels: Channels = field(init=False)
    settings: CrisisSettings = field(init=False)
    twilio: Twilio = field(default_factory=lambda: Twilio(automatic=False))
    pager_duty: PagerDuty = field(default_factory=PagerDuty)
    alertmanager: Alertmanager = field(default_factory=Alertmanager)
    push: PushService = field(default_factory=PushService)
    webhook: WebhookReceiver = field(default_factory=WebhookReceiver)
    mail: SmtpReceiver = field(default_factory=SmtpReceiver)

    def channel(self, kind: str) -> Channel:
        """A channel of a kind, at its double."""
        browser = self.push.subscribe(web_push.public_bytes(KEY))
        return {
            "webhook": Channel("webhook", self.webhook.url, SECRET),
            "email": Channel("email", "a@example.org"),
            "sms": Channel("sms", NUMBER),
            "voice": Channel("voice", NUMBER),
            "pager_duty": Channel("pager_duty", "", self.pager_duty.routing_key),
            "alertmanager": Channel("alertmanager", self.alertmanager.url),
            "web_push": Channel("web_push", browser.endpoint, f"{browser.p256dh}.{browser.auth}"),
            "apprise": Channel("apprise", "", self.webhook.url.replace("http://", "json://")),
        }[kind]

    def server(self, kind: str) -> Provider:
        """The double of a kind."""
        found: dict[str, Provider] = {
            "sms": self.twilio,
            "voice": self.twilio,
            "pager_duty": self.pager_duty,
            "alertmanager": self.alertmanager,
            "web_push": self.push,
        }
        return found[kind]


KEY = ec.generate_private_key(ec.SECP256R1())
KEY_WRITTEN = web_push.text(KEY.private_numbers().private_value.to_bytes(32, "big"))
KINDS = ("sms", "voice", "pager_duty", "alertmanager", "web_push")
ALL = (*KINDS, "webhook", "email", "apprise")


def settings(world: World, made: Providers, **given: Any) -> CrisisSettings:
    held = world.crisis.process.settings.model_dump()
    told = {
        "twilio_url": made.twilio.url,
        "twilio_account_sid": made.twilio.account_sid,
        "twilio_auth_token": made.twilio.auth_token,
        "twilio_from": made.twilio.number,
        "pager_duty_url": made.pager_duty.url,
        "web_push_key": KEY_WRITTEN,
        "web_push_contact": "mailto:ops@example.org",
        "smtp_port": made.mail.port,
        "page_timeout_seconds": 1,
    }
    return CrisisSettings(**{**held, **told, **given})


def page(**given: Any) -> PageText:
    text = PageText(
        page_id=ids.new_id(), alert_id=ids.new_id(), title="Haven: crisis alert", link=LINK, stage=0, **given
    )
    text.raised_at.FromDatetime(datetime.now(UTC))
    return text
