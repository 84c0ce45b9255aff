"""Times, days and zones as contracts write them."""

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

from haven_kit.errors import Invalid


def stamp(at: datetime) -> Timestamp:
    """The time as a contract has it."""
    made = Timestamp()
    made.FromDatetime(at)
    return made


def day(field: str, text: str) -> date:
    """The day of an ISO 8601 date. Raises Invalid naming the field where the calendar has no such day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(field, "date", "This is not a day of the calendar, such as 2026-03-05.") from None


def zone(field: str, name: str) -> ZoneInfo:
    """The IANA time zone of that name. Raises Invalid naming the field where there is none."""
    found = _zone(name)
    if found is None:
        raise Invalid(field, "time_zone", "This is not an IANA time zone, such as America/New_York.")
    return found


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a plain name, or a folder of the database
        return None
