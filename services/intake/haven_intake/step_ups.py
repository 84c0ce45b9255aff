"""Proposing more care to the care team, after what speaks for it: never in the transaction of an answer that may itself
call for help."""

from __future__ import annotations

from datetime import UTC, datetime

from haven.intake.v1 import events_pb2
from haven.intake.v1 import step_up_service_pb2 as pb

from haven_intake import facts
from haven_intake.domain import step_up as rules
from haven_intake.store import care, people, screenings, step_up
from haven_kit import ids, times
from haven_kit.cipher import Cipher
from haven_kit.database import Tx


async def after_screening(tx: Tx, cipher: Cipher, person_id: str, screening_id: str) -> None:
    """A screening was scored: propose more care where the instrument's total rose and stays up."""
    instrument_id = (await screenings.get(tx, cipher, person_id, screening_id)).instrument_id
    rule = facts.step_up_rules().rises.get(instrument_id)
    if rule is None:
        return
    risen = rules.risen(rule, await step_up.totals(tx, cipher, person_id, instrument_id))
    if risen is not None:
        name = facts.all_instruments()[instrument_id].name
        sentence = f"{name}: rose from {risen.lowest} to {risen.now}, and stayed up."
        await _propose(tx, cipher, person_id, rule.rule_id, sentence, rule.source)


async def after_alert(tx: Tx, cipher: Cipher, alert_id: str, person_id: str, raised_at: datetime) -> None:
    """Crisis raised an alert: propose more care where they repeat."""
    rule = facts.step_up_rules().repeated
    number = await step_up.see_alert(tx, alert_id, person_id, raised_at, tx.now - rule.within)
    if number >= rule.count:
        sentence = f"{number} calls for help in {rule.within.days} days."
        await _propose(tx, cipher, person_id, rule.rule_id, sentence, rule.source)


async def _propose(tx: Tx, cipher: Cipher, person_id: str, rule_id: str, sentence: str, source: str) -> None:
    """One open proposal a person: what speaks for it is added to it. Nothing where the person is not in the program, or
    nobody gives more care than this, or the care team declined the same not long ago."""
    stay = await care.find(tx, cipher, person_id)
    if stay is None or stay.discharged_at is not None:
        return
    level = rules.next_level(list(facts.levels_of_care().values()), stay.message.level_of_care, facts.offered_levels())
    if level is None:
        return
    await people.lock(tx, person_id)
    reason = pb.StepUpReason(rule_id=rule_id, sentence=sentence, source=source, noticed_at=times.stamp(tx.now))
    held = await step_up.open_of(tx, cipher, person_id)
    if held is not None:
        proposal = held.message
        others = [each for each in proposal.reasons if each.rule_id != rule_id]
        proposal.ClearField("reasons")
        proposal.reasons.extend([*others, reason])
        await step_up.put(tx, cipher, proposal)
        return
    since = tx.now - facts.step_up_rules().again_after
    declined = await step_up.decided_since(tx, cipher, person_id, since)
    if any(rule_id == each.rule_id for proposal in declined for each in proposal.reasons):
        return
    proposal = pb.StepUpProposal(
        proposal_id=ids.new_id(),
        person_id=person_id,
        state=pb.STEP_UP_STATE_OPEN,
        from_level=stay.message.level_of_care,
        to_level=level.id,
        by_referral=level.id not in facts.offered_levels(),
        reasons=[reason],
        proposed_at=times.stamp(tx.now),
    )
    await step_up.put(tx, cipher, proposal)
    tx.emit(events_pb2.StepUpProposed(person_id=person_id, proposal_id=proposal.proposal_id), key=person_id)


async def end(tx: Tx, cipher: Cipher, person_id: str, state: pb.StepUpState.ValueType) -> None:
    """The open proposal, if there is one, is over: the level was stepped up, or the person left. They are locked."""
    held = await step_up.open_of(tx, cipher, person_id)
    if held is not None:
        await decide(tx, cipher, held, state)


async def decide(
    tx: Tx, cipher: Cipher, held: step_up.Record, state: pb.StepUpState.ValueType, reason: str = ""
) -> pb.StepUpProposal:
    """A proposal that was read with a lock, decided now."""
    proposal = held.message
    proposal.state, proposal.decided_by, proposal.decision = state, tx.principal.id, reason
    proposal.decided_at.FromDatetime(tx.now.astimezone(UTC))
    return (await step_up.put(tx, cipher, proposal)).message
