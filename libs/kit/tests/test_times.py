"""Times, days and zones of requests: read as they are, or refused by the name of the field."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from haven_kit import times
from haven_kit.errors import Invalid


def test_a_stamp_keeps_the_microsecond() -> None:
    at = datetime(2026, 3, 5, 9, 30, 1, 234567, tzinfo=UTC)
    assert times.stamp(at).ToDatetime(UTC) == at


def test_days_and_zones_are_read() -> None:
    assert times.day("first", "2028-02-29") == date(2028, 2, 29)
    assert times.zone("time_zone", "America/New_York").key == "America/New_York"


@pytest.mark.parametrize(
    ("read", "rule", "text"),
    [
        (times.day, "date", "2026-02-29"),
        (times.day, "date", "someday"),
        (times.day, "date", ""),
        (times.zone, "time_zone", "Mars/Olympus"),
        (times.zone, "time_zone", "America"),
        (times.zone, "time_zone", "../etc/passwd"),
        (times.zone, "time_zone", ""),
    ],
)
def test_what_does_not_exist_is_refused_by_name(read: Any, rule: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        read("plan.start", text)
    assert [(each.field, each.rule) for each in caught.value.violations] == [("plan.start", rule)]
