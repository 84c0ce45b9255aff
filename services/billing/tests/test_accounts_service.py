"""The ledger that keeps itself, what people pay, and what they are told about it."""

from datetime import date

import asyncpg
import pytest
from haven.billing.v1 import ledger_pb2 as pb
from haven.billing.v1 import payers_pb2
from haven.common.v1.money_pb2 import Money
from haven.intake.v1.events_pb2 import PersonDischarged

from haven_billing.domain.ledger import Account, Kind, Leg
from haven_billing.store import ledger as books
from haven_dev import clearinghouse
from haven_kit import migrations
from haven_kit.errors import Invalid, NotFound, Refused
from haven_kit.identity import system
from haven_kit.ids import new_id

EMPLOYER = "01970000-0000-7000-8000-000000000003"
MONDAY, TUESDAY = "2026-03-02", "2026-03-03"


def usd(minor_units: int) -> Money:
    return Money(minor_units=minor_units, currency="USD")


async def owing(office, trace: str) -> str:
    """A person who owes 60 after the plan paid for two days."""
    person = await office.newcomer()
    await office.insure(person, days=5)
    _, document = await office.claimed(person, MONDAY, TUESDAY)
    from haven.billing.v1 import remittances_pb2

    text = clearinghouse.answer(document, trace_number=trace, paid_on=date(2026, 3, 8), contractual=9000, copay=3000)
    await office.api.ReadRemittance(remittances_pb2.ReadRemittanceRequest(x12_835=text))
    return person


def about(person_id: str) -> books.About:
    return books.About(person_id, Kind.PAYMENT, date(2026, 3, 9), "USD")


@pytest.mark.parametrize(
    "legs",
    [
        (Leg(Account.CASH, 100), Leg(Account.REVENUE, -99)),
        (Leg(Account.CASH, 100),),
    ],
)
async def test_the_database_refuses_an_unbalanced_journal(billing, database, legs):
    own = await database("billing")
    person = new_id()
    with pytest.raises(asyncpg.CheckViolationError, match="sum to zero"):
        async with own.transaction(system("test")) as tx:
            await books.post(tx, about(person), legs)
    async with own.transaction(system("test")) as tx:
        assert await books.all_of(tx, person) == []


async def test_the_database_refuses_legs_that_balance_only_across_currencies(billing, database):
    own = await database("billing")
    with pytest.raises(asyncpg.CheckViolationError, match="sum to zero"):
        async with own.transaction(system("test")) as tx:
            journal_id = await books.post(tx, about(new_id()), (Leg(Account.CASH, 100),))
            await tx.fetch(
                "INSERT INTO posting (journal_id, account, amount, currency) VALUES ($1, 'revenue', -100, 'EUR')",
                journal_id,
            )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE posting SET amount = amount * 2",
        "DELETE FROM posting",
        "DELETE FROM journal",
        "TRUNCATE posting, journal",
    ],
)
async def test_ledger_entries_are_final(office, billing, database, statement):
    await office.api.RecordPayment(
        pb.RecordPaymentRequest(person_id=await office.newcomer(), amount=usd(100), method=pb.PAYMENT_METHOD_CASH)
    )
    own = await database("billing")
    with pytest.raises(asyncpg.RestrictViolationError):
        async with own.transaction(system("test")) as tx:
            await tx.fetch(statement)


async def test_the_tables_are_what_the_code_says(billing, database):
    from haven_billing.store import metadata

    own = await database("billing")
    assert await migrations.is_current(own, "haven_billing")
    async with own.transaction(system("test")) as tx:
        rows = await tx.fetch(
            "SELECT table_name, column_name, is_nullable FROM information_schema.columns WHERE table_schema = 'public'"
        )
    found = {(row["table_name"], row["column_name"], row["is_nullable"] == "YES") for row in rows}
    wanted = {(t.name, c.name, bool(c.nullable)) for t in metadata.sorted_tables for c in t.columns}
    assert wanted <= found
    ours = {table.name for table in metadata.sorted_tables}
    assert {each for each in found if each[0] in ours} == wanted


