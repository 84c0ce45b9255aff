"""What sessions does when others tell of something: one function for each event."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from haven.crisis.v1 import events_pb2 as crisis
from haven.scheduling.v1 import events_pb2 as scheduling
from haven.sessions.v1 import events_pb2 as own

from haven_kit import relations
from haven_kit.database import Tx
from haven_kit.reactions import Reaction
from haven_sessions.domain.events import HelpState
from haven_sessions.live import show_call, show_help
from haven_sessions.store import sessions
from haven_sessions.store.sessions import Session

AboutAlert = crisis.AlertRaised | crisis.AlertAcknowledged | crisis.ContactMade | crisis.AlertClosed


async def session_planned(tx: Tx, event: scheduling.SessionPlanned) -> None:
    """Keep a copy of the session."""
    session = Session(
        session_id=event.session_id,
        kind=event.kind,
        starts_at=event.starts_at.ToDatetime(UTC),
        ends_at=event.ends_at.ToDatetime(UTC),
        time_zone=event.time_zone,
        facilitator_id=event.facilitator_id,
        cancelled=False,
    )
    await sessions.put(tx, session, event.version)


async def session_cancelled(tx: Tx, event: scheduling.SessionCancelled) -> None:
    """No room opens for it any more."""
    await sessions.cancel(tx, event.session_id, event.version)


async def seat_taken(tx: Tx, event: scheduling.SeatTaken) -> None:
    """The person may join."""
    await sessions.take_seats(tx, event.enrolment_id, event.person_id, event.session_ids)


async def seat_released(tx: Tx, event: scheduling.SeatReleased) -> None:
    """The person may no longer join."""
    await sessions.release_seats(tx, event.enrolment_id, event.person_id, event.session_ids)


async def distress_signalled(tx: Tx, event: own.DistressSignalled) -> None:
    """Staff see the call, even if it could not be shown when it was made."""
    await show_call(tx, event.signal_id, event.session_id, event.person_id)


async def alert_raised(tx: Tx, event: crisis.AlertRaised) -> None:
    """Staff see that crisis has it."""
    await _show(tx, event, HelpState.ALERTED)


async def alert_acknowledged(tx: Tx, event: crisis.AlertAcknowledged) -> None:
    """Staff see that somebody has taken it."""
    await _show(tx, event, HelpState.ACKNOWLEDGED)


async def alert_escalated(tx: Tx, event: crisis.AlertEscalated) -> None:
    """Staff see that people are called again where whoever had taken it made no contact in time."""
    if event.lease_expired:
        await _lost(tx, event.session_id, event.person_id, event.alert_id)


async def alert_reassigned(tx: Tx, event: crisis.AlertReassigned) -> None:
    """Staff see that nobody has it until one of the others takes it."""
    await _lost(tx, event.session_id, event.person_id, event.alert_id)


async def contact_made(tx: Tx, event: crisis.ContactMade) -> None:
    """Staff see that help has arrived."""
    await _show(tx, event, HelpState.CONTACT_MADE)


async def alert_closed(tx: Tx, event: crisis.AlertClosed) -> None:
    """Staff see that it is over."""
    await _show(tx, event, HelpState.CLOSED)


async def _lost(tx: Tx, session_id: str, person_id: str, alert_id: str) -> None:
    await show_help(tx, session_id, person_id, HelpState.ALERTED, alert_id, lost=True)


async def _show(tx: Tx, event: AboutAlert, state: HelpState) -> None:
    await show_help(tx, event.session_id, event.person_id, state, event.alert_id)


def reactions() -> tuple[Reaction[Any], ...]:
    """The reactions of sessions."""
    return (
        *relations.reactions(),
        Reaction(scheduling.SessionPlanned, session_planned),
        Reaction(scheduling.SessionCancelled, session_cancelled),
        Reaction(scheduling.SeatTaken, seat_taken),
        Reaction(scheduling.SeatReleased, seat_released),
        Reaction(own.DistressSignalled, distress_signalled),
        Reaction(crisis.AlertRaised, alert_raised),
        Reaction(crisis.AlertAcknowledged, alert_acknowledged),
        Reaction(crisis.AlertEscalated, alert_escalated),
        Reaction(crisis.AlertReassigned, alert_reassigned),
        Reaction(crisis.ContactMade, contact_made),
        Reaction(crisis.AlertClosed, alert_closed),
    )
