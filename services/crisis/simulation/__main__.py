"""`python -m simulation`: many schedules on all cores, or one of them again with all that happened in it."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator

from simulation.schedule import Result, run

CHUNK = 250


def chunk(first: int) -> list[Result]:
    """The schedules of one chunk that broke a promise."""
    found = (run(seed) for seed in range(first, first + CHUNK))
    return [each for each in found if each.broken]


def main() -> int:
    """The number of broken promises, at most 1, for the shell."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200_000, help="how many (200,000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seed", type=int, help="only this one, with its trace")
    given = parser.parse_args()
    return again(given.seed) if given.seed is not None else many(given.first, given.schedules)


def again(seed: int) -> int:
    """One schedule with its trace."""
    result = run(seed, traced=True)
    print("\n".join(result.trace))
    print(f"seed {seed}: {result.broken or 'every promise was kept'}")
    return int(bool(result.broken))


def many(first: int, count: int) -> int:
    """Schedules on all cores; each that breaks a promise is named as it is found."""
    began = time.monotonic()
    starts = range(first, first + count, CHUNK)
    broken = done = 0
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for results in pool.imap_unordered(chunk, starts):
            done += CHUNK
            for each in results:
                broken += 1
                print(f"\nseed {each.seed}: {each.broken}\n  replay: make simulate SEED={each.seed}")
            for line in _progress(done, len(starts) * CHUNK, time.monotonic() - began):
                print(line, end="", flush=True)
    print(f"\n{done:,} schedules, {broken} broke a promise, {time.monotonic() - began:,.0f} s")
    return int(bool(broken))


def _progress(done: int, of: int, took: float) -> Iterator[str]:
    if sys.stdout.isatty():
        yield f"\r{done:,} of {of:,} schedules, {done / took:,.0f}/s "
    elif done % (20 * CHUNK) == 0:
        yield f"{done:,} of {of:,} schedules, {done / took:,.0f}/s\n"


if __name__ == "__main__":
    sys.exit(main())
