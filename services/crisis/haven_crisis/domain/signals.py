"""A call for help as it came in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

NOBODY = "0197c0de-0000-7000-8000-000000000d11"
"""The person that synthetic drills are about: there is none."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A call for help, as it came in."""

    signal_id: str
    person_id: str
    source: int
    """A SignalSource number."""
    actor: str
    raised_at: datetime
    session_id: str = ""
    facilitator_id: str = ""
    note: str = ""
    level: int = 0
    """A SignalLevel number: how severe who sent it judges it to be. 0: not judged."""
    pressed: bool = False
    """A person calls now. Where a signal of this id is over, closed or taken back, that is a new call: a client that
    uses an id twice must not silence it. What services and events bring again is the old one."""
