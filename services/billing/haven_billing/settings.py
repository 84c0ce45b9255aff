"""Settings of billing."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from haven_kit.settings import Settings


class BillingSettings(Settings):
    """What billing is told beside what every service is."""

    provider_file: Path | None = Field(
        default=None, description="YAML with the billing provider, as in haven_billing/data/provider.yaml."
    )
    x12_production: bool = Field(default=False, description="Mark interchanges as production, not test (ISA15).")

    @model_validator(mode="after")
    def _provider_is_named(self) -> Self:
        if self.environment == "production" and self.provider_file is None:
            raise ValueError("provider_file: required in production; the example provider is for development only")
        return self
