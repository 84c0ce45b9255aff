"""The billing service's calls."""

from haven_billing.api.accounts import AccountCalls
from haven_billing.api.charges import ChargeCalls
from haven_billing.api.claims import ClaimCalls
from haven_billing.api.coverages import CoverageCalls
from haven_billing.api.estimates import EstimateCalls
from haven_billing.api.payers import PayerCalls
from haven_billing.api.remittances import RemittanceCalls


class BillingApi(PayerCalls, CoverageCalls, ChargeCalls, ClaimCalls, RemittanceCalls, AccountCalls, EstimateCalls):
    """Every RPC of haven.billing.v1.BillingService."""


__all__ = ["BillingApi"]
