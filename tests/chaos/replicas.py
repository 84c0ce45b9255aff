"""Replicas of crisis that are started and killed in a moment: see `warm`."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp

from haven_dev.runner import Platform
from haven_kit.testing import eventually


class Warm:
    """Replicas of crisis that start in a moment."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        # Handles, not numbers: a number is soon another process's where many come and go.
        self._handles: dict[int, int] = {}
        self._asking = asyncio.Lock()
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2))
        self._mother = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        assert self._mother.stdout is not None
        assert self._mother.stdout.readline() == "warm\n"

    async def start(self, replica: int, *, dies_before_ack: bool = False) -> None:
        """Start a replica and wait until it takes calls."""
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HAVEN_")}
        wanted = {
            "environment": inherited | self._platform.environment("crisis", replica=replica),
            "folder": str(self._platform.state),
            "log": str(self._platform.log("crisis", replica=replica)),
            "dies_before_ack": dies_before_ack,
        }
        # One after the other: a thread that reads two answers at once leaves the other to wait for ever.
        async with self._asking:
            self._mother.stdin.write(json.dumps(wanted) + "\n")
            self._mother.stdin.flush()
            number = int(await asyncio.to_thread(self._mother.stdout.readline))
        self._let_go(replica)
        self._handles[replica] = os.pidfd_open(number)
        url = f"{self._platform.http_url('crisis', replica=replica)}/readyz"

        async def ready() -> bool:
            try:
                async with self._http.get(url) as answer:
                    return answer.status == 200
            except (aiohttp.ClientError, TimeoutError):
                return False

        await eventually(ready, timeout=60)

    def kill(self, replica: int) -> None:
        """End a replica as a crash would."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handles[replica], signal.SIGKILL)

    def runs(self, replica: int) -> bool:
        """Whether a replica has not ended."""
        ended, _, _ = select.select([self._handles[replica]], [], [], 0)
        return not ended

    async def close(self) -> None:
        """End all of it."""
        os.killpg(self._mother.pid, signal.SIGKILL)
        await asyncio.to_thread(self._mother.wait)
        for replica in tuple(self._handles):
            self._let_go(replica)
        await self._http.close()

    def _let_go(self, replica: int) -> None:
        if replica in self._handles:
            os.close(self._handles.pop(replica))
