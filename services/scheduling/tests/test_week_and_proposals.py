"""Availability, weeks against the plan, proposals of groups and matching of clinicians."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from haven_scheduling.domain.availability import Availability, Window, shared_minutes
from haven_scheduling.domain.intervals import Interval, covered, minus, shared, union, week_of
from haven_scheduling.domain.matching import Clinician, Licence, rank, speaks
from haven_scheduling.domain.matching import Wanted as WantedClinician
from haven_scheduling.domain.proposals import Attendee, Candidate, Couple, Wanted, propose, why_not
from haven_scheduling.domain.week import Bounds, Plan, load

ZONE = ZoneInfo("America/Chicago")
MONDAY = date(2026, 3, 2)
IOP = Bounds(3, 5, 180, 240, 9)
ANY_TIME = Attendee(Availability(ZONE))


def at(day: int, hour: int, minutes: int = 180) -> Interval:
    start = datetime.combine(MONDAY + timedelta(days=day), time(hour), tzinfo=ZONE).astimezone(UTC)
    return Interval(start, start + timedelta(minutes=minutes))


def group(name: str, *meetings: Interval, **changes: object) -> Candidate:
    facts = {"challenges": frozenset({"trauma"}), "language": "en", "format": 1, "free_seats": 4, "closed_since": None}
    return Candidate(group_id=name, meetings=meetings, **{**facts, **changes})  # type: ignore[arg-type]


def wanted(**changes: object) -> Wanted:
    facts = {"plan": Plan(3, 9), "bounds": IOP, "zone": ZONE, "person": ANY_TIME, "today": MONDAY}
    return Wanted(**{**facts, **changes})  # type: ignore[arg-type]


intervals = st.builds(
    lambda start, length: Interval(
        datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=start),
        datetime(2026, 3, 2, tzinfo=UTC) + timedelta(minutes=start + length),
    ),
    st.integers(0, 7 * 24 * 60),
    st.integers(1, 300),
)
several = st.lists(intervals, max_size=8)


def total(these: list[Interval]) -> int:
    return sum(each.minutes for each in these)


@given(several, several)
def test_minutes_of_union_difference_and_intersection_add_up(these: list[Interval], those: list[Interval]) -> None:
    assert total(minus(these, those)) + total(shared(these, those)) == total(union(these))
    assert not any(a.overlaps(b) for a, b in combinations(union(these), 2))
    assert not any(a.overlaps(b) for a in minus(these, those) for b in those)


@given(several, intervals)
def test_covered_means_nothing_is_left_over(these: list[Interval], one: Interval) -> None:
    assert covered(one, these) == (minus([one], these) == [])


def test_a_window_over_midnight_and_a_blackout() -> None:
    nights = Availability(ZONE, (Window(1, time(20), time(2)),), (Window(1, time(22), time(23)),))
    assert nights.allows(at(0, 20, 120))
    assert nights.allows(at(1, 0, 120))
    assert not nights.allows(at(0, 21, 90))
    assert not nights.allows(at(1, 1, 90))


def test_without_windows_any_time_outside_the_blackouts_suits() -> None:
    around_work = Availability(ZONE, (), tuple(Window(day, time(9), time(17)) for day in range(1, 6)))
    assert around_work.allows(at(0, 17))
    assert not around_work.allows(at(0, 16))
    assert around_work.allows(at(5, 10))


def test_a_window_until_midnight_ends_the_day() -> None:
    evening = Availability(ZONE, (Window(7, time(18), time(0)),))
    assert evening.allows(at(6, 18, 360))
    assert not evening.allows(at(6, 18, 361))


@given(several, st.integers(0, 7), st.integers(0, 40))
def test_the_days_of_a_week_add_up_and_missing_minutes_are_what_is_left(
    counted: list[Interval], days: int, hours: int
) -> None:
    found = load(MONDAY, ZONE, counted, Plan(days, hours), None)
    inside = [each for each in counted if MONDAY <= each.day(ZONE) <= MONDAY + timedelta(days=6)]
    assert found.minutes == total(inside)
    assert found.days == len({each.day(ZONE) for each in inside})
    assert found.missing_minutes == max(0, hours * 60 - found.minutes)
    rules = {each.rule for each in found.warnings}
    assert ("under_plan_hours" in rules) == (found.missing_minutes > 0)


def test_a_week_of_the_program_has_no_warning_and_a_long_day_has() -> None:
    fine = load(MONDAY, ZONE, [at(0, 9), at(2, 9), at(4, 9)], Plan(3, 9), IOP)
    assert not fine.warnings
    long = load(MONDAY, ZONE, [at(0, 9, 300), at(2, 9), at(4, 9, 60)], Plan(3, 9), IOP)
    assert [(each.rule, each.day) for each in long.warnings] == [
        ("day_too_long", MONDAY),
        ("day_too_short", MONDAY + timedelta(days=4)),
    ]


def test_a_week_of_the_program_has_three_to_five_days() -> None:
    for days, rule in ((2, ["under_program_days"]), (3, []), (5, []), (6, ["over_program_days"])):
        week = load(MONDAY, ZONE, [at(day, 9, 240) for day in range(days)], None, IOP)
        assert [each.rule for each in week.warnings] == [*rule, *(["under_program_hours"] * (days * 4 < 9))]


def test_a_late_session_counts_on_its_own_local_day() -> None:
    found = load(MONDAY, ZONE, [at(6, 22, 60)], None, None)
    assert found.by_day[MONDAY + timedelta(days=6)] == 60


def test_groups_are_combined_until_the_plan_is_met() -> None:
    found, left_out = propose(
        [group("two-days", at(0, 9), at(2, 9)), group("friday", at(4, 9)), group("saturday", at(5, 9))], wanted()
    )
    assert not left_out
    assert found[0].meets_plan
    assert set(found[0].group_ids) in ({"two-days", "friday"}, {"two-days", "saturday"})
    assert (found[0].days, found[0].minutes) == (3, 540)
    assert not found[-1].meets_plan


def test_each_group_left_out_says_why() -> None:
    around_work = Attendee(Availability(ZONE, (), (Window(1, time(9), time(17)),)), (at(2, 18),))
    candidates = [
        group("empty"),
        group("full", at(0, 18), free_seats=0),
        group("begun", at(0, 18), closed_since=MONDAY),
        group("spanish", at(0, 18), language="es-MX"),
        group("in-person", at(0, 18), format=3),
        group("working-hours", at(0, 9)),
        group("taken", at(2, 19)),
        group("fits", at(1, 18)),
    ]
    _, left_out = propose(candidates, wanted(person=around_work, language="en", format=1))
    assert {each.group_id: each.rule for each in left_out} == {
        "empty": "no_sessions",
        "full": "full",
        "begun": "cohort_started",
        "spanish": "language",
        "in-person": "format",
        "working-hours": "outside_availability",
        "taken": "overlaps_booked",
    }


def test_a_couple_is_kept_together_or_apart_as_asked() -> None:
    theirs, other = group("theirs", at(0, 9), at(2, 9), at(4, 9)), group("other", at(1, 9), at(3, 9), at(5, 9))
    partner = {"partner": ANY_TIME, "partner_groups": frozenset({"theirs"})}
    together, _ = propose([theirs, other], wanted(couple=Couple.TOGETHER, **partner))
    assert together[0].group_ids == ("theirs",)
    apart, left_out = propose([theirs, other], wanted(couple=Couple.APART, **partner))
    assert [each.group_ids for each in apart] == [("other",)]
    assert [(each.group_id, each.rule) for each in left_out] == [("theirs", "apart_from_partner")]


def test_together_needs_a_seat_and_time_for_both() -> None:
    busy = Attendee(Availability(ZONE), (at(0, 10, 30),))
    asked = wanted(couple=Couple.TOGETHER, partner=busy)
    assert why_not(group("one-seat", at(1, 9), free_seats=1), asked) == "full"
    assert why_not(group("partner-busy", at(0, 9)), asked) == "overlaps_booked"
    assert why_not(group("both", at(1, 9)), asked) == ""


def test_the_cohort_that_shares_the_challenge_comes_first() -> None:
    same_week = (at(0, 9), at(2, 9), at(4, 9))
    found, _ = propose(
        [group("a-grief", *same_week, challenges=frozenset({"grief"})), group("b-trauma", *same_week)],
        wanted(challenges=frozenset({"trauma"})),
    )
    assert [each.group_ids for each in found] == [("b-trauma",), ("a-grief",)]
    assert "Shares with the cohort: trauma." in found[0].reasons


meeting = st.builds(at, st.integers(0, 6), st.integers(0, 20), st.sampled_from([60, 120, 180, 240, 300]))
candidate_lists = st.lists(st.tuples(st.lists(meeting, max_size=4), st.integers(0, 3)), max_size=7).map(
    lambda found: [group(f"g{n}", *meetings, free_seats=seats) for n, (meetings, seats) in enumerate(found)]
)


@settings(max_examples=60)
@given(candidate_lists, st.integers(1, 5), st.integers(1, 20), several)
def test_no_proposal_overlaps_is_full_or_breaks_a_bound(
    candidates: list[Candidate], days: int, hours: int, booked: list[Interval]
) -> None:
    asked = wanted(plan=Plan(days, hours), person=Attendee(Availability(ZONE), tuple(booked)))
    found, left_out = propose(candidates, asked)
    by_id = {each.group_id: each for each in candidates}
    refused = {each.group_id for each in left_out}
    for proposal in found:
        chosen = [by_id[each] for each in proposal.group_ids]
        assert not refused & set(proposal.group_ids)
        assert all(each.free_seats for each in chosen)
        meetings = [meeting for each in chosen for meeting in each.meetings]
        assert not any(a.overlaps(b) for a in meetings for b in booked)
        across = [(a, b) for x, y in combinations(chosen, 2) for a in x.meetings for b in y.meetings]
        assert not any(a.overlaps(b) for a, b in across)
        assert proposal.meets_plan == (proposal.days == days and proposal.minutes >= hours * 60)
        assert 0 <= proposal.fit <= 100
    assert [each.meets_plan for each in found] == sorted((each.meets_plan for each in found), reverse=True)


def clinician(name: str, **changes: object) -> Clinician:
    facts = {
        "specialties": frozenset({"trauma"}),
        "modalities": frozenset({"emdr"}),
        "languages": frozenset({"en", "es-MX"}),
        "licences": (Licence("lcsw", "US-IL", date(2026, 12, 31)),),
        "availability": Availability(ZONE, (Window(1, time(9), time(17)),)),
    }
    return Clinician(name, **{**facts, **changes})  # type: ignore[arg-type]


def test_clinicians_are_matched_by_training_licence_language_and_time() -> None:
    asked = WantedClinician(frozenset({"trauma"}), frozenset({"emdr"}), "es", "US-IL", Availability(ZONE))
    expired = (Licence("lcsw", "US-IL", date(2026, 3, 1)),)
    elsewhere = (Licence("lcsw", "US-NY", date(2026, 12, 31)),)
    found = rank(
        [
            clinician("fits"),
            clinician("less", modalities=frozenset()),
            clinician("expired", licences=expired),
            clinician("elsewhere", licences=elsewhere),
            clinician("english", languages=frozenset({"en"})),
            clinician("other", specialties=frozenset({"grief"}), modalities=frozenset()),
            clinician("busy", booked=(at(0, 9, 8 * 60),)),
        ],
        asked,
        week_of(MONDAY, ZONE),
        MONDAY,
    )
    assert [each.principal_id for each in found] == ["fits", "less"]
    assert found[0].fit == 100
    assert found[0].shared_minutes == 480


def test_a_plain_language_is_met_by_its_regions_only() -> None:
    assert speaks(["es-MX"], "es")
    assert not speaks(["es-MX"], "es-ES")
    assert not speaks(["est"], "es")


def test_shared_minutes_across_zones() -> None:
    east = Availability(ZoneInfo("America/New_York"), (Window(1, time(9), time(12)),))
    west = Availability(ZoneInfo("America/Los_Angeles"), (Window(1, time(7), time(8)),))
    assert shared_minutes(east, west, week_of(MONDAY, ZONE)) == 60
