"""A calendar that can be shown anywhere: it says when, and never what or with whom (RFC 5545)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from haven_scheduling.domain.intervals import Interval

TITLE = "Appointment"
REMIND_MINUTES = 30
"""How long before the start a calendar app reminds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One appointment. `uid` stays the same when it moves; `sequence` rises with each change."""

    uid: str
    when: Interval
    sequence: int
    cancelled: bool = False


def calendar(entries: Iterable[Entry], now: datetime) -> str:
    """The iCalendar object of the entries, as made at `now`."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//calendar//EN", "CALSCALE:GREGORIAN"]
    for each in entries:
        lines += _event(each, now)
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


def _event(entry: Entry, now: datetime) -> list[str]:
    event = [
        "BEGIN:VEVENT",
        f"UID:{entry.uid}",
        f"DTSTAMP:{_utc(now)}",
        f"DTSTART:{_utc(entry.when.start)}",
        f"DTEND:{_utc(entry.when.end)}",
        f"SEQUENCE:{entry.sequence}",
        f"STATUS:{'CANCELLED' if entry.cancelled else 'CONFIRMED'}",
        "CLASS:PRIVATE",
        f"SUMMARY:{TITLE}",
    ]
    if not entry.cancelled:
        event += [
            "BEGIN:VALARM",
            "ACTION:DISPLAY",
            f"DESCRIPTION:{TITLE}",
            f"TRIGGER:-PT{REMIND_MINUTES}M",
            "END:VALARM",
        ]
    return [*event, "END:VEVENT"]


def _utc(at: datetime) -> str:
    return at.strftime("%Y%m%dT%H%M%SZ")
