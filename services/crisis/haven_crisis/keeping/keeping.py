"""Takes over when the database does not answer: keeps the call, pages from memory, completes the record later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps

from haven_crisis import metrics
from haven_crisis.directory import Directory
from haven_crisis.domain.alerts import Limits
from haven_crisis.domain.escalation import turn_of
from haven_crisis.domain.severity import Severity
from haven_crisis.journeys import JOURNEYS
from haven_crisis.keeping.backlog import NOT_ACTED, Backlog
from haven_crisis.keeping.callers import Callers
from haven_crisis.keeping.case import Acknowledged, Asked, Case, Kept, KeptSignal
from haven_crisis.keeping.claims import Claims
from haven_crisis.keeping.completing import Completer
from haven_crisis.keeping.copy import OnCallCopy
from haven_crisis.keeping.journal import Journal
from haven_crisis.keeping.keeper import TRIES, Held, Keeper
from haven_crisis.keeping.paging import MemoryPager
from haven_crisis.keeping.stream import Changed, Stream
from haven_crisis.pager import Pager
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.acceptance import Plan
from haven_crisis.store.deliveries import Paged
from haven_kit import ids, logs, tasks
from haven_kit.database import Database
from haven_kit.identity import system
from haven_kit.service import Parts

ANSWER_S = 1.0
"""For the database to say that it is back."""
OTHERS_WRITE_S = 5.0
"""How long the record is left to the replicas that have something to write into it."""
MOST_SIGNALS = 100
"""Of one case; more begin another one, which is joined with it in the record."""
_PRINCIPAL = system("crisis/keeping")
_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a signal, and where it is kept."""

    signal_id: str
    alert_id: str
    kept: Kept
    place: bytes | None = None
    """Where the person is, sealed, as far as the record could say."""


@dataclass(frozen=True, slots=True)
class OnPage:
    """What a page is about that was sent without a record."""

    alert_id: str
    responder_id: str
    channel: str
    drill: bool
    taken_by: str
    """Empty while nobody has taken it."""


