"""The directory of payers."""

from haven.billing.v1 import payers_pb2 as pb

from haven_billing.api.base import Base, money
from haven_billing.domain.payers import Benefit, Payer, ServiceLine
from haven_kit import words
from haven_kit.call import Call
from haven_kit.errors import NotFound
from haven_kit.paging import Page

_PLAIN = {
    Benefit.IN_PROGRAM_DAY: "Part of the program day; never billed on its own.",
    Benefit.COVERED: "Covered.",
    Benefit.WITH_AUTHORIZATION: "Covered once the plan has agreed to it.",
    Benefit.NOT_COVERED: "Not covered by this plan.",
}


class PayerApi(Base):
    """Reads of what the program knows about payers."""

    async def list_payers(self, _call: Call, request: pb.ListPayersRequest) -> pb.ListPayersResponse:
        """Payers by name."""
        page = Page.of(request)
        found = sorted(
            (payer for payer in self.facts.payers.values() if _matches(payer, request)),
            key=lambda payer: (payer.name, payer.payer_id),
        )
        if page.after:
            found = [payer for payer in found if (payer.name, payer.payer_id) > (page.after[0], page.after[1])]
        shown, token = page.cut(found, lambda row: [row.name, row.payer_id])
        return pb.ListPayersResponse(
            payers=[payer_message(payer) for payer in shown],
            next_page_token=token,
        )

    async def get_payer(self, _call: Call, request: pb.GetPayerRequest) -> pb.Payer:
        """One payer."""
        payer = self.facts.payers.get(request.payer_id.lower())
        if payer is None:
            raise NotFound("payer")
        return payer_message(payer)


def _matches(payer: Payer, request: pb.ListPayersRequest) -> bool:
    if request.network and (request.network == pb.NETWORK_IN) is not payer.in_network:
        return False
    if request.plan_kind and words.word(pb.PlanKind, request.plan_kind) not in payer.plan_kinds:
        return False
    return (
        not request.covers
        or payer.benefits[ServiceLine(words.word(pb.ServiceLine, request.covers))] is not Benefit.NOT_COVERED
    )


def payer_message(payer: Payer) -> pb.Payer:
    """A payer as the contract has it."""
    return pb.Payer(
        payer_id=payer.payer_id,
        name=payer.name,
        fictional=payer.fictional,
        network=pb.NETWORK_IN if payer.in_network else pb.NETWORK_OUT,
        plan_kinds=[words.number(pb.PlanKind, kind) for kind in payer.plan_kinds],
        benefits=[
            pb.ServiceBenefit(
                line=words.number(pb.ServiceLine, line),
                benefit=words.number(pb.Benefit, benefit),
                plain=_PLAIN[benefit],
            )
            for line, benefit in sorted(payer.benefits.items(), key=lambda each: list(ServiceLine).index(each[0]))
        ],
        per_diems=[
            pb.PerDiemRule(
                program_kind=words.number(pb.ProgramKind, kind),
                hcpcs=rule.hcpcs,
                revenue_code=rule.revenue_code,
                charge=money(rule.charge, payer.currency),
                allowed=money(rule.allowed, payer.currency),
                minimum_minutes=rule.minimum_minutes,
                maximum_days_per_week=rule.maximum_days_per_week,
                authorization_required=rule.authorization_required,
            )
            for kind, rule in payer.per_diems.items()
        ],
        timely_filing_days=payer.timely_filing_days,
        condition_codes=payer.condition_codes,
        bill_facility=payer.bill_facility,
        source=payer.source,
        version=payer.version,
    )
