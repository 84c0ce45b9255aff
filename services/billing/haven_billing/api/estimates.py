"""What care is likely to cost, and where a person's account stands: plain and calm, for the person."""

from typing import Any

from haven.billing.v1 import coverage_pb2, payers_pb2
from haven.billing.v1 import ledger_pb2 as pb
from sqlalchemy import Row

from haven_billing import policy
from haven_billing.api.base import Base, in_words, money
from haven_billing.domain import estimate, statement
from haven_billing.domain.ledger import Account, Kind
from haven_billing.domain.payers import Benefit, Payer, PerDiemRule, ServiceLine
from haven_billing.store import charges, coverages
from haven_billing.store import ledger as books
from haven_kit import words
from haven_kit.call import Call
from haven_kit.errors import Refused

# 45 CFR 149.620: a bill "substantially in excess" of a good-faith estimate is at least 400 dollars above it.
_DISPUTE = (
    "If you pay without insurance and a bill is $400 or more above this estimate, you may dispute it "
    "(cms.gov/nosurprises)."
)


class EstimateApi(Base):
    """Estimates and statements."""

    async def estimate_cost(self, call: Call, request: pb.EstimateCostRequest) -> pb.CostEstimate:
        """What weeks in the program are likely to cost."""
        await policy.may_see(call, request.person_id, "person")
        plan = await charges.plan(call.tx, request.person_id)
        planned = plan.days_per_week if plan is not None and plan.discharged_at is None else 0
        days_per_week = request.days_per_week or planned
        if not days_per_week:
            raise Refused("no_plan", "There is no plan of care now; name the days a week.")
        coverage = await coverages.covering(call.tx, request.person_id, call.now.date())
        verified = coverage is not None and coverage.verified_at is not None
        payer = self.payer(coverage.payer_id) if coverage is not None and verified else None
        kind = self.facts.program.kind(plan.track if plan is not None else "")
        rule = payer.per_diems.get(kind) if payer is not None else None
        days = request.weeks * days_per_week
        items = [self._item(ServiceLine.PROGRAM_DAY, days, payer, rule)]
        items += [
            self._item(ServiceLine(words.word(payers_pb2.ServiceLine, item.line)), item.units, payer, rule)
            for item in request.items
        ]
        share = self._share(coverage) if coverage is not None and verified else None
        lines = estimate.estimate(items, share, in_network=payer is None or payer.in_network)
        currency = self.facts.program.currency
        message = pb.CostEstimate(
            person_id=request.person_id,
            program_days=days,
            payer_id=payer.payer_id if payer is not None else "",
            lines=[_line(line, currency) for line in lines],
            price=money(sum(line.price for line in lines), currency),
            plan_covers=money(sum(line.plan_covers for line in lines), currency),
            likely_to_owe=money(sum(line.likely_to_owe for line in lines), currency),
            plain=_estimate_words(lines, days, payer, currency, unverified=coverage is not None and not verified),
        )
        message.estimated_at.FromDatetime(call.now)
        return message

    async def get_statement(self, call: Call, request: pb.GetStatementRequest) -> pb.Statement:
        """Where a person's account stands."""
        await policy.may_see(call, request.person_id, "person")
        rows = await books.all_of(call.tx, request.person_id)
        legs = await books.legs(call.tx, [row.journal_id for row in rows])
        kinds = {row.journal_id: Kind(row.kind) for row in rows}
        entries = [
            statement.Entry(
                Kind(row.kind),
                kinds.get(row.reverses_journal_id or "", Kind(row.kind)),
                row.day,
                books.legs_of(legs[row.journal_id]),
            )
            for row in rows
        ]
        currency = self.facts.program.currency
        held = {account: balance for account, code, balance in await books.balances(call.tx, request.person_id)
                if code == currency}  # fmt: skip
        owed, waiting = held.get(Account.RECEIVABLE_PATIENT, 0), held.get(Account.RECEIVABLE_PAYER, 0)
        message = pb.Statement(
            person_id=request.person_id,
            lines=[
                pb.StatementLine(
                    date=line.date,
                    plain=line.plain,
                    charged=money(line.charged, currency),
                    plan_covered=money(line.plan_covered, currency),
                    person_paid=money(line.person_paid, currency),
                )
                for line in statement.lines(entries)
            ],
            balance=money(owed, currency),
            waiting_for_plan=money(waiting, currency),
            plain=_statement_words(owed, waiting, currency),
        )
        message.as_of.FromDatetime(call.now)
        return message

    def _item(self, line: ServiceLine, units: int, payer: Payer | None, rule: PerDiemRule | None) -> estimate.Item:
        price = self.facts.program.prices[line]
        allowed = price
        if line is ServiceLine.PROGRAM_DAY and rule is not None:
            price, allowed = rule.charge, rule.allowed
        return estimate.Item(line, units, price, allowed, payer.benefits[line] if payer else Benefit.NOT_COVERED)

    def _share(self, coverage: Row[Any]) -> estimate.CostShare:
        share: coverage_pb2.CostShare = self.open_coverage(coverage.coverage_id, coverage.sealed).cost_share
        return estimate.CostShare(
            copay_per_day=share.copay_per_day.minor_units,
            coinsurance_basis_points=share.coinsurance_basis_points,
            deductible_left=share.deductible_left.minor_units,
            out_of_pocket_left=share.out_of_pocket_left.minor_units,
        )


def _line(line: estimate.Line, currency: str) -> pb.EstimateLine:
    return pb.EstimateLine(
        line=words.number(payers_pb2.ServiceLine, line.line),
        units=line.units,
        price=money(line.price, currency),
        plan_covers=money(line.plan_covers, currency),
        copay=money(line.copay, currency),
        deductible=money(line.deductible, currency),
        coinsurance=money(line.coinsurance, currency),
        not_covered=money(line.not_covered, currency),
        likely_to_owe=money(line.likely_to_owe, currency),
        plain=line.plain,
    )


def _estimate_words(
    lines: list[estimate.Line], days: int, payer: Payer | None, currency: str, *, unverified: bool
) -> list[str]:
    owe = in_words(sum(line.likely_to_owe for line in lines), currency)
    words = [f"For {days} program days you are likely to owe about {owe}.", "This is an estimate, not a bill."]
    if payer is not None:
        words.append(f"It rests on what {payer.name} told us. What you owe may differ once they have answered a claim.")
    elif unverified:
        words.append("Your plan has not answered us yet, so this shows the full price. We will gladly estimate again.")
    else:
        words.append("We know of no insurance, so this shows the full price.")
    if payer is None:
        words.append(_DISPUTE)
    words.append("You may ask for a new estimate, or talk with the billing office about ways to pay, at any time.")
    return words


def _statement_words(owed: int, waiting: int, currency: str) -> list[str]:
    words = []
    if waiting > 0:
        words.append(
            f"Your plan has not answered for {in_words(waiting, currency)} yet. Nothing is asked of you for it."
        )
    if owed > 0:
        words.append(
            f"Your part is {in_words(owed, currency)}. You may pay it all at once or over time, as you choose."
        )
    elif owed < 0:
        words.append(
            f"You have paid {in_words(owed, currency)} more than your part. We can pay it back or keep it for later."
        )
    else:
        words.append("Nothing is owed.")
    words.append("The billing office is glad to go through this with you.")
    return words
