"""The settings of every process that answers clients over HTTP."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from haven_kit.settings import Settings

_IMPORT = "/haven.intake.v1.ReferralService/ImportReferral"
_MIB = 1024 * 1024


class EdgeSettings(Settings):
    """What an HTTP edge needs to be told: the gateway, and crisis with an edge of its own."""

    listen_host: str = Field(default="127.0.0.1", description="The address that clients reach.")
    listen_port: int = Field(default=8080, ge=0, le=65535, description="0 takes a free one.")
    public_certificate: Path | None = Field(
        default=None, description="PEM chain to serve HTTPS with; none where a proxy does."
    )
    public_key: Path | None = Field(default=None, description="PEM key of public_certificate.")
    public_tls: bool = Field(
        default=False, description="Clients reach this process by HTTPS, here or at a proxy: send HSTS."
    )
    trusted_proxies: list[str] = Field(
        default=[], description="Addresses, or networks as 10.0.0.0/8, whose X-Forwarded-For is believed."
    )
    cors_origins: list[str] = Field(default=[], description="Origins of frontends, exactly: https://app.example.org")

    body_bytes: int = Field(default=_MIB, ge=1024, description="The largest request body.")
    body_bytes_of: dict[str, int] = Field(
        default={_IMPORT: 16 * _MIB}, description="By full method name, where it differs."
    )
    body_seconds: float = Field(default=30, gt=0, description="How long a request body may take to arrive.")
    header_bytes: int = Field(default=32 * 1024, ge=4096, description="The largest request head, address included.")
    header_seconds: float = Field(default=15, gt=0, description="How long a request head may take to arrive.")
    address_bytes: int = Field(default=8 * 1024, ge=1024, description="The longest address, query included.")
    json_depth: int = Field(default=32, ge=4, le=90, description="How deep a body may be nested.")

    person_rate: float = Field(default=100, gt=0, description="Requests a second that one account may make, lasting.")
    person_burst: float = Field(default=200, ge=1, description="And at once.")
    address_rate: float = Field(
        default=500, gt=0, description="Requests a second without a valid token from one client address, lasting."
    )
    address_burst: float = Field(default=1000, ge=1, description="And at once.")
    help_rate: float = Field(
        default=50,
        gt=0,
        description="Calls for help a second from one account, or without a valid token from one address, lasting.",
    )
    help_burst: float = Field(default=500, ge=100, description="And at once.")
    person_in_flight: int = Field(default=64, ge=1, description="Requests of one account that may run at once.")
    person_streams: int = Field(default=16, ge=1, description="Streams that one account may hold.")
    in_flight: int = Field(
        default=2000, ge=1, description="Requests that may run at once; calls for help are not counted."
    )

    stream_seconds: float = Field(
        default=900, gt=0, description="How long a stream lasts before the client resumes it."
    )
    heartbeat_seconds: float = Field(default=15, gt=0, description="How often a quiet stream says that it lives.")
    drain_notice_seconds: float = Field(default=0, ge=0, description="From readiness off to the end of accepting.")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: list[str]) -> list[str]:
        for each in proxies:
            try:
                ip_network(each)
            except ValueError as error:  # the server would believe nobody by it, and say nothing
                raise ValueError(f"{each} is no address and no network: {error}") from None
        return proxies

    @field_validator("cors_origins")
    @classmethod
    def _exact(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            scheme, _, rest = origin.partition("://")
            if scheme not in {"https", "http"} or not rest or "*" in rest or "/" in rest:
                raise ValueError("each is an exact origin such as https://app.example.org, without path or wildcard")
        return origins

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.public_certificate is None) != (self.public_key is None):
            raise ValueError("public_certificate: given together with public_key, or neither")
        return self
