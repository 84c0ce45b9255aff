"""`python -m simulation`: many schedules on all cores, or one of them again with all that happened in it."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import signal
import sys
import time

from simulation.schedule import Result, run

CHUNK = 100
TOLD_EVERY_S = 30.0
"""How often progress is told where no terminal shows it."""
INTERRUPTED = 130
"""What a shell calls a process that Ctrl-C ended."""


def main() -> int:
    """For the shell: 1 where a promise was broken, 130 where it was stopped before it was done, else 0."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--schedules", type=_some, default=200_000, help="how many (200,000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seed", type=int, help="only this one, with its trace")
    given = parser.parse_args()
    return again(given.seed) if given.seed is not None else many(given.first, given.schedules)


def _some(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one schedule")
    return number


def again(seed: int) -> int:
    """One schedule with its trace."""
    result = run(seed, traced=True)
    print("\n".join(result.trace))
    print(f"seed {seed}: {result.broken or 'every promise was kept'}")
    return int(bool(result.broken))


def many(first: int, count: int) -> int:
    """Schedules on all cores. Each that breaks a promise is named as it is found, and all of them at the end."""
    ends = first + count
    chunks = [range(start, min(start + CHUNK, ends)) for start in range(first, ends, CHUNK)]
    progress = Progress(count)
    stopped = False
    # Who ends it in another way than by Ctrl-C shall not leave the pool behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), _begin) as pool:
        try:
            for done, broken in pool.imap_unordered(_chunk, chunks):
                progress.went_on(done, broken)
        except KeyboardInterrupt:
            stopped = True
    progress.end(stopped=stopped)
    return INTERRUPTED if stopped else int(bool(progress.broken))


def _begin() -> None:
    """A process of the pool. Nothing that is there by now is garbage, and a schedule leaves little."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def _chunk(seeds: range) -> tuple[int, list[Result]]:
    """How many schedules were run, and those that broke a promise."""
    return len(seeds), [each for each in map(run, seeds) if each.broken]


class Progress:
    """Says how far it is, which promises were broken, and when it will be done."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._done = 0
        self._began = self._told = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self.broken: list[int] = []

    def went_on(self, done: int, broken: list[Result]) -> None:
        """So many more are done, and these broke a promise."""
        self._done += done
        for each in broken:
            self.broken.append(each.seed)
            self._say(f"seed {each.seed}: {each.broken}\n  replay: make simulate SEED={each.seed}")
        now = time.monotonic()
        if self._terminal or now - self._told >= TOLD_EVERY_S:
            self._told = now
            self._say(self._how_far(now - self._began), stays=not self._terminal)

    def _how_far(self, took: float) -> str:
        left = took / self._done * (self._count - self._done)
        return (
            f"{self._done:,} of {self._count:,} schedules, {len(self.broken)} broke a promise, "
            f"{self._done / took:,.0f} a second, about {left // 60:.0f} min {left % 60:.0f} s left"
        )

    def _say(self, text: str, *, stays: bool = True) -> None:
        clear = "\r\x1b[K" if self._terminal else ""
        print(f"{clear}{text}", end="\n" if stays else "", flush=True)

    def end(self, *, stopped: bool) -> None:
        """How it went, and every seed that broke a promise."""
        how = f"stopped after {self._done:,} of {self._count:,}" if stopped else f"{self._done:,}"
        took = time.monotonic() - self._began
        self._say(f"{how} schedules, {len(self.broken) or 'none'} broke a promise, {took:,.0f} s")
        if self.broken:
            self._say("replay: " + " ".join(f"make simulate SEED={each}" for each in sorted(self.broken)[:20]))
            if len(self.broken) > 20:
                self._say(f"and {len(self.broken) - 20} more, named above")


if __name__ == "__main__":
    sys.exit(main())
