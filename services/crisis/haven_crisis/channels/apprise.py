"""Every other service that the Apprise library reaches. An extra: `pip install haven-crisis[apprise]`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from haven.crisis.v1.page_pb2 import PageText

from haven_crisis.channels.adapter import code_text
from haven_crisis.channels.outcome import ACCEPTED, REFUSED, Outcome, failed
from haven_crisis.directory import Channel

T = TypeVar("T")
THREADS = 32
OF_THIS_MACHINE = frozenset({"dbus", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows", "blink1"})
"""Schemas that tell whoever sits at the server, which is nobody."""


class Apprise:
    """Pages by Apprise, which blocks: in threads of its own, so that one that hangs holds back no other channel."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout = timeout_s
        self._threads: ThreadPoolExecutor | None = None
        self._prepared = False

    async def prepare(self) -> None:
        """Import the library before the first page needs it: that takes a second, and most need it never."""
        if not self._prepared:
            self._prepared = True
            await self._run(_load)

    async def page(self, channel: Channel, page: PageText) -> Outcome:
        """Notify."""
        return await self._notify(channel, page.title, f"Open {page.link}")

    async def code(self, channel: Channel, code: str) -> Outcome:
        """Notify of the code."""
        return await self._notify(channel, "Haven: your code", code_text(code))

    def close(self) -> None:
        """Let go of the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _notify(self, channel: Channel, title: str, body: str) -> Outcome:
        if channel.provider in OF_THIS_MACHINE:
            return failed("reaches nobody")
        return await self._run(partial(_send, channel.secret, title, body, self._timeout))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="apprise")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _load() -> None:
    with suppress(ImportError):
        import apprise

        apprise.Apprise.instantiate("json://localhost")


def _send(url: str, title: str, body: str, timeout_s: float) -> Outcome:
    try:
        import apprise
    except ImportError:
        return failed("not set up")
    service = apprise.Apprise.instantiate(url)
    if service is None:
        return failed("no such service")
    # The library would wait between two messages, and longer than a page may take.
    service.request_rate_per_sec = 0
    service.socket_connect_timeout = service.socket_read_timeout = timeout_s
    return ACCEPTED if service.notify(body=body, title=title) else REFUSED
