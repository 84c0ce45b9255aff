"""Background loops of intake, safe with many replicas."""

from __future__ import annotations

from datetime import timedelta

from haven.intake.v1 import events_pb2

from haven_intake.concerns import Messenger
from haven_intake.settings import IntakeSettings
from haven_intake.store import consents
from haven_kit import relations
from haven_kit.database import Database
from haven_kit.identity import system
from haven_kit.service import Parts
from haven_kit.workers import Worker

BATCH = 100


def workers(parts: Parts[IntakeSettings]) -> tuple[Worker, ...]:
    """The loops of intake."""
    expirer = Expirer(parts.database)
    return (
        Messenger(parts).worker(),
        Worker("expired-consents", expirer.expire, every=timedelta(seconds=10)),
    )


class Expirer:
    """Ends consents whose time is over, and tells the others as if they had been taken back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def expire(self) -> bool:
        """End what is due. True when there may be more."""
        async with self._database.transaction(system("intake/expired-consents")) as tx:
            ended = await consents.expire(tx, BATCH)
            for row in ended:
                consent_id, person_id, kind, grantee_id = (
                    row[name] for name in ("consent_id", "person_id", "kind", "grantee_id")
                )
                await relations.write_consent(tx, consent_id, person_id, kind, grantee_id, revoked=True)
                event = events_pb2.ConsentRevoked(
                    person_id=person_id, consent_id=consent_id, kind=kind, grantee_id=grantee_id
                )
                tx.emit(event, key=person_id)
        return len(ended) == BATCH
