"""The clock that a test turns wakes sleepers as a real one would, in order and on time."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haven_kit.clock import Clock, FakeClock, Pace, SystemClock, TurnedClock

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.integers(0, 1100))
def test_advance_wakes_exactly_those_whose_time_came_the_earliest_first(naps: list[int], turn: int) -> None:
    async def story() -> list[int]:
        clock = FakeClock(START)
        woken: list[int] = []

        async def sleeper(index: int) -> None:
            await clock.sleep(naps[index])
            woken.append(index)

        tasks = [asyncio.create_task(sleeper(index)) for index in range(len(naps))]
        await asyncio.sleep(0)
        clock.advance(seconds(turn))
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        return woken

    due = sorted((nap, index) for index, nap in enumerate(naps) if nap <= turn)
    with closing(asyncio.new_event_loop()) as loop:  # asyncio.run would leave the thread without the tests' own loop
        assert loop.run_until_complete(story()) == [index for _, index in due]


async def test_run_wakes_a_loop_at_each_of_its_times() -> None:
    clock = FakeClock(START)
    seen: list[float] = []

    async def loop() -> None:
        while True:
            await clock.sleep(10)
            seen.append(clock.monotonic())

    task = asyncio.create_task(loop())
    await clock.run(seconds(35))
    task.cancel()
    assert seen == [10, 20, 30]
    assert clock.now() == START + seconds(35)


async def test_a_cancelled_sleeper_does_not_hold_up_the_others() -> None:
    clock = FakeClock(START)
    first = asyncio.create_task(clock.sleep(1))
    second = asyncio.create_task(clock.sleep(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    clock.advance(seconds(2))
    await asyncio.wait_for(second, 1)
    assert first.cancelled()


async def test_sleeping_for_nothing_returns() -> None:
    await asyncio.wait_for(FakeClock(START).sleep(0), 1)


def test_time_stands_still_until_turned_and_never_goes_back() -> None:
    clock = FakeClock(START)
    assert clock.now() == clock.now() == START
    with pytest.raises(ValueError, match="back"):
        clock.advance(seconds(-1))


def test_start_is_kept_in_utc_and_must_be_aware() -> None:
    assert FakeClock(START.astimezone(timezone(timedelta(hours=-5)))).now().utcoffset() == timedelta(0)
    with pytest.raises(ValueError, match="aware"):
        FakeClock(START.replace(tzinfo=None))


async def test_system_clock_is_aware_and_sleeps() -> None:
    clock: Clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.009
    assert clock.now().utcoffset() == timedelta(0)


def test_a_turned_clock_goes_by_its_file_from_the_next_look_on(tmp_path: Path) -> None:
    turned = tmp_path / "clock"
    turned.write_text("0")
    clock = TurnedClock(turned)
    for hours in (0, 3, 5):
        moved = tmp_path / "moved"
        moved.write_text(str(hours * 3600))
        moved.replace(turned)
        ahead = clock.now() - SystemClock().now()
        assert abs(ahead - timedelta(hours=hours)) < timedelta(seconds=5)


async def test_turns_are_kept_apart_and_who_comes_late_waits_for_nothing() -> None:
    clock = FakeClock(START)
    pace = Pace(0.25, clock)
    turns = 0

    async def take(count: int) -> None:
        nonlocal turns
        for _ in range(count):
            await pace.turn()
            turns += 1

    taking = asyncio.ensure_future(take(3))
    await clock.run(seconds(0.2))
    assert turns == 1
    await clock.run(seconds(0.1))
    assert turns == 2
    await clock.run(seconds(0.25))
    assert (turns, taking.done()) == (3, True)
    clock.advance(seconds(1))
    await take(1)
    assert turns == 4
