"""Who bills: the provider's facts from a file, checked at start."""

from importlib.resources import files
from typing import Any

import yaml

from haven_billing.domain.x12.claim_837i import Address, Provider
from haven_billing.settings import BillingSettings


def load(settings: BillingSettings) -> Provider:
    """Reads the provider file. Raises ValueError naming what is wrong with it."""
    path = settings.provider_file
    text = (path or files("haven_billing") / "data" / "provider.yaml").read_text(encoding="utf-8")
    raw: dict[str, Any] = yaml.safe_load(text)
    names = [name for name in Provider.__dataclass_fields__ if name != "address"]
    missing = [name for name in (*names, "address") if name not in raw]
    if missing:
        raise ValueError(f"provider file: {', '.join(missing)} missing")
    for name in ("npi", "attending_npi"):
        if not is_npi(str(raw[name])):
            raise ValueError(f"provider file: {name} is not a national provider identifier")
    if settings.environment == "production" and raw.get("example"):
        raise ValueError("provider file: is the example")
    return Provider(address=Address(**raw["address"]), **{name: str(raw[name]) for name in names})


def is_npi(number: str) -> bool:
    """Whether the check digit holds: the Luhn formula over 80840 and the number (45 CFR 162.406)."""
    if len(number) != 10 or not number.isdecimal():
        return False
    digits = [int(digit) for digit in "80840" + number]
    doubled = [digit * 2 if place % 2 else digit for place, digit in enumerate(reversed(digits))]
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0