async def test_a_person_pays_and_is_paid_back(office):
    person = await owing(office, "PAY1")
    assert (await office.balances(person))["receivable_patient"] == 6000
    await office.api.RecordPayment(
        pb.RecordPaymentRequest(person_id=person, amount=usd(7000), method=pb.PAYMENT_METHOD_CARD)
    )
    with pytest.raises(Refused) as refused:
        await office.api.RefundPayment(pb.RefundPaymentRequest(person_id=person, amount=usd(1001)))
    assert refused.value.reason == "not_overpaid"
    refund = await office.api.RefundPayment(pb.RefundPaymentRequest(person_id=person, amount=usd(1000)))
    assert refund.kind == pb.JOURNAL_KIND_REFUND
    assert (await office.balances(person))["receivable_patient"] == 0


async def test_what_is_owed_can_be_let_go_and_that_undone(office):
    person = await owing(office, "LET1")
    with pytest.raises(Refused) as refused:
        await office.api.WriteOff(pb.WriteOffRequest(person_id=person, amount=usd(6001)))
    assert refused.value.reason == "more_than_owed"
    let_go = await office.api.WriteOff(pb.WriteOffRequest(person_id=person, amount=usd(6000)))
    assert (await office.balances(person))["receivable_patient"] == 0
    undone = await office.api.ReverseJournal(pb.ReverseJournalRequest(journal_id=let_go.journal_id))
    assert undone.reverses_journal_id == let_go.journal_id
    assert (await office.balances(person))["receivable_patient"] == 6000
    with pytest.raises(Refused) as again:
        await office.api.ReverseJournal(pb.ReverseJournalRequest(journal_id=let_go.journal_id))
    assert again.value.reason == "already_reversed"
    listed = await office.api.ListLedger(pb.ListLedgerRequest(person_id=person))
    charge = next(each for each in listed.journals if each.kind == pb.JOURNAL_KIND_CHARGE)
    with pytest.raises(Refused) as charged:
        await office.api.ReverseJournal(pb.ReverseJournalRequest(journal_id=charge.journal_id))
    assert charged.value.reason == "not_reversible"


@pytest.mark.parametrize(
    ("amount", "field"),
    [
        (usd(0), "amount.minor_units"),
        (usd(-5), "amount.minor_units"),
        (usd(10**12), "amount.minor_units"),
        (Money(minor_units=5, currency="EUR"), "amount.currency"),
    ],
)
async def test_amounts_that_make_no_sense_are_refused_by_name(office, amount, field):
    person = await office.newcomer()
    with pytest.raises(Invalid) as refused:
        await office.api.RecordPayment(
            pb.RecordPaymentRequest(person_id=person, amount=amount, method=pb.PAYMENT_METHOD_CASH)
        )
    assert refused.value.violations[0].field == field


async def test_the_ledger_is_paged_and_the_trial_balance_is_zero(office, billing):
    person = await owing(office, "PAGE1")
    seen, token = [], ""
    while True:
        listed = await office.api.ListLedger(pb.ListLedgerRequest(person_id=person, page_size=2, page_token=token))
        seen += list(listed.journals)
        if not (token := listed.next_page_token):
            break
    assert [each.kind for each in seen] == [pb.JOURNAL_KIND_REMITTANCE, *[pb.JOURNAL_KIND_CHARGE] * 2]
    assert all(sum(posting.amount.minor_units for posting in each.postings) == 0 for each in seen)
    administrator = office.calls_as(billing.as_role("administrator"))
    trial = await administrator.GetTrialBalance(pb.GetTrialBalanceRequest())
    assert [(each.currency, each.minor_units) for each in trial.sums] == [("USD", 0)]
    assert sum(each.amount.minor_units for each in trial.balances) == 0


