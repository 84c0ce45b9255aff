"""Forgetting answers to idempotency keys that nobody asks for any more."""

from __future__ import annotations

from datetime import timedelta

from haven_kit.database import Database
from haven_kit.identity import system
from haven_kit.workers import Worker

KEPT = timedelta(days=2)
"""How long a key gives the same answer."""
_BATCH = 2_000


def sweep_idempotency(service: str, database: Database) -> Worker:
    """The worker that forgets."""

    async def step() -> bool:
        async with database.transaction(system(f"{service}/idempotency-sweep")) as tx:
            gone = await tx.fetch(
                """DELETE FROM idempotency WHERE (principal_id, method, key) IN
                (SELECT principal_id, method, key FROM idempotency WHERE answered_at < $1 LIMIT $2) RETURNING 1""",
                tx.now - KEPT,
                _BATCH,
            )
        return len(gone) == _BATCH

    return Worker("idempotency-sweep", step, every=timedelta(hours=1), exclusive=True)
