"""What must hold in every schedule: at every commit, and at the end.

Bounds are stated for stretches without faults: what is due within `BOUND_S` has happened by the end of the first such
stretch, from when it became due, that no fault touches. In a schedule without any fault the first page of a call for
help is handed over within two seconds of its commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import reduce
from typing import Any

from haven_crisis.domain.alerts import Alert, Entry, Kind, State, apply, replay
from haven_crisis.domain.escalation import NAMED_STAGE
from haven_crisis.domain.severity import Severity
from haven_crisis.pager import BY_RULE
from haven_crisis.store.pages import PageState
from simulation import turns
from simulation.loop import START
from simulation.plan import Plan, Version
from simulation.providers import Received
from simulation.rows import AlertRow, PageRow
from simulation.server import Rows, Server
from simulation.weather import Weather

FIRST_PAGE_S = 2.0
BOUND_S = 14.0
"""After the last fault: a page's lease (6 s), a worker that rests after a database that was away (5 s), a sweep (1 s),
and travel (2 s). It covers also the longest step (10 s) whose attempts were used up by a provider that was away."""
ROUND_S = 9.0
"""Where no database was away: a page's lease (6 s), a sweep (1 s), and travel (2 s)."""
GATHER_S = 3.0
"""As `crisis_gather_seconds` of the replicas."""
SWEEP_S = 1.0
UNDER_WAY_S = 12.0
"""How long a transaction may have gone on with what it had read at its beginning: a statement gives up after 10 s."""
UNANSWERED = (State.RAISED, State.PAGED)
BEGIN_A_STAGE = frozenset({Kind.RAISED, Kind.SIGNAL_JOINED, Kind.ESCALATED, Kind.LEASE_EXPIRED})


class Broken(Exception):
    """A promise is broken. The text says which, and of what."""


