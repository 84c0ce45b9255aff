"""What care is likely to cost a person, before it is given.

Follows the order in which plans count (HealthCare.gov glossary: copayment, deductible, coinsurance, out-of-pocket
limit): a copay for each program day, then the deductible, then the person's share of the rest, never above what is left
to the out-of-pocket limit. Rounding: a share is rounded half up to the minor unit, once per line; totals are sums of
rounded lines.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from haven_billing.domain.payers import Benefit, ServiceLine


@dataclass(frozen=True, slots=True)
class CostShare:
    """What a plan leaves to the person; amounts in minor units, the share in hundredths of a percent."""

    copay_per_day: int
    coinsurance_basis_points: int
    deductible_left: int
    out_of_pocket_left: int


@dataclass(frozen=True, slots=True)
class Item:
    """A service and how the plan sees it. `allowed` is what the plan's contract accepts for one unit."""

    line: ServiceLine
    units: int
    price: int
    allowed: int
    benefit: Benefit


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an estimate, in minor units."""

    line: ServiceLine
    units: int
    price: int
    copay: int
    deductible: int
    coinsurance: int
    not_covered: int
    plain: str

    @property
    def likely_to_owe(self) -> int:
        """What the person is likely to owe."""
        return self.copay + self.deductible + self.coinsurance + self.not_covered

    @property
    def plan_covers(self) -> int:
        """What the plan pays or takes off."""
        return self.price - self.likely_to_owe


def estimate(items: Iterable[Item], share: CostShare | None, *, in_network: bool) -> list[Line]:
    """The lines in the order given; earlier lines use up the deductible first. Without a share the person pays the
    price.

    Out of network the person also owes what the price is above what the plan allows.
    """
    lines: list[Line] = []
    deductible_left = share.deductible_left if share else 0
    out_of_pocket_left = share.out_of_pocket_left if share else 0
    for item in items:
        if item.benefit is Benefit.IN_PROGRAM_DAY:
            lines.append(Line(item.line, item.units, 0, 0, 0, 0, 0, "Part of the program day; no price of its own."))
            continue
        price = item.units * item.price
        if share is None or item.benefit is Benefit.NOT_COVERED:
            why = "You would pay this yourself." if share is None else "Your plan does not cover this."
            lines.append(Line(item.line, item.units, price, 0, 0, 0, price, why))
            continue
        line = _covered(item, share, deductible_left, out_of_pocket_left, in_network=in_network)
        deductible_left -= line.deductible
        out_of_pocket_left -= line.copay + line.deductible + line.coinsurance
        lines.append(line)
    return lines


def _covered(item: Item, share: CostShare, deductible_left: int, out_of_pocket_left: int, *, in_network: bool) -> Line:
    price = item.units * item.price
    allowed = min(item.units * item.allowed, price)
    copay = min(share.copay_per_day * item.units, allowed) if item.line is ServiceLine.PROGRAM_DAY else 0
    copay = min(copay, out_of_pocket_left)
    deductible = min(deductible_left, allowed - copay, out_of_pocket_left - copay)
    rest = allowed - copay - deductible
    coinsurance = min(
        round_half_up(rest * share.coinsurance_basis_points, 10_000), out_of_pocket_left - copay - deductible
    )
    above = 0 if in_network else price - allowed
    plain = "Covered by your plan; this is your share."
    if item.benefit is Benefit.WITH_AUTHORIZATION:
        plain = "Covered once your plan has agreed; this is your share."
    return Line(item.line, item.units, price, copay, deductible, coinsurance, above, plain)


def round_half_up(numerator: int, denominator: int) -> int:
    """The quotient of two numbers that are not negative, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)
