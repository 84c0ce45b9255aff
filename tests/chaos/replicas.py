"""Replicas of crisis that are started and killed in a moment: see `warm`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import psutil

from haven_dev.runner import Platform
from haven_kit.testing import eventually


class Warm:
    """Replicas of crisis that start in a moment."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._pids: dict[int, int] = {}
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
        self._mother.stdin.write(json.dumps(wanted) + "\n")
        self._mother.stdin.flush()
        self._pids[replica] = int(await asyncio.to_thread(self._mother.stdout.readline))
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
        os.kill(self._pids[replica], signal.SIGKILL)

    def runs(self, replica: int) -> bool:
        """Whether a replica has not ended."""
        return psutil.pid_exists(self._pids[replica])

    async def close(self) -> None:
        """End all of it."""
        os.killpg(self._mother.pid, signal.SIGKILL)
        await asyncio.to_thread(self._mother.wait)
        await self._http.close()
