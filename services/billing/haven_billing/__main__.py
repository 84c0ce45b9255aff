"""The billing service: `python -m haven_billing` serves, `python -m haven_billing migrate` migrates."""

from haven_billing import facts, provider
from haven_billing.api import apis
from haven_billing.reactions import reactions
from haven_billing.settings import BillingSettings
from haven_billing.workers import workers
from haven_kit.service import Parts, Service, Spec, main


def build(parts: Parts[BillingSettings]) -> Service:
    """Wire the service."""
    known = facts.load()
    return Service(
        apis=apis(parts, known, provider.load(parts.settings)),
        reactions=reactions(known),
        workers=workers(parts, known),
    )


SPEC = Spec(name="billing", settings=BillingSettings, build=build, calls=("intake",))

if __name__ == "__main__":
    main(SPEC)
