"""`make demo`: start the platform, play the day, show the trace, stop. Exit 0 only if every step held."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import aiohttp

from haven_dev import project
from haven_dev.day.actor import CallFailed
from haven_dev.day.play import FAST, play
from haven_dev.process import StartFailed
from haven_dev.runner import Platform


async def demo() -> int:
    """The exit status."""
    folder = project.home() / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    state = Path(tempfile.mkdtemp(dir=folder))
    async with Platform(state, ephemeral=True, environment=FAST, say=print) as platform:
        try:
            async with aiohttp.ClientSession() as session:
                day = await play(platform, session, print)
        except (CallFailed, AssertionError) as failure:
            print(f"     did not hold: {failure}")
            kept = project.home() / "demo-logs"
            shutil.copytree(platform.state / "logs", kept, dirs_exist_ok=True)
            print(f"logs of this run: {kept}")
            return 1
        print(f"The day held. Signal to page: {day.made['signal_to_page_ms']:.0f} ms.")
        return 0


async def _until_stopped() -> int:
    playing = asyncio.create_task(demo())
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(each, playing.cancel)
    try:
        return await playing
    except asyncio.CancelledError:
        return 130
    except StartFailed as failure:
        print(failure)
        return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(_until_stopped()))
