"""Tables and queries. Every function takes the transaction."""

from haven_billing.store.tables import metadata

__all__ = ["metadata"]
