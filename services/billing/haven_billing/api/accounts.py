"""The ledger, and what people pay, get back, or are let go."""

from collections.abc import Callable
from typing import Any

from haven.billing.v1 import ledger_pb2 as pb
from haven.common.v1.money_pb2 import Money
from sqlalchemy import Row

from haven_billing import policy
from haven_billing.api.base import Base, amount, money
from haven_billing.domain import ledger
from haven_billing.domain.ledger import Account, Kind, Legs
from haven_billing.store import ledger as books
from haven_kit import words
from haven_kit.call import Call
from haven_kit.errors import Refused
from haven_kit.paging import Page

_UNDOABLE = frozenset({Kind.PAYMENT.value, Kind.REFUND.value, Kind.WRITE_OFF.value})


class AccountApi(Base):
    """Journals and balances."""

    async def list_ledger(self, call: Call, request: pb.ListLedgerRequest) -> pb.ListLedgerResponse:
        """The entries about a person."""
        await policy.may_see(call, request.person_id, "person")
        page = Page.of(request)
        rows = await books.page(call.tx, request.person_id, page)
        shown, token = page.cut(rows, lambda row: [row.journal_id])
        legs = await books.legs(call.tx, [row.journal_id for row in shown])
        return pb.ListLedgerResponse(
            journals=[journal_message(row, legs[row.journal_id]) for row in shown],
            next_page_token=token,
        )

    async def get_account(self, call: Call, request: pb.GetAccountRequest) -> pb.AccountBalances:
        """A person's balances."""
        await policy.may_see(call, request.person_id, "person")
        held = await books.balances(call.tx, request.person_id)
        return pb.AccountBalances(person_id=request.person_id, balances=_balances(held))

    async def get_trial_balance(self, call: Call, _request: pb.GetTrialBalanceRequest) -> pb.TrialBalance:
        """All balances."""
        held = await books.balances(call.tx)
        sums: dict[str, int] = {}
        for _, currency, balance in held:
            sums[currency] = sums.get(currency, 0) + balance
        return pb.TrialBalance(
            balances=_balances(held), sums=[money(total, currency) for currency, total in sorted(sums.items())]
        )

    async def record_payment(self, call: Call, request: pb.RecordPaymentRequest) -> pb.Journal:
        """Money a person paid."""
        return await self._post(call, request.person_id, request.amount, Kind.PAYMENT, ledger.payment)

    async def refund_payment(self, call: Call, request: pb.RefundPaymentRequest) -> pb.Journal:
        """Money given back to a person."""
        owed = await self._owed(call, request.person_id)
        if request.amount.minor_units > -owed:
            raise Refused("not_overpaid", "The person has not paid that much above what they owe.")
        return await self._post(call, request.person_id, request.amount, Kind.REFUND, ledger.refund)

    async def write_off(self, call: Call, request: pb.WriteOffRequest) -> pb.Journal:
        """What is let go of what a person owes."""
        owed = await self._owed(call, request.person_id)
        if request.amount.minor_units > owed:
            raise Refused("more_than_owed", "The person does not owe that much.")
        return await self._post(call, request.person_id, request.amount, Kind.WRITE_OFF, ledger.write_off)

    async def reverse_journal(self, call: Call, request: pb.ReverseJournalRequest) -> pb.Journal:
        """Undoes a payment, refund or write-off."""
        row = await books.journal(call.tx, request.journal_id)
        if row.person_id is None or row.kind not in _UNDOABLE:
            raise Refused("not_reversible", "Only payments, refunds and write-offs are undone here.")
        await policy.may_see(call, row.person_id, "journal")
        call.about(row.person_id)
        await books.lock_person(call.tx, row.person_id)
        if await books.is_reversed(call.tx, row.journal_id):
            raise Refused("already_reversed", "The entry was undone before.")
        postings = (await books.legs(call.tx, [row.journal_id]))[row.journal_id]
        about = books.About(
            row.person_id,
            Kind.REVERSAL,
            call.now.date(),
            postings[0].currency,
            reverses_journal_id=row.journal_id,
        )
        return await self._shown_journal(call, about, ledger.reversal(books.legs_of(postings)))

    async def _owed(self, call: Call, person_id: str) -> int:
        await policy.may_see(call, person_id, "person")
        return await books.balance(call.tx, person_id, Account.RECEIVABLE_PATIENT, self.facts.program.currency)

    async def _post(
        self, call: Call, person_id: str, given: Money, kind: Kind, legs: Callable[[int], Legs]
    ) -> pb.Journal:
        await policy.may_see(call, person_id, "person")
        currency = self.facts.program.currency
        value = amount("amount", given, currency)
        about = books.About(person_id, kind, call.now.date(), currency)
        return await self._shown_journal(call, about, legs(value))

    async def _shown_journal(self, call: Call, about: books.About, legs: Legs) -> pb.Journal:
        journal_id = await books.post(call.tx, about, legs)
        if journal_id is None:
            raise RuntimeError("a journal without legs")
        rows = await books.legs(call.tx, [journal_id])
        return journal_message(await books.journal(call.tx, journal_id), rows[journal_id])


def journal_message(row: Row[Any], postings: list[Row[Any]]) -> pb.Journal:
    """A journal as the contract has it."""
    message = pb.Journal(
        journal_id=row.journal_id,
        person_id=row.person_id or "",
        kind=words.number(pb.JournalKind, row.kind),
        postings=[
            pb.Posting(account=words.number(pb.Account, each.account), amount=money(each.amount, each.currency))
            for each in postings
        ],
        charge_id=row.charge_id or "",
        claim_id=row.claim_id or "",
        remittance_id=row.remittance_id or "",
        reverses_journal_id=row.reverses_journal_id or "",
    )
    message.posted_at.FromDatetime(row.posted_at)
    return message


def _balances(held: list[tuple[Account, str, int]]) -> list[pb.Balance]:
    in_order = sorted(held, key=lambda each: (list(Account).index(each[0]), each[1]))
    return [
        pb.Balance(account=words.number(pb.Account, account), amount=money(balance, currency))
        for account, currency, balance in in_order
    ]
