"""What crisis is told from outside."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from haven_edge.settings import EdgeSettings


class CrisisSettings(EdgeSettings):
    """Settings of the crisis service."""

    crisis_last_resort_webhook: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Paged when every step was in vain, or when there is no policy.",
    )
    crisis_last_resort_secret: SecretStr | None = Field(
        default=None, description="Key of its signature: whsec_ and base64."
    )
    crisis_last_resort_email: str | None = Field(
        default=None, pattern=r"^[^@\s]+@[^@\s]+$", description="Paged likewise."
    )

    crisis_lease_seconds: int = Field(default=300, ge=10, le=3600, description="From acknowledgement to contact.")
    crisis_close_within_seconds: int = Field(default=3600, ge=60, le=86_400, description="From contact to closing.")
    crisis_answer_within_seconds: int = Field(
        default=60, ge=5, le=600, description="For a responder asked to take over."
    )

    crisis_url: str = Field(
        default="http://127.0.0.1:8080",
        pattern=r"^https?://[^/\s]+(/[^?#\s]*[^/?#\s])?$",
        description="Where crisis's own HTTP edge is for those who are paged: links and callbacks begin with it.",
    )
    console_client_id: str = Field(
        default="haven-console", min_length=1, description="The console's client at the sign-in provider: public, PKCE."
    )
    console_scopes: str = Field(
        default="openid offline_access", description="What it asks for; offline_access lets it renew its sign-in."
    )
    console_origins: list[str] = Field(
        default=[], description="Origins of the provider's token endpoint, where they are not the issuer's."
    )
    crisis_link_minutes: int = Field(default=60, ge=5, le=1440, description="For which the link of a page is good.")
    crisis_privacy_reviewer: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="The responder who is paged when somebody opens an alert in an emergency without a relation to the "
        "person.",
    )
    crisis_drill_webhook: str | None = Field(
        default=None, pattern=r"^https?://", description="Takes the pages of drills, and of drills alone, for everyone."
    )
    crisis_drill_secret: SecretStr | None = Field(default=None, description="Key of its signature: whsec_ and base64.")

    crisis_accept_seconds: float = Field(
        default=1, gt=0, le=5, description="For the database to make a signal durable, before it is kept elsewhere."
    )
    crisis_accept_pool_size: int = Field(
        default=4, ge=1, le=50, description="Connections for signals alone, of this replica."
    )
    crisis_paging_pool_size: int = Field(
        default=4, ge=2, le=50, description="Connections for pages and escalations alone, of this replica."
    )
    crisis_watch_pool_size: int = Field(
        default=2, ge=1, le=50, description="Connections for streams of alerts alone, of this replica."
    )
    crisis_keep_seconds: float = Field(
        default=0.5, gt=0, le=5, description="For NATS, and then for the disk, to keep a signal without the database."
    )
    crisis_journal_dir: Path | None = Field(
        default=None, description="Folder for signals that neither the database nor NATS takes; a volume."
    )
    crisis_journal_bytes: int = Field(
        default=64 * 1024**2, ge=1024**2, description="The most that waits there; more is not kept."
    )

    crisis_drill_minutes: int = Field(
        default=60,
        ge=0,
        le=1440,
        description="How often a synthetic drill is paged, to the drills' webhook or else the last resort; 0: never.",
    )
    crisis_heartbeat_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Gets a POST as long as the loops of this replica turn; raises the alarm when it stops.",
    )
    crisis_heartbeat_seconds: int = Field(default=30, ge=1, le=600, description="How often.")

    crisis_flood_alerts: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Alerts of one integrated system within a minute after which its further ones are paged together; "
        "immediate ones never are.",
    )
    crisis_gather_seconds: int = Field(
        default=15,
        ge=1,
        le=20,
        description="Between two such pages to a responder on a channel; the first goes at once.",
    )

    page_timeout_seconds: float = Field(default=3, gt=0, le=30, description="For a provider to take a page.")
    page_lease_seconds: float = Field(default=6, gt=0, le=60, description="After which a page is sent again.")
    page_attempts: int = Field(default=4, ge=1, le=20, description="On one channel, for one step.")
    page_concurrency: int = Field(default=64, ge=1, le=1000, description="Pages sent at once by this replica.")

    smtp_host: str = Field(default="127.0.0.1", description="The server that takes pages by email.")
    smtp_port: int = Field(default=25, ge=1, le=65535, description="Its port.")
    smtp_user: str | None = Field(default=None, description="Its login, where it asks for one.")
    smtp_password: SecretStr | None = Field(default=None, description="And the password.")
    smtp_starttls: bool = Field(default=False, description="Refuse to send without TLS.")
    smtp_from: str = Field(
        default="haven-crisis@localhost", pattern=r"^[^@\s]+@[^@\s]+$", description="The sender of pages."
    )

    twilio_url: str = Field(default="https://api.twilio.com", pattern=r"^https?://", description="Twilio's REST API.")
    twilio_account_sid: str | None = Field(
        default=None, pattern=r"^AC[0-9a-fA-F]{32}$", description="The account that sends text messages and calls."
    )
    twilio_auth_token: SecretStr | None = Field(
        default=None, description="Its token, which also signs what Twilio tells us."
    )
    twilio_from: str | None = Field(
        default=None, pattern=r"^\+[1-9]\d{6,14}$", description="The number that messages and calls come from."
    )
    pager_duty_url: str = Field(
        default="https://events.pagerduty.com", pattern=r"^https?://", description="PagerDuty's Events API v2."
    )
    web_push_key: SecretStr | None = Field(
        default=None, description="The private key of VAPID (RFC 8292): 32 bytes of P-256 in base64url."
    )
    web_push_contact: str = Field(
        default="mailto:haven-crisis@localhost",
        pattern=r"^(mailto:|https://)\S+$",
        description="Whom a push service writes to when something is wrong.",
    )

    @field_validator("crisis_last_resort_secret", "crisis_drill_secret")
    @classmethod
    def _signs(cls, secret: SecretStr | None) -> SecretStr | None:
        try:
            base64.b64decode(secret.get_secret_value().removeprefix("whsec_") if secret else "", validate=True)
        except binascii.Error:
            raise ValueError("must be whsec_ and base64") from None
        return secret

    @field_validator("web_push_key")
    @classmethod
    def _is_a_private_key(cls, key: SecretStr | None) -> SecretStr | None:
        try:
            held = base64.urlsafe_b64decode(key.get_secret_value() + "==") if key else b""
        except binascii.Error:
            held = b""
        if key is not None and len(held) != 32:
            raise ValueError("must be 32 bytes in base64url")
        return key

    @model_validator(mode="after")
    def _twilio_is_whole(self) -> Self:
        given = (self.twilio_account_sid, self.twilio_auth_token, self.twilio_from)
        if any(given) and not all(given):
            raise ValueError("twilio_account_sid: goes with twilio_auth_token and twilio_from; give all three or none")
        return self

    @model_validator(mode="after")
    def _links_are_safe(self) -> Self:
        if self.environment == "production" and not self.crisis_url.startswith("https://"):
            raise ValueError("crisis_url: must be https in production")
        return self

    @model_validator(mode="after")
    def _a_page_is_sent_within_its_lease(self) -> Self:
        # A page without the time left to send it is given back: one that never has that time would never be sent.
        if self.page_lease_seconds < 2 * self.page_timeout_seconds:
            raise ValueError("page_lease_seconds: must be at least twice page_timeout_seconds")
        return self
