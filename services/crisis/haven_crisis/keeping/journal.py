"""The journal: the last place to keep a call for help, a file on this replica's own disk.

Each entry is the newest state of one case, sealed, with a checksum, and is on the disk when `put` returns: many that
come at once share one fsync. The newest entry of a case counts; an empty one says that the case is in the record. A
replica takes a folder of its own below the given one, and what replicas left behind that do not run any more.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from haven_kit import logs

_MAGIC = b"HVJ1"
_HEAD = struct.Struct(">4sHII")
"""Magic, length of the key, length of the blob, CRC-32 of both."""
SEGMENT_BYTES = 4 * 1024**2
"""A file that is larger is followed by a new one with what still counts."""
_log = logs.get(__name__)


class JournalFull(Exception):
    """What is waiting takes all the room that the journal may have."""


@dataclass(slots=True)
class _Waiting:
    key: str
    blob: bytes
    done: asyncio.Future[None]


@dataclass(slots=True)
class Journal:
    """One replica's journal. `open` it first; `close` it."""

    folder: Path
    most_bytes: int
    live: dict[str, bytes] = field(default_factory=dict)
    """The newest state of each case that is not in the record yet."""
    _lock: IO[bytes] | None = None
    _file: IO[bytes] | None = None
    _number: int = 0
    _size: int = 0
    _queue: list[_Waiting] = field(default_factory=list)
    _writing: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether it took what was last written."""
        return self._file is not None

    def open(self) -> None:
        """Take a folder and read what is there, what dead replicas left included. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        left: list[tuple[Path, IO[bytes]]] = []
        for slot in sorted(each for each in self.folder.iterdir() if each.is_dir()):
            if (lock := _locked(slot)) is not None:
                self.live.update(_read(slot))
                left.append((slot, lock))
        if left:
            (mine, self._lock), *others = left
        else:
            mine, others = _new_slot(self.folder), []
            self._lock = _locked(mine)
        self.folder = mine
        self._number = max((int(each.stem) for each in mine.glob("*.journal")), default=0)
        self._roll()
        for slot, lock in others:
            for each in slot.glob("*.journal"):
                each.unlink()
            lock.close()

    async def put(self, key: str, blob: bytes) -> None:
        """Keep the newest state of a case; on the disk when this returns. Raises OSError, or JournalFull."""
        await self._write(_Waiting(key, blob, asyncio.get_running_loop().create_future()))

    async def forget(self, key: str) -> None:
        """The case is in the record. Raises OSError."""
        if key in self.live:
            await self._write(_Waiting(key, b"", asyncio.get_running_loop().create_future()))

    async def close(self) -> None:
        """Finish writing and let go of the folder."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        for each in (self._file, self._lock):
            if each is not None:
                each.close()
        self._file = self._lock = None

    async def _write(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._work_off(), name="journal")
        await waiting.done

    async def _work_off(self) -> None:
        while self._queue:
            batch, self._queue = self._queue, []
            try:
                await asyncio.to_thread(self._append, batch)
            except Exception as error:  # noqa: BLE001 - each who waits is told
                for each in batch:
                    if not each.done.done():
                        each.done.set_exception(error)
                continue
            for each in batch:
                if not each.done.done():
                    each.done.set_result(None)

    def _append(self, batch: list[_Waiting]) -> None:
        if self._file is None or self._size > SEGMENT_BYTES:
            self._roll()
        data = b"".join(_entry(each.key, each.blob) for each in batch)
        adds = any(each.blob for each in batch)
        if adds and sum(map(len, self.live.values())) + len(data) > self.most_bytes:
            raise JournalFull
        file = self._file
        if file is None:
            raise OSError("the journal is not open")
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            # Nobody knows what of it is on the disk: the next one begins a new file.
            file.close()
            self._file = None
            raise
        self._size += len(data)
        for each in batch:
            if each.blob:
                self.live[each.key] = each.blob
            else:
                self.live.pop(each.key, None)

    def _roll(self) -> None:
        """Begin a new file with what still counts; the ones before it are not needed any more."""
        number = self._number + 1
        path = self.folder / f"{number:08}.journal"
        data = b"".join(_entry(key, blob) for key, blob in self.live.items())
        file = path.open("wb")
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            _sync_folder(self.folder)
        except OSError:
            file.close()
            path.unlink(missing_ok=True)
            raise
        if self._file is not None:
            self._file.close()
        self._file, self._number, self._size = file, number, len(data)
        for each in self.folder.glob("*.journal"):
            if int(each.stem) < number:
                each.unlink()


def _entry(key: str, blob: bytes) -> bytes:
    name = key.encode()
    return _HEAD.pack(_MAGIC, len(name), len(blob), zlib.crc32(name + blob)) + name + blob


def _read(slot: Path) -> dict[str, bytes]:
    """What counts in a folder. An entry that was not wholly written, or was damaged, is skipped and told."""
    found: dict[str, bytes] = {}
    for path in sorted(slot.glob("*.journal")):
        data = path.read_bytes()
        at = 0
        while (at := data.find(_MAGIC, at)) >= 0:
            entry = _entry_at(data, at)
            if entry is None:
                _log.warning("journal.damaged_entry", file=path.name, offset=at)
                at += 1
                continue
            key, blob, at = entry
            if blob:
                found[key] = blob
            else:
                found.pop(key, None)
    return found


def _entry_at(data: bytes, at: int) -> tuple[str, bytes, int] | None:
    if at + _HEAD.size > len(data):
        return None
    _, key_length, blob_length, checksum = _HEAD.unpack_from(data, at)
    begins, ends = at + _HEAD.size, at + _HEAD.size + key_length + blob_length
    if ends > len(data) or zlib.crc32(data[begins:ends]) != checksum:
        return None
    return data[begins : begins + key_length].decode(), data[begins + key_length : ends], ends


def _new_slot(folder: Path) -> Path:
    number = 0
    while True:
        slot = folder / f"{number:03}"
        try:
            slot.mkdir()
        except FileExistsError:
            number += 1
            continue
        _sync_folder(folder)
        return slot


def _locked(slot: Path) -> IO[bytes] | None:
    """The lock on a folder; None where a replica that runs has it."""
    lock = (slot / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
