"""An answer that calls for help: the one place where it leaves intake.

Two roads, one signal. The event goes out with the transaction that saves the answer; the concern's row, in the same
transaction, makes a worker call crisis directly, at once after the commit and again until crisis has said that it has
it. The request that saved the answer waits for neither. Crisis takes both as one, by `signal_id`.
"""

from __future__ import annotations

from datetime import timedelta

from haven.crisis.v1 import signals_pb2
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.intake.v1 import events_pb2

from haven_intake.domain.instruments import Urgency
from haven_intake.settings import IntakeSettings
from haven_intake.store import screenings
from haven_kit import ids, logs, telemetry, times, words
from haven_kit.database import Tx
from haven_kit.errors import HavenError
from haven_kit.identity import system
from haven_kit.service import Parts
from haven_kit.workers import Worker

WAKE = "concerns"
CALL_SECONDS = 2.0
LEASE = timedelta(seconds=5)
"""When an unanswered call is made again; longer than a call takes."""
_log = logs.get(__name__)


async def raise_concern(tx: Tx, person_id: str, screening_id: str, urgency: Urgency) -> str:
    """Call for help in this transaction. Returns the signal's id."""
    signal_id, level = ids.new_id(), urgency.name.lower()
    await screenings.add_concern(tx, signal_id, person_id, screening_id, level)
    event = events_pb2.ConcernRaised(
        signal_id=signal_id,
        person_id=person_id,
        screening_id=screening_id,
        raised_at=times.stamp(tx.now),
        level=level,
    )
    tx.emit(event, key=person_id)
    tx.wake(WAKE)
    return signal_id


class Messenger:
    """Tells crisis directly."""

    def __init__(self, parts: Parts[IntakeSettings]) -> None:
        self._database = parts.database
        self._crisis: CrisisServiceStub = parts.client("crisis", CrisisServiceStub)

    def worker(self) -> Worker:
        """The loop that tells; woken by the commit, and every second by itself."""
        return Worker("concerns", self.tell_one, every=timedelta(seconds=1), wake=WAKE)

    async def tell_one(self) -> bool:
        """Tell crisis of the concern that waits longest. False when none waits."""
        who = system("intake/concerns")
        async with self._database.transaction(who) as tx:
            waiting = await screenings.claim_concern(tx, LEASE)
        if waiting is None:
            return False
        request = signals_pb2.RaiseSignalRequest(
            signal_id=waiting["signal_id"],
            person_id=waiting["person_id"],
            source=signals_pb2.SIGNAL_SOURCE_SCREENING,
            level=words.number(signals_pb2.SignalLevel, waiting["level"]),
        )
        request.raised_at.FromDatetime(waiting["raised_at"])
        try:
            # The trace goes on from the answer that raised the concern.
            with telemetry.consumer_span("tell crisis", {"traceparent": waiting["traceparent"]}):
                await self._crisis.RaiseSignal(request, timeout=CALL_SECONDS)
        except HavenError as error:
            # The event is on its way too; this call is made again after the lease.
            _log.warning("concern.not_delivered", signal_id=waiting["signal_id"], reason=error.reason)
            return True
        async with self._database.transaction(who) as tx:
            await screenings.concern_accepted(tx, waiting["signal_id"])
        _log.info("concern.delivered", signal_id=waiting["signal_id"])
        return True
