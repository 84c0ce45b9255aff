"""What crisis is told from outside."""

from __future__ import annotations

import base64
import binascii
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from haven_kit.settings import Settings


class CrisisSettings(Settings):
    """Settings of the crisis service."""

    console_url: str = Field(
        default="http://127.0.0.1:8080/v1/alerts/{alert_id}",
        pattern=r"^https?://.*\{alert_id\}",
        description="Where a page's link leads; {alert_id} is filled in.",
    )
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

    @field_validator("crisis_last_resort_secret")
    @classmethod
    def _signs(cls, secret: SecretStr | None) -> SecretStr | None:
        try:
            base64.b64decode(secret.get_secret_value().removeprefix("whsec_") if secret else "", validate=True)
        except binascii.Error:
            raise ValueError("must be whsec_ and base64") from None
        return secret

    @model_validator(mode="after")
    def _a_page_is_sent_within_its_lease(self) -> Self:
        # A page without the time left to send it is given back: one that never has that time would never be sent.
        if self.page_lease_seconds < 2 * self.page_timeout_seconds:
            raise ValueError("page_lease_seconds: must be at least twice page_timeout_seconds")
        return self
