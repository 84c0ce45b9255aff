"""One schedule: a seed decides everything that happens in it. The same seed is the same schedule, always."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

import structlog
from haven.crisis.v1 import signals_pb2 as pb
from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.acceptance import Signal
from haven_crisis.domain import alerts
from haven_crisis.records import Records
from haven_crisis.store.pages import PageState
from haven_kit import ids, telemetry
from simulation.invariants import Broken, Invariants
from simulation.loop import START, Owner, VirtualLoop
from simulation.people import CALLS, People
from simulation.plan import PROVIDERS, Plan
from simulation.providers import Providers, Received
from simulation.records import records
from simulation.replica import Replica
from simulation.rows import PageRow, replace
from simulation.server import Server
from simulation.weather import NOTICED_S, Weather, profile

CALLS_UNTIL_S = 20.0
ROUGH_UNTIL_S = 35.0
END_S = 85.0
FLOODS = 0.15
"""In how many schedules a system sends a flood."""
OF_SYSTEM = int(pb.SIGNAL_SOURCE_INTEGRATED_SYSTEM)
SYSTEM = "system:crisis/inbound/one"


@dataclass(slots=True)
class Result:
    """How a schedule went."""

    seed: int
    broken: str = ""
    """Which promise was broken; empty where all were kept."""
    trace: list[str] = field(default_factory=list)
    steps: int = 0
    pages: int = 0


class Schedule:
    """A world made by a seed."""

    def __init__(self, seed: int, *, traced: bool) -> None:
        self.random = Random(seed)
        self.result = Result(seed)
        self._traced = traced
        self.loop = VirtualLoop(self.random, fatal=Broken)
        self.weather = Weather(self.random, profile(self.random), self.loop.time, ROUGH_UNTIL_S, self.note)
        self.plan = Plan(self.random, self.loop.time)
        self.invariants = Invariants(self.loop.time, self.weather, self.plan, self.note)
        self.server = Server(self.loop, self.weather, self.invariants.committed)
        self.invariants.server = self.server
        self.server.due_changed = self._look
        self.invariants.copies = lambda: {each.copy.version for each in self.replicas}
        self.records: Records = records(lambda: self.plan.version)
        self.providers = Providers(self.loop, self.weather, self._handed_over, self._took)
        self.people = People(self.random, lambda: self.replicas, self._accepted, self.note)
        self.replicas: list[Replica] = []
        self._booted = 0

    def note(self, what: str, *facts: Any) -> None:
        """One line of what happened."""
        if self._traced:
            self.result.trace.append(f"{self.loop.time():8.3f} {what}: {' '.join(str(each) for each in facts)}")

    def run(self) -> Result:
        """To the end, or until a promise is broken."""
        self.note("profile", self.weather.profile)
        try:
            for _ in range(self.random.choice((2, 2, 3))):
                self._boot()
            self._call_for_help()
            if self.random.random() < FLOODS:
                self._flood()
            self._go_wrong()
            self.loop.run(END_S)
            self._look_for_trouble()
            self.invariants.finish(self.server)
        except Broken as broken:
            self.result.broken = str(broken)
        self.result.steps = self.loop.steps
        self.result.pages = len(self.server.tables["page"])
        self.loop.close()
        return self.result

    def _look_for_trouble(self) -> None:
        for error in self.loop.trouble:
            raise Broken(f"nobody handled {error!r}") from (error if isinstance(error, BaseException) else None)

    # Replicas.

    def _boot(self) -> None:
        self._booted += 1
        name = f"replica {self._booted}"
        self.note("boots", name)
        self.replicas.append(
            Replica(
                name,
                self.loop,
                self.server,
                self.plan,
                self.providers,
                self.records,
                self.weather,
                lambda: self.weather.ahead,
                self._ring_others,
            )
        )

    def _ring_others(self, rung_by: Owner, name: str) -> None:
        for each in self.replicas:
            lost = self.weather.rough and self.random.random() < self.weather.profile.lost_bells
            if each.owner is not rung_by and not lost:
                self.loop.at(0.002 + 0.004 * self.random.random(), each.owner, each.bells.ring, name)

    def _doom(self, noticed_after: float) -> None:
        """A replica dies at one of the next steps that it takes."""
        if not self.replicas:
            return
        victim = self.random.choice(self.replicas)
        if victim.owner.dies is None:
            step = victim.owner.steps + 1 + int(self.random.expovariate(1 / 25))
            victim.owner.dies = (step, lambda: self._die(victim, noticed_after))

    def _die(self, replica: Replica, noticed_after: float) -> None:
        back = 1 + 7 * self.random.random()
        mine = (each for each in self.server.open_pages.values() if each.worker == replica.pager.worker_id)
        self._excuse(mine, f"{replica.owner.name} died")
        if noticed_after:
            self.weather.locked_until = max(self.weather.locked_until, self.loop.time() + noticed_after)
        self.replicas.remove(replica)
        self.plan.let_go(replica.copy.version)
        self.weather.fault(f"{replica.owner.name} dies", max(noticed_after, back if not self.replicas else 0.0))
        self.loop.kill(replica.owner)
        self.server.gone(replica.owner, noticed_after)
        self.loop.at(back, self.loop.outside, self._boot)

    def _look(self, names: Iterable[str] | None = None) -> None:
        """Another time, another plan, or something else is due: workers that wait may have to look sooner or later."""
        for each in self.replicas:
            each.bells.look(names)

    # What happens.

    def _call_for_help(self) -> None:
        random = self.random
        for person in range(random.choice((1, 1, 2, 3))):
            person_id = _uuid(1, person)
            for number in range(random.choice((1, 1, 2, 4))):
                source, level = random.choice(CALLS)
                signal = Signal(
                    _uuid(2, person * 100 + number), person_id, source, "caller", START,
                    level=level, pressed=random.random() < 0.5,
                )  # fmt: skip
                # Most call early, while things go wrong; some again when somebody has been with them already.
                at = CALLS_UNTIL_S * random.random() + (20 if random.random() < 0.25 else 0)
                times = random.choice((1, 1, 2, 3))
                for again in range(times):
                    later = at + random.choice((0.0, 0.001, 2.0)) * again
                    name = "event" if again % 2 else "call"
                    self.loop.spawn(self.loop.outside, self.people.signal(later, signal, name))

    def _flood(self) -> None:
        """A system calls for help for many people at once. Some of them call for help themselves."""
        random = self.random
        began = CALLS_UNTIL_S * random.random()
        for person in range(3, 3 + random.choice((3, 4, 6))):
            person_id = _uuid(1, person)
            at = began + random.choice((0.1, 6.0)) * random.random()
            level = pb.SIGNAL_LEVEL_IMMEDIATE if random.random() < 0.1 else 0
            told = Signal(_uuid(2, person * 100), person_id, OF_SYSTEM, SYSTEM, START, level=level)
            self.loop.spawn(self.loop.outside, self.people.signal(at, told, "system"))
            if random.random() < 0.3:
                own = Signal(_uuid(2, person * 100 + 1), person_id, CALLS[0][0], "caller", START, pressed=True)
                self.loop.spawn(self.loop.outside, self.people.signal(at + 8 * random.random(), own, "call"))

    def _go_wrong(self) -> None:
        random, loop, weather = self.random, self.loop, self.weather
        chosen = weather.profile
        for kind in [0.0] * chosen.crashes + [NOTICED_S] * chosen.node_losses:
            loop.at(ROUGH_UNTIL_S * random.random(), loop.outside, self._doom, kind)
        for _ in range(chosen.outages):
            starts = ROUGH_UNTIL_S * random.random() * 0.7
            weather.outages.append((starts, starts + 1 + 8 * random.random()))
            loop.at(starts, loop.outside, weather.fault, "database away", weather.outages[-1][1] - starts)
        for _ in range(chosen.provider_outages):
            starts = ROUGH_UNTIL_S * random.random() * 0.7
            ends = starts + 12 * random.random()
            self.providers.down[random.choice(PROVIDERS)] = (starts, ends)
            loop.at(starts, loop.outside, weather.fault, "provider away", ends - starts)
        for _ in range(chosen.jumps):
            loop.at(ROUGH_UNTIL_S * random.random(), loop.outside, self._jump)
        for _ in range(chosen.plan_changes):
            loop.at(ROUGH_UNTIL_S * random.random(), loop.outside, self._change_plan)

    def _jump(self) -> None:
        by = self.random.choice((2.0, 7.0, 30.0))
        self.weather.jump(by)
        self._look()
        self._excuse(self.server.open_pages.values(), "the clock jumped")
        self.weather.fault(f"the clock jumps by {by}")

    def _excuse(self, pages: Iterable[PageRow], why: str) -> None:
        """Pages under way may come once more."""
        self.weather.excused.update((each.page_id, why) for each in pages if each.state is PageState.SENDING)

    def _change_plan(self) -> None:
        self.random.choice((self.plan.change, self.plan.override, self.plan.override))()
        self._look()
        self.weather.fault("the plan changes", 0.1)
        self.invariants.planned()

    # What is seen.

    def _handed_over(self, page: PageText) -> None:
        self.note("sends", page.page_id, f"stage {page.stage}", "resent" if page.resent else "")

    def _took(self, received: Received) -> None:
        for page in self.invariants.took(received):
            self.loop.spawn(self.loop.outside, self.people.paged(page.responder_id, page.alert_id, page.cycle))

    def _accepted(self, signal_id: str, alert_id: str) -> None:
        self.invariants.accepted[signal_id] = alert_id


def _uuid(kind: int, number: int) -> str:
    return str(UUID(int=(kind << 64) + number, version=4))


class _Silent(structlog.BoundLogger):
    """A logger that says nothing: what happened is in the trace."""

    def info(self, event: str, **fields: Any) -> None:
        """Nothing."""

    warning = error = exception = debug = info


class _NoSpan(AbstractContextManager["_NoSpan"]):
    """A span of no trace. A replica that dies would leave a real one open."""

    def __exit__(self, *_: object) -> None:
        """Nothing."""

    def set(self, **attributes: Any) -> None:
        """Nothing."""

    def fail(self, kind: str) -> None:
        """Nothing."""


@contextmanager
def in_order() -> Iterator[None]:
    """Ids one after the other instead of by time and chance; no logs, no traces; a quick `replace`."""
    made = [0]
    domain = vars(alerts)
    kept = ids.new_id, telemetry.consumer_span, domain["replace"]

    def new_id() -> str:
        made[0] += 1
        return f"{made[0]:08x}-0000-7000-8000-{made[0]:012x}"

    config = structlog.get_config()
    ids.new_id = new_id
    telemetry.consumer_span = lambda *_, **__: _NoSpan()  # type: ignore[assignment]
    domain["replace"] = replace
    structlog.configure(wrapper_class=_Silent)
    try:
        yield
    finally:
        ids.new_id, telemetry.consumer_span, domain["replace"] = kept
        structlog.configure(**config)


def run(seed: int, *, traced: bool = False) -> Result:
    """The schedule of a seed."""
    with in_order():
        return Schedule(seed, traced=traced).run()