class Invariants:
    """Watches one schedule."""

    def __init__(self, now: Callable[[], float], weather: Weather, plan: Plan, note: Callable[..., None]) -> None:
        self._now = now
        self._weather = weather
        self._plan = plan
        self._note = note
        self.server: Server | None = None
        self.copies: Callable[[], set[int]] = set
        """The versions of the plan that the replicas have."""
        self.accepted: dict[str, str] = {}
        self.received: dict[tuple[Any, ...], tuple[int, str, str]] = {}
        """Of what is to arrive once, by alert, cycle, stage, responder and place: the attempt that came last, its page,
        and the one that led its message. What excuses either excuses both."""
        self._unmarked: set[tuple[Any, ...]] = set()
        """Of those, what came without saying that it may have come before."""
        self._began: dict[tuple[str, int], float] = {}
        """When each cycle of each alert began."""
        self._planned: list[float] = []
        """When the plan changed."""
        self._first: dict[tuple[str, int], float] = {}
        """When a page of each cycle first reached a human."""
        self._rounds: dict[tuple[str, int, int], float] = {}
        """When each stage of each cycle began."""
        self._reached: dict[tuple[str, int, int], float] = {}
        self._over: dict[tuple[str, int], float] = {}
        """When each cycle was answered or closed."""
        self._deadlines: dict[str, tuple[float, float]] = {}
        """Alert → its deadline, and since when it is that."""
        self.signals: dict[str, float] = {}
        self._gathered: set[str] = set()
        """Alerts that were of a flood once."""

    # At every commit.

    def committed(self, changes: Rows) -> None:
        """A transaction is about to be published."""
        if self.server is None:
            return
        before = self.server.tables
        for alert_id, row in changes.get("alert", {}).items():
            held: AlertRow | None = before["alert"].get(alert_id)
            self._alert(held.alert if held is not None else None, row.alert, changes)
            if row.gathered:
                self._gathered.add(alert_id)
            if held is not None and held.gathered:
                self._flooded(held, row, changes)
        for way, began in changes.get("gathering", {}).items():
            self._apart(way, before["gathering"].get(way), began)
        for alert_id, seq in changes.get("entry", {}):
            if alert_id not in changes.get("alert", {}):
                raise Broken(f"entry {seq} of {alert_id} is written, and the alert does not know")
        for page_id, page in changes.get("page", {}).items():
            alert = _after(before, changes, page.alert_id)
            self._page(before["page"].get(page_id), page, alert, changes)

    def _alert(self, before: Alert | None, after: Alert, changes: Rows) -> None:
        self._note("alert", after.alert_id, after.state.name, f"stage {after.stage} cycle {after.cycle}", after.seq)
        entries = self._new_entries(before, after, changes)
        told = replay(after.alert_id, after.person_id, entries) if before is None else reduce(apply, entries, before)
        if told != after:
            raise Broken(f"the new entries of {after.alert_id} give {told}, and the records hold {after}")
        if (after.next_deadline is None) != (after.state is State.CLOSED):
            raise Broken(f"alert {after.alert_id} is {after.state.name} with the deadline {after.next_deadline}")
        human = any(each.kind is Kind.SEVERITY_CHANGED for each in entries)
        if before is not None and after.severity < before.severity and not human:
            raise Broken(f"the severity of {after.alert_id} fell by itself to {after.severity.name}")
        cycle = (after.alert_id, after.cycle)
        if after.state in UNANSWERED:
            self._began.setdefault(cycle, self._now())
            self._over.pop(cycle, None)
            if after.stage >= NAMED_STAGE:
                self._rounds.setdefault((*cycle, after.stage), self._now())
        else:
            self._over.setdefault(cycle, self._now())
        if before is not None and before.cycle != after.cycle:
            self._over.setdefault((after.alert_id, before.cycle), self._now())
        self._deadline(before, after)
        for each in entries:
            joined_only = each.kind is Kind.SIGNAL_JOINED and each.facts["reopens"] == "false"
            if each.kind in BEGIN_A_STAGE and not joined_only:
                self._stage_begins(before, after, each, changes)

    def _new_entries(self, before: Alert | None, after: Alert, changes: Rows) -> list[Entry]:
        """The entries of a commit: they take the next places of the timeline. So it tells, replayed as a whole, what
        each commit was seen to give, and need not be replayed at the end."""
        new = {seq: each for (of, seq), each in changes.get("entry", {}).items() if of == after.alert_id}
        first = 1 if before is None else before.seq + 1
        if sorted(new) != list(range(first, after.seq + 1)):
            raise Broken(f"alert {after.alert_id} is at {after.seq} and has the new entries {sorted(new)} from {first}")
        return [new[seq] for seq in sorted(new)]

    def _deadline(self, before: Alert | None, after: Alert) -> None:
        if before is not None and before.next_deadline is not None and before.next_deadline != after.next_deadline:
            self._in_time(after.alert_id, before.next_deadline)

    def _in_time(self, alert_id: str, deadline: datetime) -> None:
        due = self._weather.moment(deadline)
        limit = self._weather.calm_by(due, BOUND_S)
        if self._now() > limit:
            raise Broken(f"the deadline of {alert_id} passed at {due:.1f} and nothing was done until {limit:.1f}")

    def _stage_begins(self, before: Alert | None, after: Alert, entry: Entry, changes: Rows) -> None:
        """At the stage, and with the people, that one plan says which a replica could have: an empty step is skipped at
        once, and nobody is left out or paged who was not on call at that moment."""
        number = before.stage + 1 if before is not None and entry.kind is Kind.ESCALATED else 0
        stage = int(entry.facts["stage"])
        round_ = (after.alert_id, after.cycle, stage)
        new = frozenset(each.responder_id for each in changes.get("page", {}).values() if each.key[:3] == round_)
        at = (entry.at - START).total_seconds()
        said = [each.stage_from(number, at, after.turn) for each in self._could_have()]
        if entry.kind in (Kind.RAISED, Kind.SIGNAL_JOINED):
            # A call for help that met a newer plan than it was planned by pages those who are on call by that one too.
            said += [(place, people | newer) for place, people in said for _, newer in said]
        if (stage, new) not in said:
            raise Broken(f"stage {stage} of {after.alert_id} pages {sorted(new)} at {at:.3f}, and the plan says {said}")

    def _could_have(self) -> list[Version]:
        """The plans that a replica could have had in memory when it began what it commits now."""
        since = self._now() - UNDER_WAY_S
        had = self.copies() | {self._plan.version}
        had |= {number for number, until in self._plan.until.items() if until >= since}
        return [each for number, each in self._plan.versions.items() if number in had]

    def _called_by_plan(self, page: PageRow, turn: int) -> None:
        """Whoever is paged for a stage without its beginning was paged in it already, or is on call by a newer plan."""
        if self.server is None or not 0 <= page.stage < 1_000_000:
            return
        if any(each.key[:4] == page.key[:4] for each in self.server.tables["page"].values()):
            return
        at = (page.created_at - START).total_seconds()
        if not any(page.responder_id in each.stage_from(0, at, turn)[1] for each in self._could_have()):
            raise Broken(f"page {page.page_id} pages {page.responder_id}, who is not on call by any plan")

    def _page(self, before: PageRow | None, after: PageRow, alert: Alert, changes: Rows) -> None:
        self._note("page", after.page_id, after.state.name, after.responder_id, f"place {after.place}", after.attempt)
        begins = after.state is PageState.SENDING and (before is None or before.state is not PageState.SENDING)
        of_step = NAMED_STAGE <= after.stage < 1_000_000
        if begins and after.lead:
            self._together(after, changes)
        if begins and alert.state is State.CLOSED:
            raise Broken(f"page {after.page_id} begins, and its alert is closed")
        if begins and of_step and (alert.state not in UNANSWERED or alert.cycle != after.cycle):
            raise Broken(f"page {after.page_id} of cycle {after.cycle} begins, and its alert is {alert.state.name}")
        if before is None and not self._begun(after, changes):
            self._called_by_plan(after, alert.turn)
        if begins and before is None and after.attempt > 1 and not after.resent:
            raise Broken(f"page {after.page_id} is sent again and was never queued")
        ended = before is not None and before.state is PageState.SENDING
        if ended and before is not None and before.lease_until is not None and after.failure == "lease ran out":
            # However late that is found, as where the database is away by then.
            ran_out = self._weather.moment(before.lease_until)
            if ran_out < self._weather.locked_until + SWEEP_S:
                self._weather.excused[after.page_id] = "a machine that is gone held locks"
        if ended and after.state in (PageState.FAILED, PageState.UNKNOWN) and of_step:
            self._tried_on(after, alert, changes)

    def _begun(self, page: PageRow, changes: Rows) -> bool:
        """Whether the page's stage began in this very commit, so that all its pages were looked at."""
        entries = (each for (of, _), each in changes.get("entry", {}).items() if of == page.alert_id)
        return any(each.kind in BEGIN_A_STAGE and each.facts["stage"] == str(page.stage) for each in entries)

    def _tried_on(self, page: PageRow, alert: Alert, changes: Rows) -> None:
        """A page that did not arrive was followed by another in the same commit, while it was wanted."""
        if self.server is None or alert.state not in UNANSWERED or alert.cycle != page.cycle:
            return
        rows: list[PageRow] = [*self.server.tables["page"].values(), *changes["page"].values()]
        same = [each for each in rows if each.key[:4] == page.key[:4]]
        next_place = any(each.place == page.place + 1 for each in same)
        again = any(each.place == page.place and each.attempt > page.attempt for each in same)
        if page.failure == "lease ran out":
            if page.attempt != BY_RULE and not any(
                each.attempt > page.attempt and each.resent for each in same if each.place == page.place
            ):
                raise Broken(f"page {page.page_id} was lost and is not sent again, or does not say so")
        elif not next_place and self._has(page.responder_id, page.place + 1):
            raise Broken(f"page {page.page_id} failed and the next channel is not tried")
        elif not again and page.attempt < 4:
            raise Broken(f"page {page.page_id} failed and is not tried again")

    def _has(self, responder: str, place: int) -> bool:
        """Whether a responder had that channel in every plan of late: a replica's copy may be a little old."""
        return not self._planned and place < len(self._plan.channels.get(responder, ()))

    def _flooded(self, before: AlertRow, after: AlertRow, changes: Rows) -> None:
        """Whoever calls for help beside the system is paged anew, alone."""
        entries = [each for (alert_id, _), each in changes.get("entry", {}).items() if alert_id == after.alert.alert_id]
        own = any(each.kind is Kind.SIGNAL_JOINED and each.actor != before.origin for each in entries)
        if own and (after.gathered or after.alert.cycle == before.alert.cycle):
            raise Broken(f"{after.alert.alert_id} is one of a flood, and the person who called is not paged alone")

    def _together(self, page: PageRow, changes: Rows) -> None:
        """A page that begins as one message with others."""
        if self.server is None:
            return
        lead: PageRow | None = changes["page"].get(page.lead)
        if lead is None or (lead.responder_id, lead.place) != (page.responder_id, page.place):
            raise Broken(f"page {page.page_id} is one message with {page.lead}, which went elsewhere")
        row: AlertRow = self.server.tables["alert"][page.alert_id]
        if row.alert.severity is Severity.IMMEDIATE or not row.gathered:
            raise Broken(f"page {page.page_id} is one of many, and its alert is none of a flood")

    def _apart(self, way: Any, before: datetime | None, after: datetime | None) -> None:
        if before is not None and after is not None and (after - before).total_seconds() < GATHER_S:
            raise Broken(f"{way} was paged of a flood at {before} and again at {after}")

    # As it goes.

    def planned(self) -> None:
        """The plan changed."""
        self._planned.append(self._now())

    def took(self, received: Received) -> list[PageRow]:
        """A page reached a human: the rows of all that it is about."""
        if self.server is None:
            raise Broken("no server")
        rows: dict[str, PageRow] = self.server.tables["page"]
        lead = rows.get(received.page_id)
        if lead is None:
            raise Broken(f"page {received.page_id} was sent and is not in the records")
        about = [each for each in rows.values() if each.lead == lead.page_id] if lead.lead else [lead]
        if len(about) != received.alerts:
            raise Broken(f"page {received.page_id} says {received.alerts} alerts and is about {len(about)}")
        for each in about:
            self._reached_by(each, received)
        return about

    def _reached_by(self, page: PageRow, received: Received) -> None:
        self._note("received", page.page_id, page.responder_id, f"place {page.place}", received.resent)
        key = (*page.key[:-1], page.attempt == BY_RULE)
        known = self.received.get(key)
        # One that was on its way for long may come after the one that was sent again, and cannot say so.
        if not received.resent and key in self._unmarked:
            raise Broken(f"{key} came again and does not say that it may have come before")
        if not received.resent:
            self._unmarked.add(key)
        came = page.attempt, page.page_id, received.page_id
        if known is not None and not self._weather.excused.keys() & set(min(known, came)[1:]):
            raise Broken(f"{key} came again, and nothing kept page {min(known, came)[1]} from being noted")
        self.received[key] = came
        cycle = (page.alert_id, page.cycle)
        self._first.setdefault(cycle, received.at)
        self._reached.setdefault((*cycle, page.stage), received.at)

    # At the end.

    def finish(self, server: Server) -> None:
        """The schedule is over."""
        now = self._now()
        self._nobody_lost(server)
        for alert_id, row in server.tables["alert"].items():
            if row.alert.next_deadline is not None:
                self._in_time(alert_id, row.alert.next_deadline)
        for cycle, began in self._began.items():
            self._paged_in_time(cycle, began, self._first.get(cycle), now)
        for (alert_id, cycle_number, stage), began in self._rounds.items():
            reached = self._reached.get((alert_id, cycle_number, stage))
            self._round_in_time((alert_id, cycle_number, stage), began, reached, now)
        self._no_page_stuck(server)
        self._turn_after_turn(server)

    def _turn_after_turn(self, server: Server) -> None:
        """No two alerts have taken the same turn; where nothing failed none was left out, so that consecutive alerts
        begin with consecutive targets. A missed follow-up calls in a longer transaction: others may come first."""
        missed = any(row.new_alert_id for row in server.tables["follow_up"].values())
        for drill in (False, True):
            taken = turns.taken((row.alert for row in server.tables["alert"].values()), drill=drill)
            if len(set(taken)) < len(taken):
                raise Broken(f"two alerts have taken the same turn: {taken}")
            if self._weather.profile.calm and not missed and taken != list(range(len(taken))):
                raise Broken(f"nothing failed, and alerts have taken the turns {taken}")

    def _nobody_lost(self, server: Server) -> None:
        told = Counter(
            entry.facts["signal_id"]
            for entry in server.tables["entry"].values()
            if entry.kind in (Kind.RAISED, Kind.SIGNAL_JOINED)
        )
        for signal_id, times in told.items():
            if times > 1:
                raise Broken(f"signal {signal_id} was counted {times} times")
        for signal_id, alert_id in self.accepted.items():
            known = server.tables["of_signal"].get(signal_id)
            if known != alert_id:
                raise Broken(f"signal {signal_id} was accepted and belongs to {known}, not {alert_id}")

    def _paged_in_time(self, cycle: tuple[str, int], began: float, first: float | None, now: float) -> None:
        wait = self._wait(cycle[0])
        calm = self._weather.profile.calm
        limit = began + FIRST_PAGE_S + wait if calm else self._weather.calm_by(began, BOUND_S + wait)
        over = self._over.get(cycle, now)
        if limit < min(over, now) and (first is None or first > limit):
            raise Broken(f"cycle {cycle} began at {began:.1f} and paged nobody until {limit:.1f} ({first})")

    def _round_in_time(self, key: tuple[str, int, int], began: float, reached: float | None, now: float) -> None:
        """Each stage reaches somebody while it lasts: a bound that only holds where it lasts long enough."""
        ends = min([at for (a, c, s), at in self._rounds.items() if (a, c) == key[:2] and at > began], default=now)
        ends = min(ends, self._over.get(key[:2], now))
        if any(began <= at <= ends for at in self._planned):
            return  # whom the stage was to reach may have no channel any more
        weather = self._weather
        bound = BOUND_S if weather.profile.outages or weather.profile.node_losses else ROUND_S
        wait = self._wait(key[0])
        limit = began + FIRST_PAGE_S + wait if weather.profile.calm else weather.calm_by(began, bound + wait)
        if limit < ends and (reached is None or reached > limit):
            raise Broken(f"stage {key} began at {began:.1f} and reached nobody until {limit:.1f} ({reached})")

    def _wait(self, alert_id: str) -> float:
        """How long a page may wait for its turn, and for the sweep that finds it."""
        return GATHER_S + 1 if alert_id in self._gathered else 0.0

    def _no_page_stuck(self, server: Server) -> None:
        counted = Counter(page.state.name for page in server.tables["page"].values())
        self._note("pages", dict(counted))
        for page in server.tables["page"].values():
            if not page.open:
                continue
            due = self._weather.moment(page.lease_until or page.due_at)
            if self._weather.calm_by(due, BOUND_S) < self._now():
                raise Broken(f"page {page.page_id} is {page.state.name} since {due:.1f}")


def _after(before: Rows, changes: Rows, alert_id: str) -> Alert:
    row: AlertRow = changes.get("alert", {}).get(alert_id) or before["alert"][alert_id]
    return row.alert
