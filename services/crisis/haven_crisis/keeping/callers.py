"""What whoever called is told, and takes back, while there is no record of the call."""

from __future__ import annotations

from dataclasses import dataclass

from haven_crisis.domain.alerts import State
from haven_crisis.keeping.case import Case, KeptSignal, Withdrawn
from haven_crisis.keeping.claims import Claims
from haven_crisis.keeping.keeper import TRIES, Held, Keeper
from haven_crisis.keeping.stream import Changed


@dataclass(frozen=True, slots=True)
class Help:
    """How far help has come for a person."""

    state: State
    responder_id: str = ""
    signal_id: str = ""
    """The last signal that can be withdrawn. Empty for none."""


class Callers:
    """Those whose calls are kept."""

    def __init__(self, keeper: Keeper, claims: Claims) -> None:
        self._keeper = keeper
        self._claims = claims

    def help_for(self, person_id: str) -> Help | None:
        """How far help has come for somebody whose call is kept; None for anybody else."""
        found = [
            held.case
            for held in self._keeper.cases.values()
            if held.became is None and held.case.person_id == person_id and not (held.case.drill or held.case.untouched)
        ]
        if not found:
            return None
        case = max(found, key=lambda case: (case.acknowledged is not None, case.raised_at))
        by = case.acknowledged
        return Help(State.ACKNOWLEDGED if by else State.RAISED, by.responder_id if by else "", _last(case))

    async def help_without_the_record(self, person_id: str) -> Help | None:
        """The same, as far as another replica has told by now; else as the record last said."""
        await self.hear()
        if (kept := self.help_for(person_id)) is not None:
            return kept
        known = self._claims.alert_of(person_id)
        return Help(State(known.state)) if known is not None else None

    async def hear(self) -> None:
        """Learn what other replicas keep; each does so once a second anyway."""
        await self._keeper.look()

    def signal(self, signal_id: str) -> KeptSignal | None:
        """A signal that is kept."""
        held = self._with(signal_id)
        return held.case.has(signal_id) if held is not None else None

    async def withdraw(self, withdrawn: Withdrawn) -> bool:
        """Note that a kept signal was a mistake; whoever was called looks after the person all the same. False where it
        is not kept any more: the record has it."""
        for _ in range(TRIES):
            if (held := self._with(withdrawn.signal_id)) is None:
                return False
            async with held.lock:
                if held.became is not None:
                    return False
                if held.case.takes_back(withdrawn):
                    return True
                held.case.withdrawn.append(withdrawn)
                try:
                    await self._keeper.keep(held)
                except Changed:
                    continue
                return True
        return False

    def _with(self, signal_id: str) -> Held | None:
        return next(
            (held for held in self._keeper.cases.values() if held.became is None and held.case.has(signal_id)), None
        )


def _last(case: Case) -> str:
    if not case.signals:
        return ""
    last = max(case.signals, key=lambda each: each.at)
    taken_back = any(each.by_person and each.at >= last.at for each in case.withdrawn)
    return "" if taken_back else last.signal.signal_id
