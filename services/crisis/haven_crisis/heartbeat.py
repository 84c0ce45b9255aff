"""The dead-man's switch: a sign of life to somebody outside, for as long as help would really be called.

Whoever receives it raises the alarm when it stops. It is sent only while the loops of this replica turn, each of which
needs the database: a process that runs and helps nobody is silent.
"""

from __future__ import annotations

import aiohttp

from haven_crisis import metrics
from haven_crisis.findings import Board, Finding
from haven_crisis.settings import CrisisSettings
from haven_crisis.turning import Turning
from haven_kit import logs
from haven_kit.service import Parts

TIMEOUT_S = 5
_log = logs.get(__name__)


class Heartbeat:
    """Beats, and finds loops that are stuck. Close it."""

    def __init__(self, parts: Parts[CrisisSettings], turning: Turning, board: Board) -> None:
        self._url = parts.settings.crisis_heartbeat_url
        self._turning = turning
        self._board = board
        self._http: aiohttp.ClientSession | None = None

    async def beat(self) -> bool:
        """One beat, unless a loop is stuck. Never more to do at once."""
        stuck = self._turning.late()
        self._board.put(Finding.STUCK_LOOPS, len(stuck))
        for each in stuck:
            _log.error("loop.stuck", worker=each)
        if self._url is not None and not stuck:
            metrics.HEARTBEATS.labels("sent" if await self._sent(self._url) else "failed").inc()
        return False

    async def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            await self._http.close()

    async def _sent(self, url: str) -> bool:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        try:
            async with self._http.post(url, allow_redirects=False) as answer:
                taken = 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("heartbeat.not_sent", error=type(error).__name__)
            return False
        if not taken:
            _log.warning("heartbeat.not_taken", status=answer.status)
        return taken
