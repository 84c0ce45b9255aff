"""HelpService: the quiet call for help. It takes two roads at once, to crisis and into our own record, and neither
waits for the other: one is enough.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from datetime import datetime
from typing import Any

from haven.crisis.v1 import signals_pb2
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.sessions.v1 import events_pb2
from haven.sessions.v1 import help_service_pb2 as rpc

from haven_kit import logs, times
from haven_kit.call import Call, own_transactions
from haven_kit.clients import IDEMPOTENCY_KEY
from haven_kit.database import Database
from haven_kit.errors import HavenError, NotFound, Refused, Unavailable
from haven_kit.ids import new_id
from haven_sessions import live
from haven_sessions.api.desk import Desk
from haven_sessions.domain.events import HelpState
from haven_sessions.store import people, sessions

_GRACE_SECONDS = 0.5
"""Once one road has arrived, the answer waits so long for the other; that goes on by itself."""
_NOTE_OF_CRISIS = 2000
"""As much of a note, in characters, as crisis takes."""
_NOTE_KEPT = 20_000
"""As much of a note, in characters, as is kept here."""
_NO_SESSION = str(uuid.UUID(int=0))
_log = logs.get(__name__)


class HelpUnreached(Unavailable):
    """Neither road arrived. The answer itself says how to get help now."""

    def __init__(self, text: str) -> None:
        super().__init__("Help")
        self.message = text
        self.reason = "help_unreached"


class HelpApi:
    """Answers HelpService. No method here waits for a state of the room."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._texts = desk.facts.texts
        self._crisis = desk.parts.client("crisis", CrisisServiceStub)
        self._database = self._own_database()
        self._going_on: set[asyncio.Task[Any]] = set()

    def _own_database(self) -> Database:
        # Connections of its own: a call for help does not queue behind those who wait for a busy room.
        parts = self._desk.parts
        own = Database(
            parts.settings.database_url.get_secret_value(),
            clock=parts.clock,
            pool_size=parts.settings.help_pool_size,
            application="sessions-help",
        )
        own.wake = parts.database.wake
        return own

    @own_transactions
    async def call_for_help(self, call: Call, request: rpc.CallForHelpRequest) -> rpc.CallForHelpResponse:
        person_id = call.principal.person_id
        if person_id is None:  # repeating would not help, so this is no HelpUnreached
            raise Refused("account_without_person", self._texts.help_without_person)
        signal_id = _signal_id(request.signal_id or call.idempotency_key, person_id)
        told = self._road(self._tell(signal_id, person_id, request, call.now))
        kept = self._road(self._keep(call, signal_id, person_id, request))
        await _first_to_arrive(told, kept)
        if not (_arrived(told) or _arrived(kept)):
            raise HelpUnreached(self._texts.help_unreached)
        return rpc.CallForHelpResponse(
            signal_id=signal_id,
            text=self._texts.help_called,
            reached_crisis=_arrived(told),
            kept=_arrived(kept),
        )

    async def _tell(self, signal_id: str, person_id: str, request: rpc.CallForHelpRequest, raised_at: datetime) -> bool:
        raised = signals_pb2.RaiseSignalRequest(
            signal_id=signal_id,
            person_id=person_id,
            source=signals_pb2.SIGNAL_SOURCE_HELP_BUTTON,
            session_id=_uuid(request.session_id),
            facilitator_id=self._desk.known_facilitator(request.session_id),
            raised_at=times.stamp(raised_at),
            note=request.note[:_NOTE_OF_CRISIS],
        )
        await self._crisis.RaiseSignal(
            raised,
            timeout=self._desk.settings.crisis_timeout_seconds,
            metadata=((IDEMPOTENCY_KEY, signal_id),),
        )
        return True

    async def _keep(self, call: Call, signal_id: str, person_id: str, request: rpc.CallForHelpRequest) -> bool:
        session_id = _uuid(request.session_id) or _NO_SESSION
        told = rpc.CallForHelpRequest(note=request.note[:_NOTE_KEPT])
        async with self._database.transaction(call.principal) as tx:
            call.about(person_id)
            call.write_audit(tx)
            session = await sessions.find(tx, session_id)
            if await people.is_over(tx, signal_id, person_id):
                # Pressed again with the id of a call that is over: a client's slip, which must not silence it.
                signal_id = new_id()
            note = self._desk.parts.cipher.seal(told, context=f"help/{signal_id}") if told.note else None
            if await people.call_for_help(tx, signal_id, person_id, session_id, note):
                signalled = events_pb2.DistressSignalled(
                    signal_id=signal_id,
                    person_id=person_id,
                    session_id=session_id if session_id != _NO_SESSION else "",
                    facilitator_id=session.facilitator_id if session else "",
                    raised_at=times.stamp(tx.now),
                )
                tx.emit(signalled, key=signal_id)
        self._road(self._show(call, signal_id, session_id, person_id))
        return True

    async def _show(self, call: Call, signal_id: str, session_id: str, person_id: str) -> bool:
        # Apart from what keeps the call: this waits for the room's turn. Our own event's reaction makes up for a miss.
        async with self._desk.parts.database.transaction(call.principal) as tx:
            await live.show_call(tx, signal_id, session_id, person_id)
        return True

    @own_transactions
    async def withdraw_help(self, call: Call, request: rpc.WithdrawHelpRequest) -> rpc.WithdrawHelpResponse:
        told = await self._tell_withdrawal(request.signal_id)
        try:
            kept = await self._keep_withdrawal(call, request.signal_id, told=told)
        except Unavailable:
            if not told:
                raise
            kept = False
        if not told and not kept:
            raise NotFound("call for help")
        return rpc.WithdrawHelpResponse(text=self._texts.help_withdrawn, reached_crisis=told)

    async def _tell_withdrawal(self, signal_id: str) -> bool:
        withdrawn = signals_pb2.WithdrawSignalRequest(signal_id=signal_id)
        try:
            await self._crisis.WithdrawSignal(withdrawn, timeout=self._desk.settings.crisis_timeout_seconds)
        except HavenError as error:
            _log.warning("withdrawal.not_told", signal_id=signal_id, reason=error.reason)
            return False
        return True

    async def _keep_withdrawal(self, call: Call, signal_id: str, *, told: bool) -> bool:
        person_id = call.principal.person_id or ""
        async with call.transaction() as tx:
            call.about(person_id)
            session_id = await people.withdraw(tx, signal_id, person_id, told=told) if person_id else None
            if session_id is None:
                return False
            await live.show_help(tx, session_id, person_id, HelpState.WITHDRAWN)
            tx.wake("withdrawals")
        return True

    def _road(self, going: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
        task = asyncio.create_task(_logged(going))
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        return task

    async def close(self) -> None:
        """Wait for what still goes on by itself, each road with a deadline of its own, and let go."""
        while self._going_on:
            await asyncio.wait(self._going_on)
        await self._database.close()


def _signal_id(given: str, person_id: str) -> str:
    """The call's id. What is no UUID names the call of this person, and the same name is the same call."""
    if not given:
        return new_id()
    return _uuid(given) or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{person_id}/{given}"))


def _uuid(given: str) -> str:
    """A UUID as PostgreSQL writes it; empty for what is none."""
    try:
        return str(uuid.UUID(given))
    except ValueError:
        return ""


async def _logged(going: Coroutine[Any, Any, bool]) -> bool:
    """Whether the road arrived. Whatever stops one road must not stop the other."""
    try:
        return await going
    except HavenError as error:
        _log.warning("help.road_failed", reason=error.reason)
    except Exception:  # noqa: BLE001 - whatever it is, the other road goes on
        _log.exception("help.road_failed")
    return False


async def _first_to_arrive(*roads: asyncio.Task[bool]) -> None:
    waiting = set(roads)
    while waiting and not any(_arrived(road) for road in roads):
        _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if waiting:
        await asyncio.wait(waiting, timeout=_GRACE_SECONDS)


def _arrived(road: asyncio.Task[bool]) -> bool:
    return road.done() and road.result()
