"""Days, times and patterns as requests write them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from haven.scheduling.v1 import groups_pb2, people_pb2

from haven_kit import times
from haven_kit.errors import Invalid
from haven_scheduling.domain.availability import Availability, Window
from haven_scheduling.domain.intervals import Interval
from haven_scheduling.domain.recurrence import Pattern

END_OF_DAY = "24:00"
YEARS = (2000, 2100)
"""The years a calendar knows, the last one not included."""
_FIRST_SECOND, _END_SECOND = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in YEARS)


def day(field: str, text: str) -> date:
    """The day of that ISO 8601 date. Raises Invalid where this calendar has none."""
    found = times.day(field, text)
    if not YEARS[0] <= found.year < YEARS[1]:
        raise Invalid(field, "date_range", "This is not a day between 2000 and 2100.")
    return found


def pattern(message: groups_pb2.WeeklyPattern, field: str = "pattern") -> Pattern:
    """The pattern of a message. Raises Invalid for an unknown zone, or days that are none or in the wrong order."""
    first = day(f"{field}.first_date", message.first_date)
    last = day(f"{field}.last_date", message.last_date) if message.last_date else None
    if last and last < first:
        raise Invalid(f"{field}.last_date", "not_before_first", "The last day must not be before the first.")
    return Pattern(
        weekdays=frozenset(message.days),
        start=time.fromisoformat(message.start_time),
        minutes=message.minutes,
        zone=times.zone(f"{field}.time_zone", message.time_zone),
        first=first,
        last=last,
        excepted=frozenset(day(f"{field}.except_dates", each) for each in message.except_dates),
    )


def windows(messages: Iterable[people_pb2.WeeklyWindow]) -> tuple[Window, ...]:
    """Windows of messages."""
    return tuple(
        Window(
            each.day,
            time.fromisoformat(each.start_time),
            time() if each.end_time == END_OF_DAY else time.fromisoformat(each.end_time),
        )
        for each in messages
    )


def availability(message: people_pb2.Availability) -> Availability:
    """When a person can attend, by what is kept."""
    return Availability(
        ZoneInfo(message.time_zone), windows(message.windows), windows(each.window for each in message.blackouts)
    )


def moment(field: str, given: Timestamp) -> datetime:
    """The time of a stamp, to the second. Raises Invalid for one that no calendar needs."""
    if not _FIRST_SECOND <= given.seconds < _END_SECOND:
        raise Invalid(field, "time_range", "This is not a time between 2000 and 2100.")
    return datetime.fromtimestamp(given.seconds, UTC)


def local(at: datetime, where: ZoneInfo) -> str:
    """The time as clocks in the zone show it, with the offset."""
    return at.astimezone(where).isoformat(timespec="minutes")


def span(start: datetime, end: datetime, field: str) -> Interval:
    """From start to end. Raises Invalid where it ends first."""
    if end <= start:
        raise Invalid(field, "after_start", "The end must be after the start.")
    return Interval(start, end)
