"""Wakes those who watch a room when something happened in it, on whichever replica."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from haven_kit.errors import Overloaded
from haven_kit.wake import Wake
from haven_sessions.store.rooms import bell

_COME_BACK_SECONDS = 5.0
SWEEP_SECONDS = 2.0
"""A watcher looks at least so often: a lost notification costs this wait, never an event."""


class Bells:
    """One listener for each watched room, shared by all who watch it here."""

    def __init__(self, wake: Wake, most: int) -> None:
        self._wake = wake
        self._most = most
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._listeners: dict[str, asyncio.Task[None]] = {}

    @contextmanager
    def watching(self, session_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when there may be something new. Clear it before looking.

        Raises Overloaded while as many watch as may: streams must not take the place of a call for help.
        """
        if sum(len(each) for each in self._watchers.values()) >= self._most:
            raise Overloaded(_COME_BACK_SECONDS)
        mine = asyncio.Event()
        watchers = self._watchers.setdefault(session_id, set())
        watchers.add(mine)
        if session_id not in self._listeners:
            self._listeners[session_id] = asyncio.create_task(self._listen(session_id, watchers), name="room-bell")
        try:
            yield mine
        finally:
            watchers.discard(mine)
            if not watchers:
                self._listeners.pop(session_id).cancel()
                del self._watchers[session_id]

    async def _listen(self, session_id: str, watchers: set[asyncio.Event]) -> None:
        while True:
            await self._wake.wait(bell(session_id), SWEEP_SECONDS)
            for each in watchers:
                each.set()
