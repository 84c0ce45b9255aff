"""What goes wrong in one schedule, when, and until when somebody may be late because of it.

Every fault notes the stretch of time in which it can hold something up. What must happen within a bound must have
happened by the end of the first stretch of that length that no fault touches: `Weather.calm_by`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from simulation.loop import START

NOTICED_S = 12.0
"""When the server notices that a whole machine is gone (in production within half a minute)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How rough one schedule is. Chances are per statement or per page."""

    lost_before: float = 0.0
    lost_after: float = 0.0
    slow_statement: float = 0.0
    provider_faults: float = 0.0
    crashes: int = 0
    node_losses: int = 0
    outages: int = 0
    provider_outages: int = 0
    jumps: int = 0
    plan_changes: int = 0
    lost_bells: float = 0.0
    distance: float = 1.0
    """How far away the database is: what a statement's travel is multiplied by."""

    @property
    def calm(self) -> bool:
        """Whether nothing fails at all."""
        return self == Profile()


def profile(random: Random) -> Profile:
    """A profile by chance: every sixth is calm, others have a few kinds of fault each."""
    if random.random() < 1 / 6:
        return Profile()
    chosen = Profile
    rough = random.random() < 0.5
    return chosen(
        lost_before=random.choice((0, 0, 0.02, 0.1)),
        lost_after=random.choice((0, 0, 0.02, 0.1)),
        slow_statement=random.choice((0, 0, 0.1)),
        provider_faults=random.choice((0, 0, 0.1, 0.4)),
        crashes=random.choice((0, 1, 2, 4)) if rough else random.choice((0, 1)),
        node_losses=random.choice((0, 0, 0, 1)),
        outages=random.choice((0, 0, 0, 1)),
        provider_outages=random.choice((0, 0, 1, 2)),
        jumps=random.choice((0, 0, 0, 1)),
        plan_changes=random.choice((0, 0, 1, 3)),
        lost_bells=random.choice((0, 0.3)),
        distance=random.choice((1, 1, 1, 50)),
    )


@dataclass(slots=True)
class Weather:
    """The faults of one schedule, as the server and the providers meet them. None comes after `rough_until`."""

    random: Random
    profile: Profile
    now: Callable[[], float]
    rough_until: float
    note: Callable[..., None]
    stretches: list[tuple[float, float]] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    excused: dict[str, str] = field(default_factory=dict)
    """Page → why it may come once more: what happened to it, so that nobody could note that it had arrived."""

    locked_until: float = 0.0
    """Until when the locks of a machine that is gone may keep notes waiting."""
    ahead: float = 0.0
    """By how many seconds the replicas' clocks are ahead of the loop's."""
    jumped_at: float = 0.0
    """When they jumped last, by the loop's."""
    sending: dict[asyncio.Task[Any] | None, str] = field(default_factory=dict)
    """Task → the page that it sends, and then notes."""

    @property
    def rough(self) -> bool:
        """Whether faults may still come."""
        return self.now() < self.rough_until

    def fault(self, kind: str, lasts: float = 0.0) -> None:
        """Something goes wrong now, and may hold something up for so many seconds."""
        now = self.now()
        self.stretches.append((now, now + lasts))
        self.note("fault", kind, lasts)

    def calm_by(self, since: float, length: float) -> float:
        """The end of the first stretch of that length from `since` on that no fault touches."""
        begins = since
        for start, end in sorted(self.stretches):
            if start - begins >= length:
                break
            begins = max(begins, end)
        return begins + length

    def jump(self, by: float) -> None:
        """The clocks of all replicas jump."""
        self.ahead += by
        self.jumped_at = self.now()

    def moment(self, at: datetime) -> float:
        """When it is that time by the replicas' clocks, by the loop's: the last jump where they jumped over it."""
        return max((at - START).total_seconds() - self.ahead, self.jumped_at)

    # As the server meets it.

    def travel(self) -> float:
        """Seconds until a statement arrives."""
        random = self.random.random
        if self.profile.slow_statement and self.rough and random() < self.profile.slow_statement:
            slow = 0.05 + random()
            self.fault("slow statement", slow)
            self._excuse("its note was slow")
            return slow
        return (0.0005 + 0.002 * random()) * self.profile.distance

    def fate(self) -> str:
        """`lost before`, `lost after`, or nothing."""
        fate = self._fate()
        if fate == "lost before":
            self._excuse("its note never arrived")
        return fate

    def _excuse(self, why: str) -> None:
        page_id = self.sending.get(asyncio.current_task())
        if page_id is not None:
            self.excused[page_id] = why

    def _fate(self) -> str:
        if not self.rough:
            return ""
        now = self.now()
        if any(start <= now < end for start, end in self.outages):
            return "lost before"
        profile = self.profile
        if not profile.lost_before and not profile.lost_after:
            return ""
        draw = self.random.random()
        if draw < profile.lost_before:
            self.fault("connection lost before")
            return "lost before"
        if draw < profile.lost_before + profile.lost_after:
            self.fault("connection lost after")
            return "lost after"
        return ""

    def arrives(self) -> bool:
        """Whether what a dying client had sent still arrives."""
        return self.random.random() < 0.5
