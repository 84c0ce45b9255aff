"""The journal: what it took is there after a crash, whatever else is damaged; and it stays within its bounds."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from haven_crisis.keeping import journal as module
from haven_crisis.keeping.journal import Journal, JournalFull

MOST = 1024**2


def opened(folder: Path, most: int = MOST) -> Journal:
    journal = Journal(folder, most)
    journal.open()
    return journal


async def test_what_was_put_is_there_after_a_restart_and_what_is_forgotten_is_not(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    await journal.put("one", b"first")
    await journal.put("two", b"second")
    await journal.put("one", b"newer")
    await journal.forget("two")
    await journal.close()
    again = opened(tmp_path)
    assert again.live == {"one": b"newer"}
    await again.close()


async def test_many_at_once_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(tmp_path)
    synced = 0
    real = os.fsync

    def counted(handle: int) -> None:
        nonlocal synced
        synced += 1
        real(handle)

    monkeypatch.setattr("os.fsync", counted)
    await asyncio.gather(*(journal.put(f"case-{number}", b"x" * 500) for number in range(200)))
    assert len(journal.live) == 200
    assert synced < 20
    await journal.close()
    assert len(opened(tmp_path).live) == 200


@pytest.mark.parametrize("cut", [1, 7, 13, 20])
async def test_an_entry_that_was_not_wholly_written_costs_no_other(tmp_path: Path, cut: int) -> None:
    journal = opened(tmp_path)
    await journal.put("whole", b"kept")
    await journal.put("torn", b"a power failure came amid this")
    await journal.close()
    file = next(journal.folder.glob("*.journal"))
    file.write_bytes(file.read_bytes()[:-cut])
    again = opened(tmp_path)
    assert again.live == {"whole": b"kept"}
    await again.put("after", b"goes on")
    await again.close()
    assert opened(tmp_path).live == {"whole": b"kept", "after": b"goes on"}


async def test_a_damaged_entry_costs_no_other(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for name in ("before", "damaged", "behind"):
        await journal.put(name, name.encode() * 10)
    await journal.close()
    file = next(journal.folder.glob("*.journal"))
    data = bytearray(file.read_bytes())
    data[data.index(b"damageddamaged") + 3] ^= 0xFF
    file.write_bytes(data)
    assert set(opened(tmp_path).live) == {"before", "behind"}


async def test_it_is_bounded_and_takes_again_once_there_is_room(tmp_path: Path) -> None:
    journal = opened(tmp_path, 10_000)
    taken = 0
    with pytest.raises(JournalFull):
        while True:
            await journal.put(f"case-{taken}", b"x" * 1000)
            taken += 1
    assert 5 <= taken <= 10
    await journal.forget("case-0")
    await journal.put("another", b"x" * 900)
    await journal.close()
    assert len(opened(tmp_path, 10_000).live) == taken


async def test_old_files_go_when_nothing_in_them_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 5_000)
    journal = opened(tmp_path)
    for number in range(200):
        await journal.put(f"case-{number}", b"x" * 200)
        if number != 77:
            await journal.forget(f"case-{number}")
    assert sum(each.stat().st_size for each in journal.folder.glob("*.journal")) < 6_000
    await journal.close()
    assert opened(tmp_path).live == {"case-77": b"x" * 200}


async def test_replicas_that_share_a_folder_keep_apart_and_inherit_from_the_dead(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    assert one.folder != two.folder
    await one.put("of-one", b"1")
    await two.put("of-two", b"2")
    await two.close()
    three = opened(tmp_path)
    assert three.live == {"of-two": b"2"}
    assert one.folder != three.folder
    await one.close()
    await three.close()
    four = opened(tmp_path)
    assert four.live == {"of-one": b"1", "of-two": b"2"}
    await four.close()


async def test_a_disk_that_refuses_is_told_to_everyone_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        outcomes = await asyncio.gather(*(journal.put(f"{n}", b"x") for n in range(5)), return_exceptions=True)
    assert all(isinstance(each, OSError) for each in outcomes)
    await journal.put("later", b"y")
    await journal.close()
    assert opened(tmp_path).live["later"] == b"y"


def _write_until_killed(folder: str, told: Any) -> None:
    async def write() -> None:
        journal = opened(Path(folder))
        number = 0
        while True:
            await asyncio.gather(*(journal.put(f"case-{number + n}", os.urandom(300)) for n in range(7)))
            number += 7
            told.send(number)

    asyncio.run(write())


@pytest.mark.parametrize("after", [1, 5, 20])
def test_nothing_that_was_acknowledged_is_lost_by_a_kill(tmp_path: Path, after: int) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_write_until_killed, args=(str(tmp_path), theirs))
    process.start()
    acknowledged = 0
    for _ in range(after):
        assert ours.poll(30)
        acknowledged = ours.recv()
    process.kill()
    process.join()
    while ours.poll(0):
        try:
            acknowledged = ours.recv()
        except EOFError:
            break
    assert {f"case-{n}" for n in range(acknowledged)} <= set(opened(tmp_path).live)
