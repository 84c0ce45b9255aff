"""iCalendar (RFC 5545): duties written for calendar programs, and time off read from them.

Of what is read only times are kept: titles, notes and guests are nobody's business here.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from dateutil.rrule import rruleset, rrulestr
from icalendar import Calendar, Event

from haven_crisis.domain.rotation import Stretch

MOST_EVENTS = 2000
MOST_REPEATED = 100
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Where an event that repeats may begin, so that counting its repetitions ends soon."""
_OFTEN = ("SECONDLY", "MINUTELY", "HOURLY")
_PRODUCT = "-//Haven//On call//EN"


class UnreadableCalendar(ValueError):
    """The text is no calendar, or asks for more than is read. The message says what would help."""


@dataclass(frozen=True, slots=True)
class Entry(Stretch):
    """What a calendar shows."""

    key: str
    """The same each time it is written."""
    title: str


def write(name: str, entries: Iterable[Entry], now: datetime) -> bytes:
    """A calendar of these entries."""
    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", name)
    calendar.add("refresh-interval", timedelta(minutes=15), parameters={"value": "DURATION"})
    for each in entries:
        event = Event()
        event.add("uid", f"{hashlib.sha256(each.key.encode()).hexdigest()[:32]}@haven")
        event.add("dtstamp", now)
        event.add("dtstart", each.starts_at)
        event.add("dtend", each.ends_at)
        event.add("summary", each.title)
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    written: bytes = calendar.to_ical()
    return written


def read(text: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[Stretch]:
    """The stretches between `start` and `end` that a calendar marks as taken, in order, joined where they touch.

    `zone` is that of times that name none, and of whole days. Raises UnreadableCalendar.
    """
    try:
        events = [each for each in Calendar.from_ical(text).walk("VEVENT") if isinstance(each, Event)]
        if len(events) > MOST_EVENTS:
            raise UnreadableCalendar(
                f"The calendar has more than {MOST_EVENTS} events. Export a shorter stretch of it."
            )
        if sum("RRULE" in each for each in events) > MOST_REPEATED:
            raise UnreadableCalendar(f"The calendar has more than {MOST_REPEATED} repeated events. Export fewer.")
        found = [each for event in events for each in _of(event, _moved(events, event, zone), zone, start, end)]
    except UnreadableCalendar:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise UnreadableCalendar("This is not an iCalendar file (RFC 5545). Export it again as .ics.") from error
    return _joined(each for each in found if each.starts_at < end and each.ends_at > start)


def _of(event: Event, moved: set[datetime], zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Stretch]:
    if str(event.get("STATUS", "")).upper() == "CANCELLED" or str(event.get("TRANSP", "")).upper() == "TRANSPARENT":
        return
    first = event.start
    begins, ends = _wall(first, zone), _wall(event.end, zone)
    whole_days = not isinstance(first, datetime)
    length = ends.replace(tzinfo=None) - begins.replace(tzinfo=None) if whole_days else ends - begins
    for each in _starts(event, begins, start - length, end):
        if _utc(each) not in moved:
            until = each + length if whole_days else _utc(each) + length
            if _utc(each) < _utc(until):
                yield Stretch(_utc(each), _utc(until))


def _starts(event: Event, first: datetime, after: datetime, before: datetime) -> Iterable[datetime]:
    """When the event begins, each time: its repetitions are counted in the wall time of its own zone."""
    if "RECURRENCE-ID" in event or not ("RRULE" in event or "RDATE" in event):
        return [first]
    if first < EARLIEST:
        raise UnreadableCalendar("An event has been repeated since before 2000. Begin it later.")
    zone = first.tzinfo
    rules = rruleset()
    rules.rdate(first.replace(tzinfo=None))
    for rule in _listed(event, "RRULE"):
        if str(rule.get("FREQ", [""])[0]).upper() in _OFTEN:
            raise UnreadableCalendar("An event is repeated more often than daily. Time off is whole stretches.")
        for until in rule.get("UNTIL", []):
            rule["UNTIL"] = [_wall(until, zone).astimezone(zone).replace(tzinfo=None)]
        rules.rrule(rrulestr(rule.to_ical().decode(), dtstart=first.replace(tzinfo=None), ignoretz=True))
    for name, add in (("RDATE", rules.rdate), ("EXDATE", rules.exdate)):
        for dates in _listed(event, name):
            for each in dates.dts:
                at = each.dt[0] if isinstance(each.dt, tuple) else each.dt
                add(_wall(at, zone).astimezone(zone).replace(tzinfo=None) if _timed(at) else _at(at, first))
    bounds = (each.astimezone(zone).replace(tzinfo=None) for each in (after, before))
    return [each.replace(tzinfo=zone) for each in rules.between(*bounds, inc=True)]


def _moved(events: Iterable[Event], event: Event, zone: ZoneInfo) -> set[datetime]:
    """The beginnings of the event that another component has in its stead."""
    if "RECURRENCE-ID" in event:
        return set()
    return {
        _utc(_wall(_replaced(each), _wall(event.start, zone).tzinfo))
        for each in events
        if "RECURRENCE-ID" in each and each.get("UID") == event.get("UID")
    }


def _replaced(event: Event) -> date:
    """Which repetition an event stands for."""
    at: date = _listed(event, "RECURRENCE-ID")[0].dt
    return at


def _listed(event: Event, name: str) -> list[Any]:
    found = event.get(name, [])
    return found if isinstance(found, list) else [found]


def _timed(at: date) -> bool:
    return isinstance(at, datetime)


def _at(day: date, first: datetime) -> datetime:
    return datetime.combine(day, first.time())


def _wall(at: date, zone: tzinfo | None) -> datetime:
    """The moment in its own zone, or in the one given."""
    moment = at if isinstance(at, datetime) else datetime.combine(at, time())
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _joined(found: Iterable[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for each in sorted(found, key=lambda each: each.starts_at):
        if joined and each.starts_at <= joined[-1].ends_at:
            joined[-1] = Stretch(joined[-1].starts_at, max(joined[-1].ends_at, each.ends_at))
        else:
            joined.append(each)
    return joined


def main() -> int:
    """Read a calendar from standard input, outside of the process that takes calls for help."""
    zone, start, end = sys.argv[1:]
    text = sys.stdin.buffer.read().decode(errors="replace")
    try:
        found = read(text, ZoneInfo(zone), datetime.fromisoformat(start), datetime.fromisoformat(end))
    except UnreadableCalendar as refused:
        sys.stdout.buffer.write(orjson.dumps({"refused": str(refused)}))
        return 0
    sys.stdout.buffer.write(orjson.dumps({"taken": [[each.starts_at, each.ends_at] for each in found]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
