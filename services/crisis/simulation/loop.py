"""An event loop in which time is a number and chance is a seed.

Every callback belongs to an owner: a replica's process, the database server, or the world outside. What one owner's
callbacks do comes in the order that asyncio promises; which owner goes next is drawn. When nobody has anything to do,
the clock moves to the next timer. There is no thread, no socket, and no time but this.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")
START = datetime(2026, 1, 5, 9, tzinfo=UTC)
"""The time of day when a schedule begins."""


class Owner:
    """Somebody whose callbacks run in order, and who may be gone at any of them."""

    __slots__ = ("alive", "context", "dies", "name", "ready", "steps", "tasks")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.ready: deque[Handle] = deque()
        self.steps = 0
        """How many callbacks have run: each await of each of its tasks is at least one."""
        self.dies: tuple[int, Callable[[], None]] | None = None
        """Before which step it dies, and what that does to others."""
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = contextvars.Context()
        self.context.run(_OWNER.set, self)

    def kill(self) -> None:
        """Gone at once: no cleanup runs, now or later."""
        self.alive = False
        self.dies = None
        self.ready.clear()


_OWNER: contextvars.ContextVar[Owner] = contextvars.ContextVar("owner")


class Handle:
    """A callback that waits for its turn."""

    __slots__ = ("args", "at", "callback", "context", "owner")

    def __init__(
        self,
        callback: Callable[..., object] | None,
        args: tuple[Any, ...],
        context: contextvars.Context,
        owner: Owner,
        at: float,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.owner = owner
        self.at = at

    def cancel(self) -> None:
        """It will not be called."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Whether it was cancelled, or has run."""
        return self.callback is None

    def when(self) -> float:
        """The time it is due, on the loop's clock."""
        return self.at


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. `trouble` gathers exceptions that nobody handled; those of the type `fatal` end the run."""

    def __init__(self, random: Random, fatal: type[Exception]) -> None:
        self.random = random
        self._fatal = fatal
        self.outside = Owner("outside")
        self.server = Owner("server")
        self.trouble: list[BaseException | str] = []
        self._now = 0.0
        self._timers: list[tuple[float, int, Handle]] = []
        self._count = 0
        self._owners: list[Owner] = [self.outside, self.server]
        self._dead: list[Owner] = []

    def owner(self, name: str) -> Owner:
        """A new owner."""
        made = Owner(name)
        self._owners.append(made)
        return made

    def spawn(self, owner: Owner, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of an owner."""
        task = asyncio.Task(coro, loop=self, context=owner.context.copy())
        owner.tasks.append(task)
        return task

    @property
    def steps(self) -> int:
        """How many callbacks have run."""
        return sum(each.steps for each in (*self._owners, *self._dead))

    def kill(self, owner: Owner) -> None:
        """An owner is gone at once. Its tasks are kept to the end, so that nothing of them runs before."""
        owner.kill()
        self._owners.remove(owner)
        self._dead.append(owner)

    def at(self, delay: float, owner: Owner, callback: Callable[..., object], *args: Any) -> Handle:
        """Call an owner back after so many seconds."""
        return self._schedule(delay, callback, args, owner.context, owner)

    def run(self, until: float) -> None:
        """Run to a moment."""
        # Meant for those who write loops. Another loop's callback may be what runs this one.
        before = asyncio._get_running_loop()  # noqa: SLF001
        asyncio._set_running_loop(self)  # noqa: SLF001
        try:
            owners, draw = self._owners, self.random.random
            while True:
                waiting = [each for each in owners if each.ready]
                if len(waiting) > 1:
                    self._turn(waiting[int(draw() * len(waiting))])
                elif waiting:
                    self._turn(waiting[0])
                elif not self._forward(until):
                    break
        finally:
            asyncio._set_running_loop(before)  # noqa: SLF001

    def _turn(self, owner: Owner) -> None:
        handle = owner.ready.popleft()
        callback = handle.callback
        if callback is None:
            return
        owner.steps += 1
        if owner.dies is not None and owner.steps >= owner.dies[0]:
            owner.dies[1]()
            return
        handle.callback = None
        try:
            handle.context.run(callback, *handle.args)
        except (SystemExit, KeyboardInterrupt, self._fatal):
            raise
        except BaseException as error:  # noqa: BLE001 - reported with the schedule
            self.trouble.append(error)

    def _forward(self, until: float) -> bool:
        timers = self._timers
        while timers and (timers[0][2].callback is None or not timers[0][2].owner.alive):
            heapq.heappop(timers)
        if not timers or timers[0][0] > until:
            self._now = until
            return False
        self._now = timers[0][0]
        while timers and timers[0][0] <= self._now:
            handle = heapq.heappop(timers)[2]
            if handle.callback is not None and handle.owner.alive:
                handle.owner.ready.append(handle)
        return True

    def _schedule(
        self,
        delay: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context,
        owner: Owner,
    ) -> Handle:
        handle = Handle(callback, args, context, owner, self._now + delay)
        if not owner.alive:
            return handle
        if delay <= 0:
            owner.ready.append(handle)
        else:
            self._count += 1
            heapq.heappush(self._timers, (handle.at, self._count, handle))
        return handle

    def close(self) -> None:
        """Let go of all tasks. Whatever they would do on their way out changes nothing any more."""
        owners = (*self._owners, *self._dead)
        for owner in owners:
            owner.kill()
        for task in [task for owner in owners for task in owner.tasks if not task.done()]:
            task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - they never end
            task.get_coro().close()
        for owner in owners:
            owner.tasks.clear()

    # What asyncio asks of a loop.

    def time(self) -> float:
        """Seconds since the schedule began."""
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """As asyncio says."""
        found = context if context is not None else contextvars.copy_context()
        owner = found.get(_OWNER, self.outside)
        handle = Handle(callback, args, found, owner, self._now)
        if owner.alive:
            owner.ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """As asyncio says."""
        found = context if context is not None else contextvars.copy_context()
        return self._schedule(delay, callback, args, found, found.get(_OWNER, self.outside))

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """As asyncio says."""
        return self.call_later(when - self._now, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """As asyncio says."""
        return asyncio.Future(loop=self)

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """There is no thread: what is to run beside the loop runs at once."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            done.set_exception(error)
        return done

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[T]:
        """As asyncio says."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        (context or contextvars.copy_context()).get(_OWNER, self.outside).tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What would be logged."""
        self.trouble.append(context.get("exception") or str(context.get("message")))

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Always, as far as anybody sees."""
        return True

    def is_closed(self) -> bool:
        """There is nothing to close."""
        return True
