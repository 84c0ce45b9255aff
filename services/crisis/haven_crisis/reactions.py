"""What crisis does when another service tells of something. A signal told here was, as a rule, also sent directly."""

from __future__ import annotations

from datetime import UTC
from typing import Any
from uuid import UUID, uuid5

from haven.crisis.v1 import signals_pb2 as pb
from haven.intake.v1 import events_pb2 as intake
from haven.sessions.v1 import events_pb2 as sessions

from haven_crisis import facts
from haven_crisis.acceptance import Acceptance, Signal
from haven_crisis.store import people
from haven_kit import relations, words
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.reactions import Reaction

_ABSENCES = UUID("0197c0de-5160-7a11-8a5e-2b6f3f0c9d42")
LEVELS = frozenset({"elevated", "high", "immediate"})


def reactions(acceptance: Acceptance, cipher: Cipher) -> tuple[Reaction[Any], ...]:
    """Every event that crisis reacts to."""

    async def accept(tx: Tx, signal: Signal) -> None:
        accepted = await acceptance.accept(tx, signal)
        if accepted.raised:
            tx.audit(signal.person_id, action=signal.actor, seen_as="called for help for you")

    async def distress_signalled(tx: Tx, event: sessions.DistressSignalled) -> None:
        signal = Signal(
            signal_id=event.signal_id,
            person_id=event.person_id,
            source=pb.SIGNAL_SOURCE_HELP_BUTTON,
            actor=tx.principal.id,
            raised_at=event.raised_at.ToDatetime(UTC),
            session_id=event.session_id,
            facilitator_id=event.facilitator_id,
        )
        await accept(tx, signal)

    async def concern_raised(tx: Tx, event: intake.ConcernRaised) -> None:
        signal = Signal(
            signal_id=event.signal_id,
            person_id=event.person_id,
            source=pb.SIGNAL_SOURCE_SCREENING,
            actor=tx.principal.id,
            raised_at=event.raised_at.ToDatetime(UTC),
            level=_level(event.level),
        )
        await accept(tx, signal)

    async def check_in_trend_noticed(tx: Tx, event: intake.CheckInTrendNoticed) -> None:
        signal = Signal(
            signal_id=event.signal_id,
            person_id=event.person_id,
            source=pb.SIGNAL_SOURCE_CHECK_IN_TREND,
            actor=tx.principal.id,
            raised_at=event.raised_at.ToDatetime(UTC),
        )
        await accept(tx, signal)

    async def distress_observed(tx: Tx, event: sessions.DistressObserved) -> None:
        signal = Signal(
            signal_id=event.signal_id,
            person_id=event.person_id,
            source=pb.SIGNAL_SOURCE_FACILITATOR,
            actor=tx.principal.id,
            raised_at=event.raised_at.ToDatetime(UTC),
            session_id=event.session_id,
            facilitator_id=event.facilitator_id,
            level=_level(event.level),
        )
        await accept(tx, signal)

    async def participant_absent(tx: Tx, event: sessions.ParticipantAbsent) -> None:
        """Who does not come is looked after where they are known to be at risk."""
        if not await people.at_risk(tx, cipher, event.person_id, facts.at_risk_after_alert()):
            return
        signal = Signal(
            signal_id=str(uuid5(_ABSENCES, f"{event.session_id}/{event.person_id}/{event.starts_at.seconds}")),
            person_id=event.person_id,
            source=pb.SIGNAL_SOURCE_NO_SHOW,
            actor=tx.principal.id,
            raised_at=event.noticed_at.ToDatetime(UTC),
            session_id=event.session_id,
            facilitator_id=event.facilitator_id,
        )
        await accept(tx, signal)

    return (
        Reaction(sessions.DistressSignalled, distress_signalled, never_buried=True),
        Reaction(intake.ConcernRaised, concern_raised, never_buried=True),
        Reaction(intake.CheckInTrendNoticed, check_in_trend_noticed, never_buried=True),
        Reaction(sessions.DistressObserved, distress_observed, never_buried=True),
        Reaction(sessions.ParticipantAbsent, participant_absent, never_buried=True),
        Reaction(sessions.ParticipantJoined, participant_joined),
        Reaction(sessions.ParticipantLeft, participant_left),
        *relations.reactions(),
    )


def _level(word: str) -> int:
    """A SignalLevel by its word; an unknown or empty one is no judgment."""
    return words.number(pb.SignalLevel, word) if word in LEVELS else pb.SIGNAL_LEVEL_UNSPECIFIED


async def participant_joined(tx: Tx, event: sessions.ParticipantJoined) -> None:
    """The facilitator is with the person now."""
    await people.joined(tx, event.person_id, event.session_id, event.facilitator_id, event.joined_at.ToDatetime(UTC))


async def participant_left(tx: Tx, event: sessions.ParticipantLeft) -> None:
    """The facilitator is not with the person any more."""
    await people.left(tx, event.person_id, event.session_id, event.left_at.ToDatetime(UTC))
