"""The payers, prices and code labels kept in `data/`, read once at start. A bad file ends the start with its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from haven_billing.domain.payers import Benefit, Payer, PerDiemRule, Program, ProgramKind, ServiceLine
from haven_kit import facts


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything in `data/`."""

    payers: Mapping[str, Payer]
    program: Program
    adjustment_labels: Mapping[str, str]


def load() -> Facts:
    """Reads and checks all files. Raises ValueError naming the file."""
    payers: dict[str, Payer] = {}
    for raw in facts.read_all("haven_billing", "payers"):
        payer = _named(f"payers: {raw['name']}", _payer, raw)
        if payer.payer_id in payers:
            raise ValueError(f"{payer.name}: payer_id is used twice")
        payers[payer.payer_id] = payer
    program = _named("program.yaml", _program, facts.read("haven_billing", "program.yaml"))
    return Facts(payers, program, facts.read("haven_billing", "carc.yaml")["labels"])


def _named(name: str, read: Any, content: Any) -> Any:
    try:
        return read(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def _payer(raw: dict[str, Any]) -> Payer:
    if raw["network"] not in ("in", "out"):
        raise ValueError("network is in or out")
    benefits = {ServiceLine(line): Benefit(benefit) for line, benefit in raw["benefits"].items()}
    if missing := set(ServiceLine) - set(benefits):
        raise ValueError(f"benefits say nothing about {', '.join(sorted(missing))}")
    return Payer(
        payer_id=raw["payer_id"],
        name=raw["name"],
        fictional=raw["fictional"],
        in_network=raw["network"] == "in",
        plan_kinds=tuple(raw["plan_kinds"]),
        currency=raw["currency"],
        x12_id=raw["x12_id"],
        claim_filing_indicator=raw["claim_filing_indicator"],
        benefits=benefits,
        per_diems={ProgramKind(kind): PerDiemRule(**rule) for kind, rule in raw["per_diems"].items()},
        timely_filing_days=int(raw["timely_filing_days"]),
        condition_codes=tuple(raw["condition_codes"]),
        bill_facility=raw["bill_facility"],
        interim_bills=raw["interim_bills"],
        source=raw["source"],
        version=raw["version"],
    )


def _program(raw: dict[str, Any]) -> Program:
    return Program(
        currency=raw["currency"],
        prices={ServiceLine(line): int(price) for line, price in raw["prices"].items()},
        substance_use_tracks=frozenset(raw["substance_use_tracks"]),
        authorization_warning_days=int(raw["authorization_warning_days"]),
        source=raw["source"],
        version=raw["version"],
    )
