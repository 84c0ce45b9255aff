"""Background loops of billing, safe with many replicas."""

from datetime import timedelta

from haven.billing.v1.events_pb2 import AuthorizationRunningOut

from haven_billing.facts import Facts
from haven_billing.settings import BillingSettings
from haven_billing.store import coverages
from haven_kit.identity import system
from haven_kit.service import Parts
from haven_kit.workers import Worker


def workers(parts: Parts[BillingSettings], facts: Facts) -> tuple[Worker, ...]:
    """The loops of billing."""

    async def watch_authorizations() -> bool:
        """Warns once about each authorization that runs out."""
        async with parts.database.transaction(system("billing/authorizations")) as tx:
            rows = await coverages.running_out(tx, facts.program.authorization_warning_days, tx.now.date())
            for row in rows:
                event = AuthorizationRunningOut(
                    authorization_id=row.authorization_id, person_id=row.person_id, days_left=row.days - row.days_used
                )
                tx.emit(event, key=row.authorization_id)
                await coverages.warned(tx, row.authorization_id)
        return bool(rows)

    return (Worker("authorizations", watch_authorizations, every=timedelta(minutes=1), wake="authorizations"),)
