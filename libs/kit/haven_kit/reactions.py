"""Reactions: what a service does when another tells of an event. Twice delivered is once done.

A reaction runs in one transaction together with the inbox row of the event. One that raises is tried again, later each
time; after the last attempt the event becomes a dead letter, which can be driven again. What cannot be reached now, or
has too much to do, is waited for, however long it takes.

Events of one aggregate are given in order while none of them fails and one replica consumes. A copy that depends on the
order carries a version, and ignores a smaller one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

import orjson
from google.protobuf.message import DecodeError, Message

from haven_kit import contract, logs, metrics, telemetry
from haven_kit.database import RETRYABLE, Database, Tx
from haven_kit.errors import Overloaded, Unavailable
from haven_kit.identity import system
from haven_kit.workers import Worker

ATTEMPTS = 8
"""Attempts before an event becomes a dead letter; with the delays below, about two minutes."""
DELAYS_S = (0.1, 0.5, 1, 5, 15, 30, 60)
WAITING_DELAY_S = 1.0
INBOX_RETENTION = timedelta(days=30)
"""Longer than any event can come again: streams keep a week, the outbox two."""
_SWEEP_BATCH = 5_000
_log = logs.get(__name__)
E = TypeVar("E", bound=Message)


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event as it came."""

    event_id: str
    subject: str
    key: str
    payload: bytes
    traceparent: str
    attempt: int


class Reaction(Generic[E]):
    """What to do on one kind of event. The name of the handler identifies it in the inbox: renaming it reacts again."""

    __slots__ = ("event", "handle", "name", "never_buried", "subject")

    def __init__(
        self,
        event: type[E],
        handle: Callable[[Tx, E], Awaitable[None]],
        *,
        name: str = "",
        never_buried: bool = False,
    ) -> None:
        """`never_buried`: tried until it is done, for what nobody may give up, such as a call for help."""
        self.never_buried = never_buried
        self.event = event
        self.handle = handle
        self.subject = contract.event_subject(event)
        self.name = name or str(getattr(handle, "__name__", ""))
        if not self.subject:
            raise TypeError(f"{event.DESCRIPTOR.full_name} is not an event")
        if not self.name:
            raise TypeError("a reaction needs a name")

    def matches(self, subject: str) -> bool:
        """Whether an event on this subject is of this kind."""
        mine, its = self.subject.split("."), subject.split(".")
        return len(mine) == len(its) and all(a in ("*", b) for a, b in zip(mine, its, strict=True))


