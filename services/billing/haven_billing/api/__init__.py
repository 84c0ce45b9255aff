"""RPCs of billing: translate, authorize, call, translate back."""

from haven_billing.api.accounts import AccountApi
from haven_billing.api.charges import ChargeApi
from haven_billing.api.claims import ClaimApi
from haven_billing.api.coverages import CoverageApi
from haven_billing.api.estimates import EstimateApi
from haven_billing.api.payers import PayerApi
from haven_billing.api.remittances import RemittanceApi
from haven_billing.domain.x12.claim_837i import Provider
from haven_billing.facts import Facts
from haven_billing.settings import BillingSettings
from haven_kit.server import Api
from haven_kit.service import Parts


class BillingApi(PayerApi, CoverageApi, ChargeApi, ClaimApi, RemittanceApi, AccountApi, EstimateApi):
    """Every RPC of haven.billing.v1.BillingService."""


def apis(parts: Parts[BillingSettings], facts: Facts, provider: Provider) -> list[Api]:
    """Every gRPC service of billing."""
    return [Api("haven.billing.v1.BillingService", BillingApi(parts, facts, provider))]
