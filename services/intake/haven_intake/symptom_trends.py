"""Symptoms that became worse from one screening to the next: noticed after the screening was scored, never in the
transaction of an answer that may itself call for help."""

from __future__ import annotations

from datetime import UTC

from haven.intake.v1 import events_pb2

from haven_intake import facts
from haven_intake.domain import trends
from haven_intake.store import screenings, step_up
from haven_kit import ids, times
from haven_kit.cipher import Cipher
from haven_kit.database import Tx


async def after_screening(tx: Tx, cipher: Cipher, person_id: str, screening_id: str) -> None:
    """A screening was scored: tell crisis where its instrument has a rule, and the total is worse by it."""
    screening = await screenings.get(tx, cipher, person_id, screening_id)
    rule = facts.symptom_trends().get(screening.instrument_id)
    if rule is None:
        return
    totals = await step_up.totals(tx, cipher, person_id, screening.instrument_id)
    if trends.has_worsened(rule, totals, screening.scored_at.ToDatetime(UTC)):
        event = events_pb2.CheckInTrendNoticed(
            signal_id=ids.new_id(), person_id=person_id, rule_id=rule.rule_id, raised_at=times.stamp(tx.now)
        )
        tx.emit(event, key=person_id)