class Reactor:
    """Runs a service's reactions, one transaction each."""

    def __init__(self, service: str, database: Database, reactions: Sequence[Reaction[Any]]) -> None:
        self._service = service
        self._database = database
        self._reactions = tuple(reactions)
        names = [each.name for each in self._reactions]
        if len(set(names)) != len(names):
            raise TypeError(f"two reactions of {service} share a name")

    def subjects_from(self, source: str) -> list[str]:
        """The subjects of one service that this one reacts to."""
        parts = [each.subject.split(".") for each in self._reactions]
        return sorted({".".join(["haven", source, *rest]) for _, owner, *rest in parts if owner in ("*", source)})

    async def react(self, delivered: Delivered) -> float | None:
        """Run what the event asks for. None when all is done; otherwise seconds after which to deliver it again."""
        mine = [each for each in self._reactions if each.matches(delivered.subject)]
        delays = [await self._attempt(each, delivered) for each in mine]
        return max((each for each in delays if each is not None), default=None)

    async def _attempt(self, reaction: Reaction[Any], delivered: Delivered) -> float | None:
        with telemetry.consumer_span(f"react {reaction.name}", {"traceparent": delivered.traceparent}):
            try:
                await self._once(reaction, delivered)
            except (Unavailable, Overloaded, *RETRYABLE) as error:
                _log.warning("reaction.waiting", reaction=reaction.name, reason=type(error).__name__)
                metrics.REACTIONS.labels(reaction.name, "waiting").inc()
                return WAITING_DELAY_S
            except Exception as error:  # noqa: BLE001 - any failure is an attempt
                _log.exception("reaction.failed", reaction=reaction.name, event_id=delivered.event_id)
                metrics.REACTIONS.labels(reaction.name, "failed").inc()
                patient = reaction.never_buried or delivered.attempt < ATTEMPTS
                if patient and not isinstance(error, DecodeError):
                    return DELAYS_S[min(delivered.attempt, len(DELAYS_S)) - 1]
                return await self._bury(reaction, delivered, error)
        metrics.REACTIONS.labels(reaction.name, "done").inc()
        return None

    async def _once(self, reaction: Reaction[Any], delivered: Delivered) -> None:
        event = reaction.event.FromString(delivered.payload)
        async with self._database.transaction(system(f"{self._service}/{reaction.name}")) as tx:
            if await _first_time(tx, delivered.event_id, reaction.name):
                await reaction.handle(tx, event)

    async def _bury(self, reaction: Reaction[Any], delivered: Delivered, error: Exception) -> float | None:
        headers = {"key": delivered.key, "traceparent": delivered.traceparent}
        try:
            async with self._database.transaction(system(f"{self._service}/{reaction.name}")) as tx:
                await tx.fetch(
                    """INSERT INTO dead_letter (event_id, reaction, subject, payload, headers, attempts, error, died_at)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                    ON CONFLICT (event_id, reaction)
                    DO UPDATE SET attempts = excluded.attempts, error = excluded.error""",
                    delivered.event_id,
                    reaction.name,
                    delivered.subject,
                    delivered.payload,
                    orjson.dumps(headers).decode(),
                    delivered.attempt,
                    type(error).__name__,
                    tx.now,
                )
        except (Unavailable, Overloaded):
            return WAITING_DELAY_S
        _log.error("reaction.dead_letter", reaction=reaction.name, event_id=delivered.event_id)
        metrics.DEAD_LETTERS.labels(reaction.name).inc()
        return None

    def workers(self) -> tuple[Worker, ...]:
        """What drives dead letters again, and forgets what can no longer come twice."""
        return (
            Worker("redrive", self.redrive_one, every=timedelta(seconds=5), wake="redrive"),
            Worker("inbox-sweep", self.sweep, every=timedelta(hours=1), exclusive=True),
        )

    async def redrive_one(self) -> bool:
        """React to one dead letter that someone asked to drive again. True when there was one."""
        async with self._database.transaction(system(f"{self._service}/redrive")) as tx:
            row = await tx.fetch_one(
                """SELECT event_id::text AS event_id, reaction, subject, payload FROM dead_letter
                WHERE redrive ORDER BY died_at LIMIT 1 FOR UPDATE SKIP LOCKED"""
            )
            if row is None:
                metrics.DEAD_LETTERS_OPEN.set((await tx.fetch("SELECT count(*) FROM dead_letter"))[0][0])
                return False
            reaction = next((each for each in self._reactions if each.name == row["reaction"]), None)
            try:
                async with tx.savepoint():
                    if reaction is not None and await _first_time(tx, row["event_id"], reaction.name):
                        await reaction.handle(tx, reaction.event.FromString(row["payload"]))
            except Exception as error:  # noqa: BLE001 - any failure is an attempt
                _log.exception("reaction.redrive_failed", reaction=row["reaction"], event_id=row["event_id"])
                await tx.fetch(
                    """UPDATE dead_letter SET redrive = FALSE, attempts = attempts + 1, error = $3
                    WHERE event_id = $1 AND reaction = $2""",
                    row["event_id"],
                    row["reaction"],
                    type(error).__name__,
                )
                return True
            await tx.fetch(
                "DELETE FROM dead_letter WHERE event_id = $1 AND reaction = $2", row["event_id"], row["reaction"]
            )
            _log.info("reaction.redriven", reaction=row["reaction"], event_id=row["event_id"])
        return True

    async def sweep(self) -> bool:
        """Forget one batch of old inbox rows."""
        async with self._database.transaction(system(f"{self._service}/inbox-sweep")) as tx:
            gone = await tx.fetch(
                """DELETE FROM inbox WHERE (event_id, reaction) IN
                (SELECT event_id, reaction FROM inbox WHERE done_at < $1 LIMIT $2) RETURNING 1""",
                tx.now - INBOX_RETENTION,
                _SWEEP_BATCH,
            )
        return len(gone) == _SWEEP_BATCH


async def _first_time(tx: Tx, event_id: str, reaction: str) -> bool:
    row = await tx.fetch_one(
        "INSERT INTO inbox (event_id, reaction, done_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1",
        event_id,
        reaction,
        tx.now,
    )
    return row is not None


async def redrive(database: Database, service: str, event_id: str = "") -> int:
    """Ask for one dead letter, or all, to be reacted to again. Returns how many."""
    async with database.transaction(system(f"{service}/redrive")) as tx:
        rows = await tx.fetch(
            "UPDATE dead_letter SET redrive = TRUE WHERE $1 = '' OR event_id::text = $1 RETURNING 1", event_id
        )
        tx.wake("redrive")
    return len(rows)
