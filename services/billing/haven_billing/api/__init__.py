"""The billing service's calls."""

from haven_billing.api.accounts import AccountApi
from haven_billing.api.charges import ChargeApi
from haven_billing.api.claims import ClaimApi
from haven_billing.api.coverages import CoverageApi
from haven_billing.api.estimates import EstimateApi
from haven_billing.api.payers import PayerApi
from haven_billing.api.remittances import RemittanceApi


class BillingApi(PayerApi, CoverageApi, ChargeApi, ClaimApi, RemittanceApi, AccountApi, EstimateApi):
    """Every RPC of haven.billing.v1.BillingService."""


__all__ = ["BillingApi"]
