"""Hours in which somebody wants no drill."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Quiet:
    """From one wall time to another, every day; over midnight where the end is the smaller one."""

    starts: time
    ends: time
    zone: ZoneInfo

    def at(self, moment: datetime) -> bool:
        """Whether a moment is in these hours."""
        wall = moment.astimezone(self.zone).time()
        if self.starts <= self.ends:
            return self.starts <= wall < self.ends
        return wall >= self.starts or wall < self.ends
