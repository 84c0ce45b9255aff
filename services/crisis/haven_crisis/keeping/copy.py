"""Who is on call, kept sealed on disk: a replica that starts while the database is away still knows whom to page."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from haven_crisis.directory import Directory
from haven_kit import logs
from haven_kit.cipher import CannotOpen, Cipher
from haven_kit.clock import Clock

_CONTEXT = "on-call copy"
_log = logs.get(__name__)


class OnCallCopy:
    """The file of one replica, or of several that share a folder."""

    def __init__(self, folder: Path, cipher: Cipher, directory: Directory, clock: Clock) -> None:
        self._path = folder / "on-call.sealed"
        self._cipher = cipher
        self._directory = directory
        self._clock = clock
        self._written = 0

    def restore(self) -> None:
        """Take the plan from the file, where there is one that can be read."""
        try:
            kept = self._cipher.open_bytes(self._path.read_bytes(), _CONTEXT)
            self._directory.restore(kept, self._clock.now())
        except FileNotFoundError:
            return
        except (OSError, CannotOpen, ValueError) as error:
            _log.error("on_call.copy_unreadable", error=type(error).__name__)
            return
        self._written = self._directory.version
        _log.info("on_call.restored", version=self._directory.version)

    async def keep(self) -> None:
        """Write the plan, if it is another one than was last written."""
        version = self._directory.version
        if version in (0, self._written):
            return
        sealed = self._cipher.seal_bytes(self._directory.snapshot(), _CONTEXT)
        try:
            await asyncio.to_thread(self._write, sealed)
        except OSError as error:
            _log.error("on_call.copy_not_written", error=type(error).__name__)
            return
        self._written = version

    def _write(self, sealed: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(f".{os.getpid()}")
        with fresh.open("wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