class Keeping:
    """One replica's."""

    def __init__(self, parts: Parts[CrisisSettings], directory: Directory, pager: Pager, database: Database) -> None:
        settings = parts.settings
        folder = settings.crisis_journal_dir
        journal = Journal(folder, settings.crisis_journal_bytes) if folder else None
        self._copy = OnCallCopy(folder, parts.cipher, directory, parts.clock) if folder else None
        stream = Stream(parts.messaging, settings.crisis_keep_seconds)
        limits = Limits(
            lease=timedelta(seconds=settings.crisis_lease_seconds),
            close_within=timedelta(seconds=settings.crisis_close_within_seconds),
        )
        self._clock = parts.clock
        self._database = database
        self._limits = limits
        self._keeper = Keeper(parts.cipher, stream, journal, pager.worker_id, settings.crisis_keep_seconds)
        self._pages = MemoryPager(parts, directory, pager, self._keeper)
        self._completer = Completer(parts, database, limits, pager)
        self._backlog = Backlog(self._keeper, self._completer, pager, parts.clock)
        self._claims = Claims(self._keeper, parts.clock)
        self.callers = Callers(self._keeper, self._claims)
        self._stepping = asyncio.Lock()
        self._asking: asyncio.Task[bool] | None = None
        self._back_since: float | None = None
        self.answered_at = 0.0
        """When the database last answered, by the monotonic clock."""

    async def start(self) -> None:
        """Take up what an earlier run has left: cases, and who is on call."""
        if self._copy is not None:
            self._copy.restore()
        await self._keeper.open()

    async def stop(self) -> None:
        """Finish the pages under way, and let go."""
        if self._asking is not None:
            await tasks.end(self._asking)
        await self._backlog.stop()
        await self._pages.settle()
        await self._keeper.close()

    @property
    def can_keep(self) -> bool:
        """Whether a call for help can be kept without the database."""
        return self._keeper.can_keep

    @property
    def cases(self) -> int:
        """How many cases this replica knows that are not in the record."""
        return len(self._keeper.cases)

    async def take(self, plan: Plan, asked: Asked) -> Taken:
        """Keep a signal that the database did not take in time, and page for it now. Never raises for lack of a place:
        people are called all the same."""
        signal = KeptSignal(
            plan.signal, asked, self._clock.now(), plan.entry_id, plan.severity, plan.drill, plan.stage, plan.deadline,
            plan.traceparent,
        )  # fmt: skip
        held = self._of(plan)
        if held is not None and await self._join(held, signal, plan.makes_immediate):
            return self._taken(held, signal)
        held = Held(self._case(plan, signal))
        async with held.lock:
            case = held.case
            self._keeper.cases[case.alert_id] = held
            JOURNEYS.called(case.alert_id, plan.severity, self._clock.now(), drill=plan.drill)
            self._pages.plan_ids(case, plan.pages_of(turn_of(case.alert_id, case.turn)), self._clock.now())
            pages = self._pages.claim(case, self._clock.now())
            try:
                await self._keeper.keep(held)
            except Changed:
                # Another replica pages for this alert. This call is one more of it, or a case of its own.
                return await self._beside(plan, asked, signal)
            self._pages.begin(held, pages)
        return self._taken(held, signal)

    async def _beside(self, plan: Plan, asked: Asked, signal: KeptSignal) -> Taken:
        held = await self._keeper.get(self._alert(plan)[0])
        if held is not None and await self._join(held, signal, plan.makes_immediate):
            return self._taken(held, signal)
        self._claims.forget(plan.signal.person_id)
        return await self.take(plan, asked)

    def _taken(self, held: Held, signal: KeptSignal) -> Taken:
        metrics.KEPT.labels(held.road.name.lower()).inc()
        _log.error("signal.kept", alert_id=held.case.alert_id, road=held.road.name.lower())
        return Taken(signal.signal.signal_id, held.case.alert_id, held.road)

    def _of(self, plan: Plan) -> Held | None:
        """The case that the signal is part of already, or joins."""
        for held in self._keeper.cases.values():
            open_ = held.became is None and held.case.drill == plan.drill
            if open_ and held.case.person_id == plan.signal.person_id:
                known = held.case.has(plan.signal.signal_id) is not None
                if known or len(held.case.signals) < MOST_SIGNALS:
                    return held
        return None

    async def _join(self, held: Held, signal: KeptSignal, makes_immediate: int) -> bool:
        """One more signal of a case. Where life is in danger now, every channel of those who were paged is used. A case
        that is being written into the record is not waited for: False, unless it has the signal."""
        if held.completing:
            return held.case.has(signal.signal.signal_id) is not None
        async with held.lock:
            case = held.case
            if held.became is not None or held.lost:
                return False
            if case.has(signal.signal.signal_id) is not None:
                return True
            case.signals.append(signal)
            immediate = len(case.signals) >= makes_immediate
            case.severity = max(case.severity, signal.severity, int(Severity.IMMEDIATE) if immediate else 0)
            mine = self._keeper.mine(held)
            pages = self._pages.widen(case, self._clock.now()) if mine else []
            try:
                await self._keeper.keep(held)
            except Changed:
                return False
            self._pages.begin(held, pages)
        return True

    def _alert(self, plan: Plan) -> tuple[str, int | None]:
        """The id of the alert that the signal joins or raises, and the turn that it has taken."""
        known = self._claims.alert_of(plan.signal.person_id) if not plan.drill else None
        if known is None or known.alert_id in self._keeper.cases:
            return plan.alert_id, None  # a case of its own
        return known.alert_id, known.turn

    def _case(self, plan: Plan, signal: KeptSignal) -> Case:
        alert_id, turn = self._alert(plan)
        return Case(
            case_id=ids.new_id(),
            alert_id=alert_id,
            person_id=plan.signal.person_id,
            drill=plan.drill,
            severity=plan.severity,
            raised_at=signal.at,
            owner=self._keeper.replica,
            stage=plan.stage,
            deadline=plan.deadline,
            signals=[signal],
            traceparent=plan.traceparent,
            turn=turn,
        )

    def on_page(self, page_id: str) -> OnPage | None:
        """What a page is about that was sent without a record; None for any other."""
        for held in self._keeper.cases.values():
            page = held.case.page(page_id)
            if page is not None and held.became is None:
                by = held.case.acknowledged
                return OnPage(
                    held.case.alert_id, page.responder_id, page.channel, held.case.drill, by.responder_id if by else ""
                )
        return None

    def on_earlier_page(self, page_id: str) -> OnPage | None:
        """What a page is about that was sent before the record went away, for an alert that nobody had answered. Only
        where the record does not answer, this is how things stand."""
        page = self._claims.page(page_id)
        if page is None:
            return None
        held = self._keeper.cases.get(page.alert_id)
        by = held.case.acknowledged if held is not None else None
        taken_by = by.responder_id if by is not None else ""
        return OnPage(page.alert_id, page.responder_id, page.channel, drill=False, taken_by=taken_by)

    def earlier_pages(self, responder_ids: Collection[str]) -> list[Paged]:
        """The pages to these responders that `on_earlier_page` knows, the newest first."""
        return self._claims.pages_to(responder_ids)

    async def acknowledge(self, alert_id: str, responder_id: str, channel: str) -> bool:
        """A responder who was paged takes an alert that is not in the record, or whose record is away. False where this
        replica knows no such alert, a colleague has it, they were not paged for it, it cannot be written down, or
        another replica reaches the record."""
        earlier = self._claims.was_paged(alert_id, responder_id)
        for _ in range(TRIES):
            held = await self._keeper.get(alert_id) or (await self._claims.claim(alert_id) if earlier else None)
            if held is None:
                return False
            if held.case.untouched:
                await self._claims.none_reaches_the_record(held)
            async with held.lock:
                case = held.case
                paged = earlier or any(each.responder_id == responder_id for each in case.pages)
                if held.became is not None or not paged:
                    return False
                if case.acknowledged is not None:
                    return case.acknowledged.responder_id == responder_id
                if case.untouched and not await self._keeper.claim(held):
                    if self._keeper.cases.get(alert_id, held) is held:
                        return False
                    continue
                now = self._clock.now()
                case.take(Acknowledged(now, responder_id, channel), now + self._limits.lease)
                try:
                    if await self._keeper.keep(held) is Kept.NOWHERE:
                        _log.error("kept.acknowledgement_in_memory_alone", alert_id=alert_id)
                except Changed:
                    continue
                return True
        return False

    async def step(self) -> bool:
        """One look: what others left, what the record can take now, what is due meanwhile. Never more at once."""
        async with self._stepping:
            await self._step()
        return False

    async def _step(self) -> None:
        await self._keeper.look()
        if await self._database_answers():
            await self._leave_to_the_record()
            await self._page(claims=False)
            await self._backlog.work_off(self._back_since or self.answered_at)
            if self._copy is not None:
                await self._copy.keep()
        else:
            await self._claims.overdue()
            await self._page(claims=True)
            await self._take_over()
        metrics.KEPT_OPEN.set(self.cases)

    async def _leave_to_the_record(self) -> None:
        for held in list(self._keeper.cases.values()):
            if held.case.untouched:
                await self._backlog.leave_to_the_record(held)

    async def _page(self, *, claims: bool) -> None:
        """Do what is due for the cases of this replica, whether or not the record can be written; for `claims` too
        where nobody reaches it."""
        for held in list(self._keeper.cases.values()):
            if self._keeper.mine(held) and not held.completing and (claims or not held.case.untouched):
                await self._pages.turn(held)

    async def _take_over(self) -> None:
        for held in list(self._keeper.cases.values()):
            others = not self._keeper.mine(held) and held.became is None
            if others and held.case.due_at() + NOT_ACTED < self._clock.now():
                await self._backlog.take_over(held)

    def first(self, step: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
        """A worker's step that goes after this: when the database comes back, what was done meanwhile is written into
        the record before anybody acts on what the record says. Once it answers, that waits a few seconds at most."""

        @wraps(step)
        async def after() -> bool:
            if self._back_since is None or self.cases:
                await self.step()
            return False if self._record_lacks_something else await step()

        return after

    @property
    def _record_lacks_something(self) -> bool:
        """Whether something was done without the record, or may have been, that is not in it yet."""
        if self._back_since is None:
            return bool(self.cases)
        fresh = time.monotonic() - self._back_since < OTHERS_WRITE_S
        return fresh and (bool(self.cases) or not self._keeper.looked)

    async def _database_answers(self) -> bool:
        """Whether the record can be written. One that says nothing is not waited for: there is more to do. What it says
        late it has said; only one that is silent for long, or refuses, has been away when it is back."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="kept: ask the record")
        done, _ = await asyncio.wait({self._asking}, timeout=ANSWER_S)
        answered = bool(done) and self._asking.result()
        if done:
            self._asking = None
        now = time.monotonic()
        if answered:
            self.answered_at = now
            self._back_since = self._back_since or now
        elif done or now - self.answered_at > OTHERS_WRITE_S:
            self._back_since = None
        return answered

    async def _ask(self) -> bool:
        """Ask the record what is open in it."""
        try:
            async with self._database.transaction(_PRINCIPAL) as tx:
                await self._claims.read(tx)
        except Exception as error:  # noqa: BLE001 - whatever it is, the record cannot be read now
            _log.warning("kept.record_away", error=type(error).__name__)
            return False
        return True
