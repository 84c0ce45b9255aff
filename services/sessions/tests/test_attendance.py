"""Attendance: minutes in the room, whatever the connection did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from haven_sessions.domain import events
from haven_sessions.domain.attendance import Interval, by_person, merged, minutes, service_date
from haven_sessions.domain.events import Moderation, Participation
from haven_sessions.domain.room import Happened

START = datetime(2026, 3, 5, 14, tzinfo=UTC)
seconds = st.integers(0, 4 * 3600)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


@st.composite
def stretches(draw: st.DrawFn) -> list[tuple[int, int]]:
    return draw(st.lists(st.tuples(seconds, seconds), max_size=30))


@given(stretches())
def test_merged_time_is_the_seconds_covered_once(given_stretches: list[tuple[int, int]]) -> None:
    covered: set[int] = set()
    for start, end in given_stretches:
        covered.update(range(start, end))
    found = merged(Interval(at(start), at(end)) for start, end in given_stretches)
    assert sum(each.length.total_seconds() for each in found) == len(covered)
    assert all(before.end < after.start for before, after in pairwise(found))
    assert minutes(found) == len(covered) // 60


@given(stretches(), st.randoms())
def test_order_and_repetition_do_not_matter(given_stretches: list[tuple[int, int]], random: object) -> None:
    intervals = [Interval(at(start), at(end)) for start, end in given_stretches]
    shuffled = [*intervals, *intervals]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merged(shuffled) == merged(intervals)
    assert merged(merged(intervals)) == merged(intervals)


def joined(person: str, second: int) -> Happened:
    event = events.Joined(f"m-{person}", person, False, False, Participation.LISTEN)
    return Happened(second, at(second), event)


def left(person: str, second: int, unseen: float = 0.0) -> Happened:
    return Happened(second, at(second), events.Left(f"m-{person}", bool(unseen), unseen))


def test_leaving_and_coming_back_adds_up() -> None:
    story = [joined("ana", 0), left("ana", 600), joined("ana", 900), left("ana", 1500)]
    assert minutes(by_person(story, at(3600))["ana"]) == 20


def test_a_lapse_counts_until_last_seen() -> None:
    assert minutes(by_person([joined("ana", 0), left("ana", 660, unseen=60)], at(3600))["ana"]) == 10


def test_who_is_still_there_counts_until_the_end() -> None:
    assert minutes(by_person([joined("ana", 0)], at(3599))["ana"]) == 59


def test_time_in_the_lobby_does_not_count() -> None:
    moved = Happened(2, at(300), events.Moderated("m-ana", Moderation.TO_LOBBY, "privacy"))
    assert minutes(by_person([joined("ana", 0), moved], at(3600))["ana"]) == 5


def test_staff_have_no_attendance() -> None:
    staff = Happened(1, at(0), events.Joined("m-staff", "", True, False, Participation.SPEAK))
    assert by_person([staff], at(3600)) == {}


def test_the_day_is_the_one_in_the_zone_of_the_session() -> None:
    evening = datetime(2026, 3, 6, 2, 30, tzinfo=UTC)
    assert service_date(evening, "America/Los_Angeles").isoformat() == "2026-03-05"
    assert service_date(evening, "UTC").isoformat() == "2026-03-06"
