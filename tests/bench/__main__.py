"""`make bench`: what the platform costs beside the bare path, as ratios measured in one run.

`python tests/bench [--repeats 5] [--seconds 3]`. Each measurement alternates between the two sides, and each ratio is
of medians over the repeats: on a shared machine only ratios mean something. docs/operate/performance.md says what is
measured and what was reached.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import around
import uvloop
from load import closed, open_loop, percentile
from sides import Side, World

from haven_dev import project

AT_ONCE = (1, 32)
SIGNAL_RATES = (1, 50, 200)
KEPT_RATE = 50
BUSY_AT_ONCE = 8
"""Callers that keep each of intake and billing busy."""
EVENT_RATE = 50
WARM_S = 1.0
PATIENCE_S = 20.0

SHOWN = ("per_s", "durable_p50_ms", "durable_p99_ms", "p50_ms", "p99_ms", "cpu_ms")

Numbers = dict[str, float]
Measure = Callable[[Side, int], Awaitable[Numbers]]
Around = Callable[[World, Side], contextlib.AbstractAsyncContextManager[None]]


def say(text: str) -> None:
    """Show progress."""
    sys.stderr.write(f"bench: {text}\n")


def _spread(values: list[float]) -> Numbers:
    return {"p50_ms": percentile(values, 0.5), "p99_ms": percentile(values, 0.99), "count": len(values)}


def _used(side: Side, before: Numbers, count: int) -> Numbers:
    """Processor time of all that works for the side, for each of `count` commands."""
    used = {f"cpu_ms_{name}": (ms - before[name]) / count for name, ms in side.cpu().items()}
    return {"cpu_ms": sum(used.values())} | used


class Bench:
    """The measurements."""

    def __init__(self, world: World, repeats: int, seconds: float) -> None:
        self._world = world
        self._repeats = repeats
        self._seconds = seconds

    async def all(self, only: str = "") -> dict[str, Any]:
        """Everything whose name contains `only`, by name."""
        found: dict[str, Any] = {}
        for name, measure in ((name, measure) for name, measure in self._measures() if only in name):
            for side in self._world.sides:
                await self._warm(side)
            found[name] = await self._alternating(name, measure)
        return found

    def _measures(self) -> list[tuple[str, Measure]]:
        measures = [(f"check-in, {at_once} at once", self._command(at_once, Side.check_in)) for at_once in AT_ONCE]
        measures.append((f"consent, {AT_ONCE[-1]} at once", self._command(AT_ONCE[-1], Side.consent)))
        measures += [(f"signal to page, {rate}/s", self._signals(rate)) for rate in SIGNAL_RATES]
        most = SIGNAL_RATES[-1]
        measures.append((f"signal to page, {most}/s, two replicas", self._among(around.two_replicas, most)))
        measures.append((f"signal to page, {most}/s, others busy", self._while_busy(most)))
        measures.append((f"commit to consumed, {EVENT_RATE}/s", self._events))
        # Last: PostgreSQL is another process afterwards.
        for name, away in (("NATS", around.without_database), ("disk", around.without_both)):
            measures.append((f"signal kept by {name}, {KEPT_RATE}/s", self._among(away, KEPT_RATE, cpu=False)))
        return measures

    async def _alternating(self, name: str, measure: Measure) -> dict[str, Any]:
        runs: dict[str, list[Numbers]] = {side.name: [] for side in self._world.sides}
        for repeat in range(self._repeats):
            say(f"{name}: repeat {repeat + 1} of {self._repeats}")
            sides = self._world.sides if repeat % 2 == 0 else self._world.sides[::-1]
            for side in sides:
                runs[side.name].append(await measure(side, repeat))
        middle = {
            side: {key: statistics.median(run[key] for run in each) for key in each[0]} for side, each in runs.items()
        }
        ratio = {key: middle["haven"][key] / middle["bare"][key] for key in SHOWN if key in middle["bare"]}
        return {"ratio": ratio, **middle, "runs": runs}

    async def _warm(self, side: Side) -> None:
        async def one() -> None:
            await asyncio.gather(side.check_in(), side.consent(), side.signal())

        await closed(one, at_once=4, seconds=WARM_S)
        await asyncio.sleep(0.2)
        await self._world.taken()

    def _command(self, at_once: int, command: Callable[[Side], Awaitable[None]]) -> Measure:
        async def measure(side: Side, _: int) -> Numbers:
            before = side.cpu()
            rate, took = await closed(lambda: command(side), at_once=at_once, seconds=self._seconds)
            return {"per_s": rate} | _spread(took) | _used(side, before, len(took))

        return measure

    def _signals(self, rate: float, *, cpu: bool = True) -> Measure:
        async def measure(side: Side, repeat: int) -> Numbers:
            sent: dict[str, float] = {}
            answered: list[float] = []
            before = side.cpu() if cpu else {}

            async def send() -> None:
                at = time.perf_counter()
                alert = await side.signal()
                answered.append((time.perf_counter() - at) * 1000)
                sent[alert] = at

            await open_loop(send, rate=rate, seconds=self._seconds, seed=repeat)
            taken: dict[str, float] = {}
            async with asyncio.timeout(PATIENCE_S):
                while not sent.keys() <= taken.keys():
                    taken |= await self._world.taken()
            durable = {f"durable_{key}": value for key, value in _spread(answered).items()}
            paged = _spread([(taken[alert] - at) * 1000 for alert, at in sent.items()])
            return durable | paged | (_used(side, before, len(sent)) if cpu else {})

        return measure

    def _among(
        self,
        made: Callable[[World, Side], contextlib.AbstractAsyncContextManager[None]],
        rate: float,
        *,
        cpu: bool = True,
    ) -> Measure:
        """Signals amid what is made of the platform; the bare path as ever."""
        signals = self._signals(rate, cpu=cpu)

        async def measure(side: Side, repeat: int) -> Numbers:
            async with made(self._world, side):
                return await signals(side, repeat)

        return measure

    def _while_busy(self, rate: float) -> Measure:
        """Signals while callers keep two other services as busy as they can be."""
        signals = self._signals(rate)

        async def measure(side: Side, repeat: int) -> Numbers:
            busy = [
                asyncio.ensure_future(closed(work, at_once=BUSY_AT_ONCE, seconds=self._seconds))
                for work in (side.check_in, side.bill)
            ]
            found = await signals(side, repeat)
            await asyncio.gather(*busy)
            return found

        return measure

    async def _events(self, side: Side, repeat: int) -> Numbers:
        since, before = datetime.now(UTC), side.cpu()
        await open_loop(side.consent, rate=EVENT_RATE, seconds=self._seconds, seed=repeat)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(KeyError):  # one is still on its way
                    lags = await side.commits(since)
                    return _spread(lags) | _used(side, before, len(lags))
                await asyncio.sleep(0.05)


AIMS = {
    "check-in, 32 at once": {"per_s": (0.75, 1)},
    "signal to page, 50/s": {"p50_ms": (1.5, -1), "p99_ms": (2.5, -1)},
    "signal to page, 200/s": {"p99_ms": (3.0, -1)},
    f"commit to consumed, {EVENT_RATE}/s": {"p99_ms": (3.0, -1)},
}
"""By measurement and number: the ratio to reach, and whether it is to be at least (1) or at most (-1) that."""


def table(found: dict[str, Any]) -> str:
    """The result as text."""
    lines = [f"{'':<28} {'':>7} {'bare':>9} {'haven':>9} {'ratio':>7}   aim"]
    for name, each in found.items():
        for number, (key, ratio) in enumerate(each["ratio"].items()):
            unit = key.replace("_ms", ", ms").replace("per_s", "/s")
            numbers = f"{each['bare'][key]:>9.1f} {each['haven'][key]:>9.1f} {ratio:>7.2f}"
            lines.append(f"{'' if number else name:<28} {unit:>7} {numbers}   {_aim(name, key, ratio)}".rstrip())
    return "\n".join(lines)


def _aim(name: str, key: str, ratio: float) -> str:
    if key not in AIMS.get(name, {}):
        return ""
    aim, sense = AIMS[name][key]
    return f"{'≥' if sense > 0 else '≤'} {aim:<4} {'reached' if ratio * sense >= aim * sense else 'not reached'}"


async def bench(repeats: int, seconds: float, only: str) -> None:
    """Run everything, print the table, keep the numbers."""
    began = time.monotonic()
    async with World(say) as world:
        found = await Bench(world, repeats, seconds).all(only)
    path = project.home() / "bench.json"
    path.write_text(json.dumps({"repeats": repeats, "seconds": seconds, "found": found}, indent=2))
    sys.stdout.write(f"{table(found)}\n")
    say(f"took {time.monotonic() - began:.0f} s; every number is in {path.relative_to(project.root())}")


async def _until_stopped(repeats: int, seconds: float, only: str) -> int:
    running = asyncio.create_task(bench(repeats, seconds, only))
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(each, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        return 130
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="", help="measurements whose name contains this")
    given = parser.parse_args()
    sys.exit(uvloop.run(_until_stopped(given.repeats, given.seconds, given.only)))
