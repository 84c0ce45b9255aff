"""Who is on call around every daylight-saving change of every IANA zone, this year and in the two after it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest

from haven_crisis.domain.rotation import Layer, Rotation, Window, look, stretches, turn_starts

YEAR = datetime.now(UTC).year
FIRST, LAST = datetime(YEAR, 1, 1, tzinfo=UTC), datetime(YEAR + 3, 1, 1, tzinfo=UTC)
ZONES = sorted(available_timezones())
AROUND = timedelta(hours=50)
HAND_OVERS = (time(0), time(1, 30), time(2, 30), time(3), time(8))
DAY = Window(frozenset(), time(2, 30), time(14))
NIGHT = Window(frozenset(), time(14), time(2, 30))


@cache
def _changes() -> dict[tuple[datetime, timedelta, timedelta], str]:
    """Every change of an offset, with one zone that has it: zones that change alike are one."""
    found: dict[tuple[datetime, timedelta, timedelta], str] = {}
    for name in ZONES:
        zone = ZoneInfo(name)
        at = FIRST
        while at < LAST:
            if (before := _offset(zone, at)) != (after := _offset(zone, at + timedelta(days=1))):
                found.setdefault((_exactly(zone, at), before, after), name)
            at += timedelta(days=1)
    return found


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _exactly(zone: ZoneInfo, after: datetime) -> datetime:
    """The minute of the change within a day."""
    low, high = 0, 24 * 60
    while low + 1 < high:
        middle = (low + high) // 2
        same = _offset(zone, after + timedelta(minutes=middle)) == _offset(zone, after)
        low, high = (middle, high) if same else (low, middle)
    return after + timedelta(minutes=high)


def _rotations(zone: ZoneInfo, change: datetime) -> Iterator[Rotation]:
    first = change.astimezone(zone).date() - timedelta(days=4)
    for hand_over in HAND_OVERS:
        for hours in (4, 12, 24, 36):
            yield Rotation("turns", (Layer(("a", "b", "c"), hours, zone, hand_over, first),))
    sides = (Layer(("day",), 24, zone, time(8), first, (DAY,)), Layer(("night",), 24, zone, time(8), first, (NIGHT,)))
    yield Rotation("sun", sides)


def test_there_are_zones_and_changes() -> None:
    assert len(ZONES) > 400
    assert len(_changes()) > 40
    assert {abs(after - before) for _, before, after in _changes()} >= {timedelta(minutes=30), timedelta(hours=1)}


@pytest.mark.timeout(60)
def test_at_every_change_exactly_one_is_on_call_at_every_moment_and_turns_go_on_in_order() -> None:
    for (change, _, _), name in _changes().items():
        for rotation in _rotations(ZoneInfo(name), change):
            at = change - AROUND
            before = ""
            for stretch, duty in stretches(rotation, change - AROUND, change + AROUND):
                told = f"{name} {rotation.layers[0].hand_over} {rotation.layers[0].turn_hours} h at {stretch.starts_at}"
                assert stretch.starts_at == at, told
                assert duty.responder_id, f"nobody: {told}"
                assert stretch.ends_at > at, told
                # The pure function gives the same at every moment of the stretch, from its first to its last.
                for moment in (at, at + (stretch.ends_at - at) / 2, stretch.ends_at - timedelta(microseconds=1)):
                    assert look(rotation, moment).responder_id == duty.responder_id, told
                if rotation.rotation_id == "turns" and before:
                    assert duty.responder_id == {"a": "b", "b": "c", "c": "a"}[before], told
                at, before = stretch.ends_at, duty.responder_id
            assert at == change + AROUND


@pytest.mark.timeout(60)
def test_hand_over_is_at_its_wall_time_on_every_day_of_three_years_in_every_zone_that_changes() -> None:
    for name in set(_changes().values()):
        zone = ZoneInfo(name)
        layer = Layer(("a",), 24, zone, time(2, 30), FIRST.date())
        for turn in range(3 * 365):
            starts = turn_starts(layer, turn).astimezone(zone)
            wanted = datetime.combine(FIRST.date() + timedelta(days=turn), time(2, 30))
            exists = wanted.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wanted
            if exists:
                assert (starts.replace(tzinfo=None), starts.fold) == (wanted, 0), name
            else:  # the clock skips it: the offset before the change counts (RFC 5545, section 3.3.5)
                assert starts.utcoffset() != (starts - timedelta(days=1)).utcoffset(), name
                assert starts.replace(tzinfo=None) > wanted, name
