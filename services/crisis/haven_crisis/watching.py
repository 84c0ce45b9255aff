"""Everything that watches the service from inside, and the sign of life to the outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from haven_crisis import auditor, drills, gauges, late, reviewer, telling, timelines
from haven_crisis.auditor import Auditor
from haven_crisis.channels import Channels
from haven_crisis.directory import Directory
from haven_crisis.drills import Drills
from haven_crisis.findings import Board
from haven_crisis.gauges import Gauges
from haven_crisis.heartbeat import Heartbeat
from haven_crisis.late import LateReviews
from haven_crisis.pager import Pager
from haven_crisis.reviewer import Reviewer
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.break_glass import UNTOLD
from haven_crisis.telling import Telling
from haven_crisis.timelines import Timelines
from haven_crisis.turning import Turning
from haven_kit.service import Parts
from haven_kit.workers import Worker


class Watching:
    """The watchers of one replica. Close it."""

    def __init__(self, parts: Parts[CrisisSettings], directory: Directory, pager: Pager, channels: Channels) -> None:
        board = Board()
        self._every = timedelta(seconds=parts.settings.crisis_heartbeat_seconds)
        self._turning = Turning()
        self._auditor = Auditor(parts, directory, pager, board=board)
        self._timelines = Timelines(parts, board)
        self._reviews = LateReviews(parts, board)
        self._reviewer = Reviewer(parts, directory, channels)
        self._drills = Drills(parts, channels, board)
        self._gauges = Gauges(parts, directory)
        self._heartbeat = Heartbeat(parts, self._turning, board)
        self._telling = Telling(parts, directory, channels, board)

    def over(self, workers: Sequence[Worker]) -> tuple[Worker, ...]:
        """These loops, and those that watch, all of them watched; and the two that tell of it."""
        watched = (
            *workers,
            Worker("on-call", self._auditor.refresh, every=timedelta(seconds=5), wake="on-call"),
            Worker("auditor", self._auditor.look, every=auditor.EVERY),
            Worker("reviews", self._reviews.look, every=late.EVERY, wake="reviews"),
            Worker("break-glass", self._reviewer.step, every=reviewer.EVERY, wake=UNTOLD),
            Worker("timelines", self._timelines.look, every=timelines.EVERY),
            Worker("drills", self._drills.step, every=drills.EVERY),
            Worker("gauges", self._gauges.step, every=gauges.EVERY),
        )
        return (
            *self._turning.watch(watched),
            Worker("heartbeat", self._heartbeat.beat, every=self._every),
            Worker("telling", self._telling.step, every=telling.EVERY),
        )

    async def close(self) -> None:
        """Wait for the pages of a drill, and let go of connections."""
        await self._drills.settle()
        await self._heartbeat.close()
