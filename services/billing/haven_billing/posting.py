"""Posts a remittance: each claim's answer to the ledger and the claim, what matches nothing to the unapplied
account."""

from datetime import date
from typing import Any

from haven.billing.v1 import remittances_pb2 as pb
from haven.billing.v1.events_pb2 import ClaimDenied, ClaimPaid
from haven.common.v1.money_pb2 import Money
from sqlalchemy import Row

from haven_billing.domain import ledger
from haven_billing.domain.x12.remittance_835 import ClaimPayment, Remittance
from haven_billing.facts import Facts
from haven_billing.store import claims
from haven_billing.store import ledger as books
from haven_kit.database import Tx


async def post(tx: Tx, facts: Facts, remittance_id: str, read: Remittance) -> pb.Remittance:
    """Posts everything and returns the remittance as it is shown. The remittance must balance."""
    currency = facts.program.currency
    message = pb.Remittance(
        remittance_id=remittance_id,
        payer_identifier=read.payer_identifier,
        trace_number=read.trace_number,
        total=Money(minor_units=read.total, currency=currency),
        paid_on=read.paid_on.isoformat(),
    )
    message.read_at.FromDatetime(tx.now)
    for payment in read.claims:
        row = await claims.by_control_number(tx, payment.control_number)
        shown = _shown(facts, payment, row.currency if row is not None else currency)
        if row is not None:
            shown.claim_id = row.claim_id
            row = await _reopened(tx, row, payment, read.paid_on)
        if row is not None and _fits(payment, row):
            shown.journal_id = await _post_claim(tx, remittance_id, read.paid_on, payment, row) or ""
        else:
            about = books.About(None, ledger.Kind.REMITTANCE, read.paid_on, currency, remittance_id=remittance_id)
            shown.journal_id = await books.post(tx, about, ledger.unmatched_payment(payment.paid)) or ""
            message.unmatched += 1
        message.claim_payments.append(shown)
    for adjustment in read.provider_adjustments:
        about = books.About(None, ledger.Kind.REMITTANCE, read.paid_on, currency, remittance_id=remittance_id)
        await books.post(tx, about, ledger.provider_adjustment(adjustment.amount))
        message.provider_adjustments.add(
            reason=adjustment.reason,
            reference=adjustment.reference,
            amount=Money(minor_units=adjustment.amount, currency=currency),
        )
    return message


def _answered(row: Row[Any]) -> int:
    """How much of a claim payers have answered."""
    return int(row.paid + row.adjusted + row.person_owes)


def _fits(payment: ClaimPayment, row: Row[Any]) -> bool:
    """Whether the claim has that much left to answer, or that much answered to take back.

    A payer may answer in parts; what goes beyond the claim, such as a second payment, is no answer to it.
    """
    return payment.informs_only or 0 <= _answered(row) + payment.charged <= row.total


async def _reopened(tx: Tx, row: Row[Any], payment: ClaimPayment, day: date) -> Row[Any]:
    """A denied claim that the payer decides again without a reversal is first put back to unanswered."""
    if row.state != claims.DENIED or payment.reversed or payment.informs_only:
        return row
    for journal in await books.open_of_claim(tx, row.claim_id):
        legs = books.legs_of((await books.legs(tx, [journal.journal_id]))[journal.journal_id])
        about = books.About(
            row.person_id,
            ledger.Kind.REVERSAL,
            day,
            row.currency,
            claim_id=row.claim_id,
            reverses_journal_id=journal.journal_id,
        )
        await books.post(tx, about, ledger.reversal(legs))
    await claims.change(tx, row.claim_id, state=claims.SUBMITTED, paid=0, adjusted=0, person_owes=0)
    return await claims.claim(tx, row.claim_id)


async def _post_claim(tx: Tx, remittance_id: str, day: date, payment: ClaimPayment, row: Row[Any]) -> str | None:
    if payment.informs_only:
        return None
    about = books.About(
        row.person_id, ledger.Kind.REMITTANCE, day, row.currency, claim_id=row.claim_id, remittance_id=remittance_id
    )
    adjustments = [(each.group, each.amount) for each in payment.adjustments]
    legs = ledger.claim_payment(payment.charged, payment.paid, adjustments, denied=_was_denied(payment, row))
    person_owes = sum(amount for group, amount in adjustments if group == "PR")
    await claims.change(
        tx,
        row.claim_id,
        state=_state(payment),
        paid=row.paid + payment.paid,
        adjusted=row.adjusted + sum(amount for _, amount in adjustments) - person_owes,
        person_owes=row.person_owes + person_owes,
    )
    if payment.denied:
        tx.emit(ClaimDenied(claim_id=row.claim_id, person_id=row.person_id), key=row.claim_id)
    elif not payment.reversed:
        tx.emit(ClaimPaid(claim_id=row.claim_id, person_id=row.person_id), key=row.claim_id)
    return await books.post(tx, about, legs)


def _was_denied(payment: ClaimPayment, row: Row[Any]) -> bool:
    """A reversal of a denial takes back what the denial posted."""
    return payment.denied or (payment.reversed and row.state == claims.DENIED)


def _state(payment: ClaimPayment) -> str:
    if payment.denied:
        return claims.DENIED
    return claims.REVERSED if payment.reversed else claims.PAID


def _shown(facts: Facts, payment: ClaimPayment, currency: str) -> pb.ClaimPayment:
    owes = sum(each.amount for each in payment.adjustments if each.group == "PR")
    return pb.ClaimPayment(
        patient_control_number=payment.control_number,
        status_code=payment.status,
        charged=Money(minor_units=payment.charged, currency=currency),
        paid=Money(minor_units=payment.paid, currency=currency),
        person_owes=Money(minor_units=owes, currency=currency),
        payer_claim_number=payment.payer_claim_number,
        adjustments=[
            pb.Adjustment(
                group=each.group,
                reason=each.reason,
                label=facts.adjustment_labels.get(each.reason, ""),
                amount=Money(minor_units=each.amount, currency=currency),
            )
            for each in payment.adjustments
        ],
    )
