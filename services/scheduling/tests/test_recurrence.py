"""Weekly patterns across changes of the clock, against zoneinfo."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given
from hypothesis import strategies as st

from haven_scheduling.domain.intervals import Interval, at_wall_time
from haven_scheduling.domain.recurrence import Pattern, change, occurrences

NEW_YORK = ZoneInfo("America/New_York")
ZONES = sorted(
    zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "posix", "right"))
)

zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.dates(date(2024, 1, 1), date(2030, 12, 31))
wall = st.times().map(lambda each: each.replace(second=0, microsecond=0))


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    first = draw(days)
    last = draw(st.none() | st.integers(0, 400).map(lambda n: first + timedelta(days=n)))
    excepted = draw(st.frozensets(st.integers(0, 200).map(lambda n: first + timedelta(days=n)), max_size=5))
    weekdays = draw(st.frozensets(st.integers(1, 7), min_size=1))
    return Pattern(weekdays, draw(wall), draw(st.integers(5, 720)), draw(zones), first, last, excepted)


def exists(moment: datetime, zone: ZoneInfo, day: date, at: time) -> bool:
    local = moment.astimezone(zone)
    return (local.date(), local.time().replace(fold=0)) == (day, at)


@given(days, wall, zones)
def test_a_start_is_shown_by_clocks_of_the_zone_unless_the_clock_skips_it(day: date, at: time, zone: ZoneInfo) -> None:
    moment = at_wall_time(day, at, zone)
    naive = datetime.combine(day, at)
    offsets = {naive.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    if len(offsets) == 1:
        assert exists(moment, zone, day, at)
        return
    before = (moment - timedelta(days=1)).astimezone(zone).utcoffset()
    if exists(moment, zone, day, at):
        later = naive.replace(tzinfo=zone, fold=1).astimezone(UTC)
        assert moment < later, "one that comes twice is the first"
    elif before == naive.replace(tzinfo=zone, fold=0).utcoffset():
        # Read with the offset before the change.
        assert before is not None
        assert moment == (naive - before).replace(tzinfo=UTC)


def test_a_skipped_start_moves_on_by_the_hour_skipped() -> None:
    assert at_wall_time(date(2026, 3, 8), time(2, 30), NEW_YORK).astimezone(NEW_YORK).time() == time(3, 30)


def test_a_start_that_comes_twice_is_the_first() -> None:
    moment = at_wall_time(date(2026, 11, 1), time(1, 30), NEW_YORK)
    assert moment == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def test_wall_time_and_length_stay_across_both_changes_of_the_year() -> None:
    pattern = Pattern(frozenset({1, 3, 5}), time(9), 180, NEW_YORK, date(2026, 1, 5), date(2026, 12, 31))
    found = list(occurrences(pattern, date(2026, 1, 1), date(2026, 12, 31)))
    assert {each.when.start.astimezone(NEW_YORK).time() for each in found} == {time(9)}
    assert {each.when.minutes for each in found} == {180}
    assert {each.when.start.hour for each in found} == {13, 14}


@given(patterns(), days, st.integers(0, 300))
def test_every_day_of_the_pattern_and_no_other(pattern: Pattern, start: date, length: int) -> None:
    end = start + timedelta(days=length)
    found = list(occurrences(pattern, start, end))
    everyday = [start + timedelta(days=n) for n in range(length + 1)]
    wanted = [
        day
        for day in everyday
        if day.isoweekday() in pattern.weekdays
        and pattern.first <= day <= (pattern.last or date.max)
        and day not in pattern.excepted
    ]
    assert [each.day for each in found] == wanted
    assert all(each.when.minutes == pattern.minutes for each in found)
    assert all(a.when.start < b.when.start for a, b in pairwise(found))


@given(patterns(), days, st.integers(0, 60), st.integers(0, 60))
def test_a_horizon_rolled_in_steps_is_the_same_as_in_one(pattern: Pattern, start: date, one: int, two: int) -> None:
    middle, end = start + timedelta(days=one), start + timedelta(days=one + 1 + two)
    stepped = [*occurrences(pattern, start, middle), *occurrences(pattern, middle + timedelta(days=1), end)]
    assert stepped == list(occurrences(pattern, start, end))


@given(patterns(), patterns(), st.integers(1, 90))
def test_a_change_moves_adds_and_cancels_so_that_the_new_pattern_holds(old: Pattern, new: Pattern, length: int) -> None:
    through = new.first + timedelta(days=length)
    planned = [each.day for each in occurrences(old, new.first, through)]
    changed = change(planned, new, through)
    wanted = {each.day: each for each in occurrences(new, new.first, through)}
    assert {**changed.moved, **{each.day: each for each in changed.added}} == wanted
    assert changed.cancelled | changed.moved.keys() == set(planned)
    assert not changed.cancelled & wanted.keys()


def test_ending_before_a_day_keeps_an_earlier_end() -> None:
    pattern = Pattern(frozenset({1}), time(9), 60, NEW_YORK, date(2026, 1, 5), date(2026, 2, 1))
    assert pattern.ending_before(date(2026, 3, 1)).last == date(2026, 2, 1)
    assert pattern.ending_before(date(2026, 1, 19)).last == date(2026, 1, 18)


def test_touching_intervals_do_not_overlap() -> None:
    nine, ten, eleven = (datetime(2026, 1, 5, hour, tzinfo=UTC) for hour in (9, 10, 11))
    assert not Interval(nine, ten).overlaps(Interval(ten, eleven))
    assert Interval(nine, eleven).overlaps(Interval(ten, eleven))
