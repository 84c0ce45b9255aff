"""A program that we started: it is waited for by asking, ends with us, and is found again if it did not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import psutil

from haven_dev import launch

PROBE_S = 0.02


class StartFailed(Exception):
    """A program ended, or did not become ready in time. The message holds the end of its log."""


class Child:
    """One program with its log and its pid file in `state`. Start it from the main thread.

    On Linux the kernel signals the child when the thread that started it ends.
    """

    def __init__(self, name: str, state: Path, *, death_signal: signal.Signals = signal.SIGKILL) -> None:
        self.name = name
        self.log = state / "logs" / f"{name}.log"
        self._pid_file = state / f"{name}.pid"
        self._death_signal = death_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    def spawn(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        user: tuple[int, int] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start it, as `user` (uid, gid) when given. What an earlier run left behind is ended first."""
        if self.running:
            raise StartFailed(f"{self.name} runs already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        end_leftover(self._pid_file)
        uid, gid = user or (-1, -1)
        launcher = [
            sys.executable,
            "-I",
            "-S",
            launch.__file__,
            str(os.getpid()),
            str(int(self._death_signal)),
            str(uid),
            str(gid),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*launcher, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environment) if environment is not None else None,
                cwd=folder,
                start_new_session=True,
            )
        _write_pid(self._pid_file, self._process.pid)

    async def ready(self, probe: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
        """Ask `probe` until it says yes. Raises StartFailed when the program ends first or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not await probe():
            if not self.running:
                raise StartFailed(f"{self.name} ended at once (status {self.status}):\n{self.tail()}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.name} was not ready within {timeout_s:.0f} s:\n{self.tail()}")
            await asyncio.sleep(PROBE_S)

    @property
    def status(self) -> int | None:
        """The exit status after it ended."""
        return self._process.poll() if self._process is not None else None

    async def stop(self, with_signal: signal.Signals = signal.SIGTERM, *, grace_s: float = 30) -> None:
        """Ask it to end, and after `grace_s` end it. Does nothing when it does not run."""
        if self.running and self._process is not None:
            self._process.send_signal(with_signal)
            deadline = time.monotonic() + grace_s
            while self._process.poll() is None and time.monotonic() < deadline:
                await asyncio.sleep(PROBE_S)
        self.kill()

    def kill(self) -> None:
        """End it and all it started, at once (SIGKILL)."""
        if self._process is None:
            return
        if self.running:
            _kill_group(self._process.pid)
        self._process.wait()
        self._process = None
        self._pid_file.unlink(missing_ok=True)

    def tail(self, lines: int = 20) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def end_leftover(pid_file: Path) -> bool:
    """End the process that a pid file names, if it is still the same process. Says whether there was one."""
    try:
        noted = json.loads(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return False
    pid_file.unlink(missing_ok=True)
    try:
        same: bool = psutil.Process(noted["pid"]).create_time() == noted["began"]
    except psutil.NoSuchProcess:
        return False
    if same:
        _kill_group(noted["pid"])
        psutil.wait_procs([psutil.Process(noted["pid"])] if psutil.pid_exists(noted["pid"]) else [], timeout=10)
    return same


def _write_pid(path: Path, pid: int) -> None:
    path.write_text(json.dumps({"pid": pid, "began": psutil.Process(pid).create_time()}))


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
