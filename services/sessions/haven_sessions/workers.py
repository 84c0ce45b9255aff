"""Background loops: presence that lapsed, rooms that nobody closed, who did not come, what crisis has not heard of."""

from __future__ import annotations

from datetime import timedelta

from haven.crisis.v1 import signals_pb2
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.sessions.v1 import events_pb2

from haven_kit import logs, times
from haven_kit.errors import HavenError
from haven_kit.identity import system
from haven_kit.service import Parts
from haven_kit.workers import Worker
from haven_sessions import live
from haven_sessions.facts import Absence
from haven_sessions.settings import SessionsSettings
from haven_sessions.store import locations, people, rooms, sessions

_TELL_AGAIN_AFTER = timedelta(seconds=5)
_log = logs.get(__name__)


def workers(parts: Parts[SessionsSettings], absence: Absence) -> tuple[Worker, ...]:
    """The loops of sessions."""
    loops = Loops(parts, absence)
    return (
        Worker("presence", loops.lapse, every=timedelta(seconds=1)),
        Worker("abandoned-rooms", loops.close_abandoned, every=timedelta(seconds=30)),
        Worker("withdrawals", loops.tell_withdrawal, every=timedelta(seconds=5), wake="withdrawals"),
        Worker("absences", loops.tell_absences, every=timedelta(seconds=10)),
        Worker("locations", loops.bring_location, every=timedelta(seconds=2)),
    )


class Loops:
    """The service's loops. Each step handles one room, or one call, and is safe beside others of its kind."""

    def __init__(self, parts: Parts[SessionsSettings], absence: Absence) -> None:
        self._database = parts.database
        self._cipher = parts.cipher
        self._absence = absence
        self._settings = parts.settings
        self._crisis = parts.client("crisis", CrisisServiceStub)

    async def lapse(self) -> bool:
        """Let those leave whose connection has been gone for too long."""
        async with self._database.transaction(system("sessions/presence")) as tx:
            cutoff = tx.now - timedelta(seconds=self._settings.lapse_seconds)
            session_id = await rooms.lapsed(tx, cutoff)
            if session_id is None:
                return False
            await live.let_lapse(tx, await sessions.get(tx, session_id), await rooms.load(tx, session_id), cutoff)
        return True

    async def close_abandoned(self) -> bool:
        """Close a room that was left open after its planned end."""
        async with self._database.transaction(system("sessions/abandoned-rooms")) as tx:
            grace, limit = self._settings.close_grace_minutes, self._settings.close_limit_minutes
            session_id = await rooms.abandoned(tx, tx.now - timedelta(minutes=grace), tx.now - timedelta(minutes=limit))
            if session_id is None:
                return False
            cutoff = tx.now - timedelta(seconds=self._settings.lapse_seconds)
            await live.close(tx, await sessions.get(tx, session_id), seen_before=cutoff)
        _log.info("room.closed_abandoned", session_id=session_id)
        return True

    async def tell_withdrawal(self) -> bool:
        """Tell crisis of one call for help that was taken back."""
        async with self._database.transaction(system("sessions/withdrawals")) as tx:
            signal_id = await people.due_withdrawal(tx)
            if signal_id is None:
                return False
            try:
                await self._crisis.WithdrawSignal(
                    signals_pb2.WithdrawSignalRequest(signal_id=signal_id),
                    timeout=self._settings.crisis_timeout_seconds,
                )
            except HavenError as error:
                _log.warning("withdrawal.not_told", signal_id=signal_id, reason=error.reason)
                await people.set_withdrawal_due(tx, signal_id, tx.now + _TELL_AGAIN_AFTER)
            else:
                await people.set_withdrawal_due(tx, signal_id, None)
        return True

    async def tell_absences(self) -> bool:
        """Tell who did not come to one session. Crisis decides for whom that matters."""
        async with self._database.transaction(system("sessions/absences")) as tx:
            session = await sessions.begun_without_absences(tx, self._absence.after, self._absence.look_back)
            if session is None:
                return False
            for person_id in await sessions.tell_absences(tx, session.session_id):
                event = events_pb2.ParticipantAbsent(
                    session_id=session.session_id,
                    person_id=person_id,
                    facilitator_id=session.facilitator_id,
                    starts_at=times.stamp(session.starts_at),
                    noticed_at=times.stamp(tx.now),
                )
                tx.emit(event, key=person_id)
        return True

    async def bring_location(self) -> bool:
        """Bring crisis one place that it did not take when it was confirmed."""
        async with self._database.transaction(system("sessions/locations")) as tx:
            kept = await locations.due(tx, self._cipher)
            if kept is None:
                return False
            try:
                await self._crisis.ConfirmLocation(kept, timeout=self._settings.location_timeout_seconds)
            except HavenError as error:
                _log.warning("location.not_brought", reason=error.reason)
                await locations.try_again(tx, kept.person_id, tx.now + _TELL_AGAIN_AFTER)
            else:
                locations.forget(tx, kept.person_id)
        return True
