"""What happens when a deadline passes: the next step, paging anew, a follow-up that became an alert."""

from __future__ import annotations

import uuid

from haven.crisis.v1 import events_pb2
from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis import metrics
from haven_crisis.acceptance import Acceptance, Signal
from haven_crisis.directory import Directory
from haven_crisis.domain.alerts import UNANSWERED, Alert, due, next_stage
from haven_crisis.domain.escalation import Book, stage_from
from haven_crisis.pager import Pager
from haven_crisis.records import POSTGRES, Records, Row
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.pages import Round
from haven_kit import logs, telemetry
from haven_kit.database import RETRYABLE, Tx
from haven_kit.errors import Unavailable
from haven_kit.identity import system
from haven_kit.service import Parts

BATCH = 20
_NAMESPACE = uuid.UUID("6f1f0f4c-6f0a-5b3e-9d0e-6a2c0f5b7a11")
_log = logs.get(__name__)
_PRINCIPAL = system("crisis/escalator")
_GOES_FOR_ALL = (Unavailable, *RETRYABLE)
"""What is no fault of one row: the whole step is tried again."""


class Escalator:
    """Works through deadlines. Safe on many replicas: each locks what it works on and leaves the rest to the others."""

    def __init__(
        self,
        parts: Parts[CrisisSettings],
        directory: Directory,
        pager: Pager,
        acceptance: Acceptance,
        records: Records = POSTGRES,
    ) -> None:
        self._parts = parts
        self._directory = directory
        self._pager = pager
        self._acceptance = acceptance
        self._records = records

    async def escalate(self) -> bool:
        """One batch of alerts whose deadline has passed. True when there may be more."""
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            late = await self._records.alerts.due(tx, tx.now, BATCH)
            if not late:
                return False
            book = await self._directory.read(tx)
            done = [await self._one(tx, book, alert, traceparent) for alert, traceparent in late]
        return all(done) and len(late) == BATCH

    async def _one(self, tx: Tx, book: Book, alert: Alert, traceparent: str) -> bool:
        """Escalate one alert. Whatever is wrong with it must not hold back the others; the auditor finds it."""
        try:
            with telemetry.consumer_span(
                "escalate", {"traceparent": traceparent}, haven__alert_id=alert.alert_id, haven__step=alert.stage
            ):
                async with tx.savepoint():
                    await self._escalate(tx, book, alert)
        except _GOES_FOR_ALL:
            raise
        except Exception:  # noqa: BLE001 - see above
            _log.exception("alert.not_escalated", alert_id=alert.alert_id)
            return False
        return True

    async def _escalate(self, tx: Tx, book: Book, alert: Alert) -> None:
        stage = stage_from(book, book.policy(), next_stage(alert), tx.now, alert.turn)
        entries = due(alert, stage.number, stage.wait, stage.last_resort, _PRINCIPAL.id, tx.now)
        after = await self._records.alerts.add(tx, self._parts.cipher, alert, entries)
        of = Round(after.alert_id, after.cycle, after.stage, after.drill, after.raised_at, telemetry.traceparent())
        await self._pager.page(tx, of, self._pager.drafts(stage.paged, after.severity))
        await self._pager.follow(tx, of, stage.paged, after.severity)
        event = events_pb2.AlertEscalated(
            alert_id=alert.alert_id,
            step=stage.number,
            lease_expired=alert.state not in UNANSWERED,
            person_id=alert.person_id,
            session_id=alert.session_id,
        )
        event.escalated_at.FromDatetime(tx.now)
        tx.emit(event, key=alert.alert_id)
        reason = "unanswered" if alert.state in UNANSWERED else "lease_expired"
        metrics.ESCALATIONS.labels(reason).inc()
        _log.warning("alert.escalated", alert_id=alert.alert_id, stage=stage.number, reason=reason)

    async def miss_follow_up(self) -> bool:
        """One batch of follow-ups that nobody recorded in time become alerts. True when there may be more."""
        async with self._parts.database.transaction(_PRINCIPAL) as tx:
            missed = await self._records.follow_ups.missed(tx, tx.now, BATCH)
        done = [await self._miss(follow_up_id) for follow_up_id in missed]
        return all(done) and len(missed) == BATCH

    async def _miss(self, follow_up_id: str) -> bool:
        """Each in a transaction of its own: one that cannot become an alert must not hold back the others."""
        try:
            async with self._parts.database.transaction(_PRINCIPAL) as tx:
                row = await self._records.follow_ups.claim(tx, follow_up_id)
                if row is not None:
                    await self._raise_for(tx, row)
        except _GOES_FOR_ALL:
            raise
        except Exception:  # noqa: BLE001 - see above
            _log.exception("follow_up.not_raised", follow_up_id=follow_up_id)
            return False
        return True

    async def _raise_for(self, tx: Tx, row: Row) -> None:
        signal = Signal(
            # The same each time, so that a follow-up can be missed once only.
            signal_id=str(uuid.uuid5(_NAMESPACE, row["follow_up_id"])),
            person_id=row["person_id"],
            source=pb.SIGNAL_SOURCE_FOLLOW_UP_MISSED,
            actor=_PRINCIPAL.id,
            raised_at=tx.now,
        )
        accepted = await self._acceptance.accept(tx, signal)
        await self._records.follow_ups.miss(tx, row["follow_up_id"], accepted.alert_id)
        tx.audit(row["person_id"], action=_PRINCIPAL.id, seen_as="called for help because nobody had looked in on you")
        event = events_pb2.FollowUpMissed(
            alert_id=row["alert_id"], new_alert_id=accepted.alert_id, person_id=row["person_id"]
        )
        tx.emit(event, key=row["alert_id"])
        _log.warning("follow_up.missed", follow_up_id=row["follow_up_id"], alert_id=accepted.alert_id)
