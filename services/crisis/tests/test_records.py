"""The simulation's model of the database does what PostgreSQL does: the same scripts on both, step by step.

A script is made by its seed. Three sessions open transactions, commit, roll back, and run the operations of the pager,
the escalator and the acceptance; after each step the results, who waits for a lock, and all rows must be equal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis.domain import commands
from haven_crisis.domain.alerts import Alert, Entry, Limits, due, next_stage
from haven_crisis.domain.rules import RuleBroken
from haven_crisis.domain.severity import Severity
from haven_crisis.domain.signals import Signal
from haven_crisis.records import Records
from haven_crisis.store.acceptance import Plan
from haven_crisis.store.pages import Draft, Job, PageState, Round
from haven_kit import ids
from haven_kit.clock import FakeClock
from haven_kit.database import Database, Tx

from .records_world import BLOCKED, Model, Operation, Postgres

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
LIMITS = Limits(timedelta(seconds=20), timedelta(seconds=30))
SCRIPTS = 60
STEPS = 45
SESSIONS = (0, 1, 2)
Pages = list[tuple[tuple[Any, ...], str]]
INTEGRATED = int(pb.SIGNAL_SOURCE_INTEGRATED_SYSTEM)
NOBODY = str(UUID(int=0))


def number(kind: int, index: int) -> str:
    return str(UUID(int=(kind << 64) + index, version=4))


@dataclass
class Script:
    """What is drawn, and what is known of both sides, which is the same."""

    random: Random
    now: datetime = START
    made: int = 0

    def signal(self) -> Plan:
        drill = self.random.random() < 0.1
        self.made += 1
        turns = [
            [Draft(f"r{n}", place, "webhook") for n in each for place in range(2)] for each in ((0, 1), (1,), (2,))
        ]
        stage = self.random.choice((0, 1))
        of_system = self.random.random() < 0.4
        source, actor = (INTEGRATED, self.random.choice(("system one", "system two"))) if of_system else (1, "someone")
        return Plan(
            signal=Signal(
                number(1, self.random.randrange(8)), number(2, self.random.randrange(3)), source, actor, self.now,
                session_id=self.random.choice(("", number(3, 1))), facilitator_id=self.random.choice(("", "fac")),
            ),
            source="help_button",
            drill=drill,
            severity=self.random.randint(1, 3),
            makes_immediate=3,
            alert_id=number(4, self.made),
            entry_id=number(5, self.made),
            sealed=None,
            stage=stage,
            deadline=self.now + timedelta(seconds=10, microseconds=self.made),  # no two alike: their order is nobody's
            pages=tuple(
                tuple((number(6, self.made * 100 + turn * 10 + n), draft) for n, draft in enumerate(drafts))
                for turn, drafts in enumerate(turns)
            ),
            takes_turn=self.random.random() < 0.8,
            worker=self.worker(),
            lease_until=self.now + timedelta(seconds=6),
            traceparent="",
            flood=self.random.choice((1, 2)),
        )  # fmt: skip

    def worker(self) -> str:
        return self.random.choice(("w1", "w2"))

    def drafts(self) -> list[Draft]:
        chosen = [(f"r{n}", place, attempt) for n in range(2) for place in range(2) for attempt in (1, 2)]
        picked = self.random.sample(chosen, 3)
        return [Draft(r, place, "webhook", attempt, self.random.random() < 0.5) for r, place, attempt in picked]


def operation(  # noqa: C901 - a table of all operations
    script: Script, alerts: list[Alert], follow_ups: list[str]
) -> tuple[str, Callable[[Pages], Operation]]:
    """One operation; it is given the pages of the side that it runs on, whose ids differ."""
    random, now = script.random, script.now
    alert = random.choice(alerts) if alerts else None
    follow_up = random.choice(follow_ups) if follow_ups else NOBODY
    alert_id = alert.alert_id if alert is not None else NOBODY
    place = random.random()
    worker, plan, drafts = script.worker(), script.signal(), script.drafts()
    lease = now + timedelta(seconds=6)
    state = random.choice((PageState.FAILED, PageState.UNKNOWN))
    cycle = alert.cycle if alert is not None and random.random() < 0.8 else 0
    stage = random.choice((-3, -1, 0, 1, 1_000_001))
    of = Round(alert_id, cycle, stage, False, START, "")
    named = random.choice(COMMANDS)

    def page(pages: Pages) -> str:
        return pages[int(place * len(pages))][1] if pages else NOBODY

    async def command(tx: Tx, records: Records) -> Any:
        held = await records.alerts.get(tx, alert_id, lock=True)
        try:
            entries = named(held, tx.now)
        except RuleBroken as broken:
            return broken.rule
        after = await records.alerts.add(tx, None, held, entries)  # type: ignore[arg-type]
        if after.state == 6 and held.state != 6 and after.follow_up_id:
            await records.follow_ups.create(  # type: ignore[attr-defined]
                tx, after.follow_up_id, alert_id, after.person_id, "r0", tx.now + timedelta(seconds=15)
            )
        return after

    async def escalate(tx: Tx, records: Records) -> Any:
        late = await records.alerts.due(tx, now, 1)
        for each, _ in late:
            await records.alerts.add(  # type: ignore[arg-type]
                tx,
                None,
                each,
                due(
                    each, next_stage(each), timedelta(seconds=10, microseconds=script.made), False, "escalator", tx.now
                ),
            )
        return [each for each, _ in late]

    async def miss(tx: Tx, records: Records) -> Any:
        row = await records.follow_ups.claim(tx, follow_up)
        if row is None:
            return None
        await records.follow_ups.miss(tx, follow_up, alert_id)
        return row["alert_id"], row["person_id"]

    async def together(tx: Tx, records: Records, page: str) -> Any:
        return [alert for _, alert in await records.pages.together(tx, page)]

    def of_pages(run: Callable[[Tx, Records, str], Awaitable[Any]]) -> Callable[[Pages], Operation]:
        return lambda pages: lambda tx, records: run(tx, records, page(pages))

    def plain(run: Operation) -> Callable[[Pages], Operation]:
        return lambda _: run

    event = (number(7, script.made), "key", "subject", b"", "", now)
    chosen: tuple[tuple[int, str, Callable[[Pages], Operation]], ...] = (
        (5, "accept", plain(lambda tx, records: records.signals.accept(tx, plan))),
        (1, "known", plain(lambda tx, records: records.signals.known(tx, plan.signal.signal_id))),
        (6, "command", plain(command)),
        (2, "escalate", plain(escalate)),
        (1, "overdue", plain(lambda tx, records: records.alerts.overdue(tx, now, timedelta(seconds=2)))),
        (4, "create", plain(lambda tx, records: records.pages.create(tx, of, drafts, worker, lease))),
        (2, "queue", plain(lambda tx, records: records.pages.queue(tx, of, drafts, now + timedelta(seconds=2)))),
        (5, "claim", plain(lambda tx, records: records.pages.claim(tx, worker, lease, 100))),
        (
            4,
            "accepted",
            of_pages(lambda tx, records, page: records.pages.accepted(tx, page, worker, {"cycle": "0"}, event)),
        ),
        (2, "ended", of_pages(lambda tx, records, page: records.pages.ended(tx, page, worker, state, "why"))),
        (1, "given_back", of_pages(lambda tx, records, page: records.pages.given_back(tx, page, worker))),
        (2, "failed_later", of_pages(lambda tx, records, page: records.pages.failed_later(tx, page, "why"))),
        (3, "gather", plain(lambda tx, records: records.pages.gather(tx, worker, lease, timedelta(seconds=2), 2))),
        (1, "together", of_pages(together)),
        (1, "stuck", plain(lambda tx, records: records.pages.stuck(tx, now))),
        (1, "missed", plain(lambda tx, records: records.follow_ups.missed(tx, now, 5))),
        (2, "miss", plain(miss)),
        (1, "late follow-ups", plain(lambda tx, records: records.follow_ups.overdue(tx, now))),
    )
    [made] = random.choices([each[1:] for each in chosen], [each[0] for each in chosen])
    return made


COMMANDS: tuple[Callable[[Alert, datetime], list[Entry]], ...] = (
    lambda alert, now: commands.acknowledge(alert, "r0", now, LIMITS),
    lambda alert, now: commands.acknowledge(alert, "r1", now, LIMITS),
    lambda alert, now: commands.contact(alert, "r0", "phone", True, now, LIMITS),
    lambda alert, now: commands.stabilise(alert, "r0", now, LIMITS),
    lambda alert, now: commands.change_severity(alert, "r0", Severity.ELEVATED, now),
    lambda alert, now: commands.reassign(alert, "r0", ["r1"], now, timedelta(seconds=5)),
    lambda alert, now: commands.offer_hand_over(alert, "r0", "r1", now),
    lambda alert, now: commands.close(alert, "r0", number(8, alert.seq), now + timedelta(seconds=15), now),
)


def plainly(found: Any, pages: Pages) -> Any:
    """A result without the ids of pages, in an order of its own."""
    by_id = {page_id: key for key, page_id in pages}
    if isinstance(found, Job):
        return replace(found, page_id=str(by_id.get(found.page_id, "new")))
    if isinstance(found, list):
        return sorted((plainly(each, pages) for each in found), key=str)
    if found is not None and hasattr(found, "items"):
        return dict(found.items())
    return found


@pytest.mark.parametrize("seed", range(SCRIPTS))
async def test_the_model_does_what_postgresql_does(  # noqa: C901 - a script from top to bottom
    seed: int, database: Callable[..., Awaitable[Database]], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(Random(seed))
    clock = FakeClock(START)
    real, model = Postgres(await database("crisis", clock=clock)), Model(clock)
    await real.clear()
    opened: set[int] = set()
    blocked: set[int] = set()
    story: list[str] = []
    for step in range(STEPS):
        clock.advance(timedelta(seconds=script.random.choice((0, 0, 1, 3))))
        script.now = clock.now()
        session = script.random.choice(SESSIONS)
        if session in blocked:
            continue
        draw = script.random.random()
        if session in opened and draw < 0.4:
            commit = draw < 0.3
            story.append(f"{session} {'commits' if commit else 'rolls back'}")
            opened.discard(session)
            model.end(session, commit)
            await real.end(session, commit)
        elif session not in opened and draw < 0.5:
            story.append(f"{session} begins")
            opened.add(session)
            model.begin(session)
            await real.begin(session)
        else:
            held = model.held()
            name, made = operation(script, list(held["alerts"].values()), [each[0] for each in held["follow_ups"]])
            counts = {"model": step * 1000, "real": step * 1000}
            monkeypatch.setattr(ids, "new_id", lambda counts=counts: _next(counts, "model"))
            first = model.run(session, made(model.pages()))
            monkeypatch.setattr(ids, "new_id", lambda counts=counts: _next(counts, "real"))
            second = await real.run(session, made(await real.pages()), first == BLOCKED)
            if first == "DeadlockDetectedError":
                break  # which of two PostgreSQL ends is nobody's promise
            known = model.pages(), await real.pages()
            story.append(f"{session} {name}: {plainly(first, known[0])}")
            assert plainly(second, known[1]) == plainly(first, known[0]), "\n".join(story)
            if first == BLOCKED:
                if blocked:
                    break  # which of two that wait goes first is nobody's promise
                blocked.add(session)
            elif isinstance(first, str) and first.endswith("Error") and session in opened:
                break
        for waiting in sorted(blocked):
            first = model.status(waiting)
            second = await real.status(waiting, first == BLOCKED)
            story.append(f"  {waiting} {first}")
            assert plainly(second, await real.pages()) == plainly(first, model.pages()), "\n".join(story)
            if first != BLOCKED:
                blocked.discard(waiting)
        found = differences(await real.held(), model.held())
        assert not found, "\n".join([*story, *found])
    await real.stop()
    model.loop.close()


def differences(real: dict[str, Any], model: dict[str, Any]) -> list[str]:
    """The rows that only one of them holds."""
    found = []
    for name, rows in real.items():
        first, second = (list(each.items()) if isinstance(each, dict) else each for each in (rows, model[name]))
        found += [f"only in PostgreSQL: {each}" for each in first if each not in second]
        found += [f"only in the model: {each}" for each in second if each not in first]
    return found


def _next(counts: dict[str, int], side: str) -> str:
    counts[side] += 1
    return number(9, counts[side])