async def test_a_statement_in_plain_words(office, billing):
    person = await owing(office, "WORDS1")
    await office.attend(person, "2026-03-04")
    own = office.calls_as(billing.as_role("participant", person_id=person))
    statement = await own.GetStatement(pb.GetStatementRequest(person_id=person))
    assert (statement.balance.minor_units, statement.waiting_for_plan.minor_units) == (6000, 45000)
    assert sum(line.charged.minor_units for line in statement.lines) == 135000
    words = " ".join([*statement.plain, *(line.plain for line in statement.lines)])
    assert "Your part is $60.00." in words
    assert "Nothing is asked of you for it." in words
    assert not any(word in words.lower() for word in ("overdue", "must", "failed", "session", "group", "couple"))
    stranger = office.calls_as(billing.as_role("participant", person_id=new_id()))
    with pytest.raises(NotFound):
        await stranger.GetStatement(pb.GetStatementRequest(person_id=person))


async def estimate(caller, person: str, **asked) -> pb.CostEstimate:
    return await caller.EstimateCost(pb.EstimateCostRequest(person_id=person, **({"weeks": 4} | asked)))


async def test_an_estimate_follows_the_plan(office, billing):
    person = await office.newcomer()
    own = office.calls_as(billing.as_role("participant", person_id=person))
    alone = await estimate(own, person)
    assert (alone.program_days, alone.likely_to_owe.minor_units, alone.payer_id) == (20, 900_000, "")
    assert any("dispute" in line for line in alone.plain)
    await office.insure(person)
    covered = await estimate(own, person)
    assert covered.likely_to_owe.minor_units == 20 * 3000
    assert covered.price.minor_units == covered.plan_covers.minor_units + covered.likely_to_owe.minor_units
    fewer = await estimate(own, person, weeks=2, days_per_week=3)
    assert fewer.program_days == 6
    assert any("not a bill" in line for line in fewer.plain)


async def test_an_estimate_shows_what_each_kind_of_care_costs(office, billing):
    person = await office.newcomer()
    await office.insure(person, payer=EMPLOYER)
    items = [
        pb.EstimateItem(line=line, units=2)
        for line in (
            payers_pb2.SERVICE_LINE_GROUP,
            payers_pb2.SERVICE_LINE_COUPLES,
            payers_pb2.SERVICE_LINE_MEDICATION_MANAGEMENT,
            payers_pb2.SERVICE_LINE_THERAPEUTIC_ACTIVITY,
            payers_pb2.SERVICE_LINE_RETREAT_MEALS,
            payers_pb2.SERVICE_LINE_RETREAT_ACCOMMODATION,
        )
    ]
    found = await estimate(office.api, person, items=items)
    by_line = {line.line: line for line in found.lines}
    assert by_line[payers_pb2.SERVICE_LINE_GROUP].price.minor_units == 0
    assert "agreed" in by_line[payers_pb2.SERVICE_LINE_RETREAT_MEALS].plain
    # Out of network: what the day costs above what the plan allows is the person's.
    assert by_line[payers_pb2.SERVICE_LINE_PROGRAM_DAY].not_covered.minor_units == 20 * 5000


async def test_no_estimate_without_a_plan_of_care(office):
    stranger = new_id()
    with pytest.raises(Refused) as refused:
        await estimate(office.api, stranger)
    assert refused.value.reason == "no_plan"
    assert (await estimate(office.api, stranger, days_per_week=3)).program_days == 12


@pytest.mark.parametrize("discharged_first", [False, True])
async def test_a_plan_ends_with_discharge_whichever_event_comes_first(office, billing, discharged_first):
    person, admission_id = new_id(), new_id()
    discharged = PersonDischarged(person_id=person, admission_id=admission_id)
    discharged.discharged_at.FromSeconds(1_772_900_000)
    if discharged_first:
        await billing.react(discharged, key=person)
    await office.admit(person, admission_id=admission_id)
    if not discharged_first:
        assert (await estimate(office.api, person)).program_days == 20
        await billing.react(discharged, key=person)
    with pytest.raises(Refused) as refused:
        await estimate(office.api, person)
    assert refused.value.reason == "no_plan"
