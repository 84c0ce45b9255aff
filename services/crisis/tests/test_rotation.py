"""Who is on call, over zones and daylight-saving changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haven_crisis.domain.coverage import check, problems
from haven_crisis.domain.rotation import Override, Rotation, in_turn, turn_starts, who_is_on_call

ZONES = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("posix", "right", "Etc")))
START = datetime(2026, 1, 1, tzinfo=UTC)
YEARS = timedelta(days=3 * 365)

rotations = st.builds(
    in_turn,
    rotation_id=st.just("r"),
    responders=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True).map(tuple),
    shift_days=st.integers(1, 30),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    hand_over=st.times().map(lambda at: at.replace(second=0, microsecond=0, tzinfo=None)),
    first_day=st.dates(date(2025, 12, 1), date(2025, 12, 30)),
)
moments = st.timedeltas(timedelta(0), YEARS).map(lambda after: START + after)


@settings(max_examples=400)
@given(rotations, moments)
def test_somebody_is_on_call_at_every_moment_until_exactly_the_next_turn(rotation: Rotation, at: datetime) -> None:
    duty = who_is_on_call(rotation, at)
    assert duty is not None
    assert duty.until > at
    just_before = who_is_on_call(rotation, duty.until - timedelta(microseconds=1))
    assert just_before is not None
    assert just_before.responder_id == duty.responder_id
    following = who_is_on_call(rotation, duty.until)
    assert following is not None
    here, there = (
        rotation.layers[0].responders.index(duty.responder_id),
        rotation.layers[0].responders.index(following.responder_id),
    )
    assert there == (here + 1) % len(rotation.layers[0].responders)


@settings(max_examples=200)
@given(rotations, st.integers(0, 1000))
def test_turns_change_at_the_same_wall_time_except_where_it_does_not_exist(rotation: Rotation, turn: int) -> None:
    starts = turn_starts(rotation.layers[0], turn)
    wall = starts.astimezone(rotation.layers[0].zone)
    assert turn_starts(rotation.layers[0], turn + 1) > starts
    expected = datetime.combine(
        rotation.layers[0].first_day + timedelta(days=turn * rotation.layers[0].turn_hours // 24),
        rotation.layers[0].hand_over,
        rotation.layers[0].zone,
    )
    exists = expected.astimezone(UTC).astimezone(rotation.layers[0].zone).replace(tzinfo=None) == expected.replace(
        tzinfo=None
    )
    if exists:
        assert wall.time() == rotation.layers[0].hand_over
        assert wall.fold == 0
    else:
        assert wall.replace(tzinfo=None) > expected.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("day", "hand_over", "begins"),
    [
        # New York's clock goes from 02:00 to 03:00 on 2026-03-08: 02:30 is read with the offset before, as 03:30 EDT.
        (date(2026, 3, 7), time(2, 30), "2026-03-07T07:30:00+00:00"),
        (date(2026, 3, 8), time(2, 30), "2026-03-08T07:30:00+00:00"),
        (date(2026, 3, 9), time(2, 30), "2026-03-09T06:30:00+00:00"),
        # On 2026-11-01 01:30 comes twice: the first counts.
        (date(2026, 11, 1), time(1, 30), "2026-11-01T05:30:00+00:00"),
        (date(2026, 11, 2), time(1, 30), "2026-11-02T06:30:00+00:00"),
    ],
)
def test_new_york_changes_its_clocks(day: date, hand_over: time, begins: str) -> None:
    first = day - timedelta(days=1)
    rotation = in_turn("r", ("a", "b"), 1, ZoneInfo("America/New_York"), hand_over, first)
    at = datetime.fromisoformat(begins)
    assert turn_starts(rotation.layers[0], 1) == at
    before, after = who_is_on_call(rotation, at - timedelta(seconds=1)), who_is_on_call(rotation, at)
    assert [duty.responder_id for duty in (before, after) if duty is not None] == ["a", "b"]


def test_an_override_takes_its_stretch_and_no_more() -> None:
    starts = datetime(2026, 1, 10, 12, tzinfo=UTC)
    override = Override(starts, starts + timedelta(hours=3), "z")
    rotation = in_turn("r", ("a",), 1, ZoneInfo("UTC"), time(0), date(2026, 1, 1), (override,))
    before = who_is_on_call(rotation, starts - timedelta(seconds=1))
    during = who_is_on_call(rotation, starts)
    after = who_is_on_call(rotation, override.ends_at)
    assert [duty.responder_id for duty in (before, during, after) if duty is not None] == ["a", "z", "a"]
    assert before is not None
    assert before.until == starts


def test_gaps_and_overlaps_are_named() -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    late = in_turn("r", ("a",), 1, ZoneInfo("UTC"), time(8), date(2026, 1, 7))
    (gap,) = check(late, {}, {}, now, now + timedelta(days=5)).gaps
    assert (gap.starts_at, gap.ends_at) == (now, datetime(2026, 1, 7, 8, tzinfo=UTC))
    covered = Override(now, datetime(2026, 1, 7, 8, tzinfo=UTC), "b")
    mended = in_turn("r", ("a",), 1, ZoneInfo("UTC"), time(8), date(2026, 1, 7), (covered,))
    assert not problems(mended, {}, {}, now)
    twice = in_turn("r", ("a",), 1, ZoneInfo("UTC"), time(8), date(2026, 1, 1), (covered, covered))
    assert "overlap" in problems(twice, {}, {}, now)[0]
