"""The gateway's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from haven_edge.settings import EdgeSettings
from haven_kit.contract import SERVICES

_MIB = 1024 * 1024


class GatewaySettings(EdgeSettings):
    """What the gateway needs to be told. It keeps nothing, so it needs no database, no NATS and no keys."""

    service: str = "gateway"
    database_url: SecretStr = Field(default=SecretStr(""), validate_default=False)
    nats_url: str = ""
    keyset_file: Path = Path()
    max_request_bytes: int = Field(default=17 * _MIB, ge=1024, description="The largest gRPC message either way.")

    serves: list[str] = Field(default=list(SERVICES), description="The services behind this gateway.")

    @model_validator(mode="after")
    def _production_is_safe(self) -> Self:
        if self.environment == "production" and self.allow_development_issuer:
            raise ValueError("allow_development_issuer: not in production")
        if self.environment == "production" and self.clock_file is not None:
            raise ValueError("clock_file: not in production")
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = [name for name in self.serves if name not in self.targets]
        if missing:
            raise ValueError(f"targets: HAVEN_TARGET_{missing[0].upper()} is required for a service that is served")
        return self
