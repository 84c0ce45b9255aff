"""One person, one calendar day, at most one per-diem."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haven_billing.domain.payers import PerDiemRule
from haven_billing.domain.per_diem import (
    Attendance,
    Authorized,
    Reason,
    Standing,
    State,
    decide,
    minutes_by_day,
    week_of,
)

RULE = PerDiemRule("S9480", "0905", 45000, 36000, 180, 5, authorization_required=True)
PLENTY = Authorized(exists=True, days_left=20)
MONDAY = date(2026, 3, 2)

attendances = st.lists(
    st.builds(
        Attendance,
        attendance_id=st.sampled_from([f"a{n}" for n in range(12)]),
        service_date=st.sampled_from([MONDAY + timedelta(days=n) for n in range(3)]),
        minutes=st.integers(0, 400),
    ),
    unique_by=lambda each: each.attendance_id,
)


@given(attendances, st.randoms())
def test_order_does_not_matter_and_repeats_count_once(found, random):
    shuffled = [*found, *found, *found[:3]]
    random.shuffle(shuffled)
    assert minutes_by_day(shuffled) == minutes_by_day(found)


@given(attendances)
def test_each_days_minutes_are_the_sum_of_its_own_sessions(found):
    days = minutes_by_day(found)
    assert set(days) == {each.service_date for each in found}
    for day, minutes in days.items():
        assert minutes == sum(each.minutes for each in found if each.service_date == day)


def test_a_session_before_midnight_and_one_after_belong_to_two_days():
    found = [Attendance("late", MONDAY, 100), Attendance("early", MONDAY + timedelta(days=1), 100)]
    assert minutes_by_day(found) == {MONDAY: 100, MONDAY + timedelta(days=1): 100}


def test_a_correction_wins_whichever_comes_first():
    short, full = Attendance("a", MONDAY, 60), Attendance("a", MONDAY, 180)
    assert minutes_by_day([short, full]) == minutes_by_day([full, short]) == {MONDAY: 180}


@given(st.integers(0, 1440), st.integers(0, 7), st.integers(0, 30))
def test_a_day_is_ready_exactly_when_nothing_is_missing(minutes, billed, left):
    decision = decide(minutes, Standing.ACTIVE, RULE, billed, Authorized(exists=True, days_left=left))
    assert (decision.state is State.READY) == (minutes >= 180 and billed < 5 and left > 0)
    assert (decision.reason is Reason.NONE) == (decision.state is State.READY)


@pytest.mark.parametrize(
    ("minutes", "standing", "rule", "billed", "authorized", "state", "reason"),
    [
        (180, Standing.ACTIVE, RULE, 0, PLENTY, State.READY, Reason.NONE),
        (179, Standing.ACTIVE, RULE, 0, PLENTY, State.NOT_BILLABLE, Reason.BELOW_MINIMUM),
        (180, Standing.NONE, None, 0, PLENTY, State.HELD, Reason.NO_COVERAGE),
        (180, Standing.UNVERIFIED, RULE, 0, PLENTY, State.HELD, Reason.COVERAGE_NOT_VERIFIED),
        (180, Standing.ACTIVE, None, 0, PLENTY, State.HELD, Reason.NO_RULE),
        (180, Standing.ACTIVE, RULE, 5, PLENTY, State.HELD, Reason.WEEKLY_LIMIT),
        (180, Standing.ACTIVE, RULE, 0, Authorized(False, 0), State.HELD, Reason.NO_AUTHORIZATION),
        (180, Standing.ACTIVE, RULE, 0, Authorized(True, 0), State.HELD, Reason.AUTHORIZATION_EXHAUSTED),
    ],
)
def test_each_reason(minutes, standing, rule, billed, authorized, state, reason):
    decision = decide(minutes, standing, rule, billed, authorized)
    assert (decision.state, decision.reason) == (state, reason)


def test_no_authorization_is_asked_of_a_payer_that_wants_none():
    free = PerDiemRule("S9480", "0905", 45000, 36000, 180, 5, authorization_required=False)
    assert decide(180, Standing.ACTIVE, free, 0, Authorized(False, 0)).state is State.READY


@given(st.permutations([MONDAY + timedelta(days=n) for n in range(7)]))
def test_a_week_never_bills_more_than_its_limit_in_any_order(days):
    billed = 0
    for _ in days:
        billed += decide(200, Standing.ACTIVE, RULE, billed, PLENTY).state is State.READY
    assert billed == 5


@given(st.dates(date(2024, 1, 1), date(2030, 1, 1)))
def test_weeks_run_from_monday_to_sunday(day):
    first, last = week_of(day)
    assert first <= day <= last
    assert (first.isoweekday(), last.isoweekday(), (last - first).days) == (1, 7, 6)
