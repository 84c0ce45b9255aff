"""Layers, windows, time off: what a rotation covers, and who would be paged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from haven_crisis.domain import coverage, forecast, notifying, plan
from haven_crisis.domain.escalation import LAST_RESORT_ID, Book, Policy, Step, Target, Team, stage_from, stages_from
from haven_crisis.domain.notifying import Rule
from haven_crisis.domain.rotation import (
    Layer,
    Override,
    Rotation,
    Shadow,
    Stretch,
    Window,
    duties,
    in_turn,
    look,
    on_layer,
    stretches,
    with_override,
)
from haven_crisis.domain.severity import Severity

UTC_ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)  # a Monday
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
WORKDAYS = frozenset({1, 2, 3, 4, 5})

times = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))
windows = st.builds(Window, st.frozensets(st.integers(1, 7), max_size=4), times, times)
moments = st.integers(0, 60 * 24 * 60).map(lambda minutes: NOW + timedelta(minutes=minutes))


def layer(who: str, *limits: Window, zone: ZoneInfo = UTC_ZONE) -> Layer:
    return Layer((who,), 24, zone, time(0), date(2026, 1, 1), limits, name=who)


def _open(window: Window, at: datetime) -> bool:
    """Whether a window is open, said in another way: minute by minute of the week, in UTC."""
    minute = at.hour * 60 + at.minute
    starts, ends = (each.hour * 60 + each.minute for each in (window.starts, window.ends))
    today, yesterday = (
        not window.days or day in window.days for day in (at.isoweekday(), (at - timedelta(days=1)).isoweekday())
    )
    if ends > starts:
        return today and starts <= minute < ends
    return (today and minute >= starts) or (yesterday and minute < ends)


@settings(max_examples=300)
@given(st.lists(windows, min_size=1, max_size=3), moments)
def test_a_layer_has_somebody_exactly_while_a_window_is_open(limits: list[Window], at: datetime) -> None:
    responder, until = on_layer(layer("a", *limits), at)
    assert bool(responder) == any(_open(each, at) for each in limits)
    assert until > at
    assert on_layer(layer("a", *limits), until - timedelta(microseconds=1))[0] == responder


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), windows), min_size=1, max_size=3), moments)
def test_the_last_layer_that_has_somebody_counts_and_gaps_are_the_rest(
    limited: list[tuple[str, Window]], start: datetime
) -> None:
    rotation = Rotation("r", tuple(layer(who, each) for who, each in limited))
    end = start + timedelta(days=8)
    gaps = coverage.check(rotation, {}, {}, start, end).gaps
    for stretch, duty in stretches(rotation, start, end):
        at = stretch.starts_at
        on = [who for who, each in limited if _open(each, at)]
        assert duty.responder_id == (on[-1] if on else "")
        assert bool(on) != any(gap.holds(at) for gap in gaps)


def test_the_sun_is_followed_without_a_gap_and_the_overlap_is_named() -> None:
    east = layer("east", Window(frozenset(), time(0), time(12)))
    west = layer("west", Window(frozenset(), time(11), time(0)))
    rotation = Rotation("sun", (east, west))
    checked = coverage.check(rotation, {}, {}, NOW, NOW + timedelta(days=2))
    assert not checked.gaps
    assert [(each.starts_at.hour, each.ends_at.hour) for each in checked.overlaps] == [(11, 12), (11, 12)]
    assert "east and west" in checked.overlaps[0].message
    base = replace(rotation, layers=(layer("base"), replace(east, windows=(Window(WORKDAYS, time(9), time(17)),))))
    assert not coverage.check(base, {}, {}, NOW, NOW + coverage.HORIZON).overlaps, "a layer under another is meant"
    assert look(base, NOW).responder_id == "east"
    assert look(base, NOW + timedelta(days=5)).responder_id == "base"


def test_time_off_on_a_duty_is_a_gap_that_says_how_to_mend_it() -> None:
    rotation = in_turn("r", ("ann", "bob"), 1, UTC_ZONE, time(8), date(2026, 1, 1))
    away = {"ann": [Stretch(NOW, NOW + 48 * HOUR)]}
    found = coverage.problems(rotation, away, {"ann": "Ann"}, NOW)
    assert found
    assert all(each.startswith("Ann is on call from 2026-01-0") and "override or a swap" in each for each in found)
    (gap, *_) = coverage.check(rotation, away, {}, NOW, NOW + coverage.HORIZON).gaps
    mended = replace(rotation, overrides=(Override(gap.starts_at, gap.ends_at, "bob"),))
    assert not coverage.problems(mended, {"ann": [Stretch(gap.starts_at, gap.ends_at)]}, {}, NOW)


def test_an_override_is_taken_out_of_those_it_falls_into() -> None:
    held = (Override(NOW, NOW + 4 * HOUR, "ann"),)
    given_away = with_override(held, Override(NOW + HOUR, NOW + 2 * HOUR, "bob"))
    assert [(each.responder_id, each.ends_at - each.starts_at) for each in given_away] == [
        ("ann", HOUR),
        ("bob", HOUR),
        ("ann", 2 * HOUR),
    ]
    rotation = replace(in_turn("r", ("c",), 1, UTC_ZONE, time(8), date(2026, 1, 1)), overrides=given_away)
    assert [each.responder_id for each in duties(rotation, NOW, NOW + 5 * HOUR)] == ["ann", "bob", "ann", "c"]
    assert not coverage.problems(rotation, {}, {}, NOW)


def _book(**rotations: Rotation) -> Book:
    known = frozenset({"ann", "bob", "cleo", "boss", "trainee"})
    teams = {"t": Team("t", "Team", known)}
    return Book({}, "", rotations, known, verified=known, teams=teams)


NIGHTS = replace(
    in_turn("nights", ("ann",), 1, UTC_ZONE, time(8), date(2026, 1, 1)),
    shadows=(Shadow(NOW, NOW + HOUR, "trainee"),),
    team_id="t",
    name="Nights",
)


def _policy(*steps: Step, repeats: int = 0) -> Policy:
    return Policy("p", steps, repeats, Step((Target(responder_id="boss"),), MINUTE), "Crisis")


def test_a_shadow_is_paged_beside_and_counts_for_nothing() -> None:
    book = _book(nights=NIGHTS)
    stage = stage_from(book, _policy(Step((Target(rotation_id="nights"),), MINUTE)), 0, NOW)
    assert (stage.responders, stage.observers, stage.wait) == (("ann",), ("trainee",), MINUTE)
    assert book.observes("trainee", NOW)
    assert not book.observes("trainee", NOW + HOUR)
    assert not book.observes("ann", NOW)
    alone = replace(book, reachable=frozenset({"trainee", "boss"}))
    assert stage_from(alone, _policy(Step((Target(rotation_id="nights"),), MINUTE)), 0, NOW).last_resort


def test_a_team_is_whoever_it_has_on_call() -> None:
    stage = stage_from(_book(nights=NIGHTS), _policy(Step((Target(team_id="t"),), MINUTE)), 0, NOW)
    assert stage.responders == ("ann",)


@given(st.integers(0, 1000), st.integers(0, 5))
def test_a_round_robin_pages_each_in_turn_and_passes_over_who_cannot_be_reached(turn: int, repeats: int) -> None:
    targets = tuple(Target(responder_id=each) for each in ("ann", "gone", "bob", "cleo"))
    policy = _policy(Step(targets, MINUTE, round_robin=True), repeats=repeats)
    paged = [stage_from(_book(), policy, number, NOW, turn).responders for number in range(repeats + 1)]
    order = ("ann", "bob", "bob", "cleo")
    assert paged == [(order[(turn + number) % 4],) for number in range(repeats + 1)]


@given(st.integers(0, 1000), st.integers(0, 4), st.booleans())
def test_the_stage_of_every_turn_is_known_before_the_turn_is_taken(turn: int, number: int, round_robin: bool) -> None:
    first = Step((Target(responder_id="gone"),), MINUTE, round_robin)
    second = Step(tuple(Target(responder_id=each) for each in ("ann", "gone", "bob")), MINUTE, round_robin)
    policy = _policy(first, second, repeats=1)
    stages = stages_from(_book(), policy, number, NOW)
    assert stages[turn % len(stages)] == stage_from(_book(), policy, number, NOW, turn)
    assert len(stages) == (3 if round_robin and number < 4 else 1)
    assert policy.takes_turns == round_robin


def test_the_last_resort_is_everyone_on_duty_and_a_named_supervisor() -> None:
    stage = stage_from(_book(nights=NIGHTS), _policy(), 7, NOW)
    assert stage.responders == ("boss", "ann", LAST_RESORT_ID)
    nobody = Policy("p", (), 0, Step((Target(everyone_on_duty=True),), MINUTE), "Crisis")
    assert "names no supervisor" in plan.of_policy(_book(nights=NIGHTS), nobody, NOW)[0]


@given(st.integers(1, 5), st.lists(st.builds(Rule, st.integers(0, 6), st.integers(0, 900)), max_size=6))
def test_rules_add_and_never_delay(channels: int, rules: list[Rule]) -> None:
    plain = dict(notifying.pages_of(channels, (), Severity.HIGH))
    own = dict(notifying.pages_of(channels, rules, Severity.HIGH))
    assert plain == {0: 0}
    assert own[0] == 0
    assert set(own) == {0} | {each.place for each in rules if each.place < channels}
    for each in rules:
        assert each.place not in own or own[each.place] <= each.after_seconds
    assert notifying.pages_of(channels, rules, Severity.IMMEDIATE) == [(place, 0) for place in range(channels)]


def test_the_forecast_is_what_the_stages_say() -> None:
    policy = _policy(
        Step((Target(responder_id="gone"),), MINUTE), Step((Target(rotation_id="nights"),), 2 * MINUTE), repeats=1
    )
    found = forecast.pages(
        _book(nights=NIGHTS), policy, NOW, lambda who: [(0, 0), (1, 30)] if who == "ann" else [(0, 0)]
    )
    assert [(each.after // MINUTE, each.step, each.responder_id, each.place, each.shadow) for each in found[:4]] == [
        (0, "Step 2", "ann", 0, False),
        (0, "Step 2", "trainee", 0, True),
        (0, "Step 2", "ann", 1, False),
        (2, "Step 2, again", "ann", 0, False),
    ]
    last = [each for each in found if each.step == "Last resort"]
    assert {each.after for each in last} == {4 * MINUTE, 4 * MINUTE + timedelta(seconds=30)}
    assert {each.responder_id for each in last} == {"boss", "ann", LAST_RESORT_ID, "trainee"}


def test_what_was_wrong_before_keeps_nobody_from_mending() -> None:
    late = in_turn("late", ("ann",), 1, UTC_ZONE, time(8), date(2026, 2, 1))
    before, after = _book(late=late), _book(late=late, nights=NIGHTS)
    assert plan.problems(before, NOW)
    assert not plan.newly_wrong(before, after, NOW)
    broken = replace(after, verified=after.verified - {"ann"})
    assert any("Nights" in each and "two verified channels" in each for each in plan.newly_wrong(after, broken, NOW))


def test_a_rotation_is_refused_for_what_it_was_not_wrong_with_before() -> None:
    days = in_turn("days", ("ann",), 1, UTC_ZONE, time(8), date(2026, 1, 1))
    off = {"ann": [Stretch(NOW + day * DAY, NOW + day * DAY + 6 * HOUR) for day in range(1, 9)]}
    held = _book(days=days)
    held = replace(held, away=off)

    def refused(*overrides: Override, name: str = "days", **changes: object) -> list[str]:
        drafted = replace(days, overrides=overrides, name=name)
        return plan.of_draft(held, replace(held, **changes), drafted, NOW)  # type: ignore[arg-type]

    assert len(plan.of_rotation(held, days, NOW)) > coverage.TOLD
    # More stretches than are told, one of them mended, the whole or its middle; another name; nothing changed at all.
    for starts, ends in ((0, 6), (2, 3), (0, 1)):
        mend = Override(NOW + DAY + starts * HOUR, NOW + DAY + ends * HOUR, "bob")
        assert not refused(mend)
        assert not refused(mend, name="Long days", names={"ann": "Ann", "bob": "Bob"})
    assert not refused()
    # The same fault, and longer; two overrides at once; somebody who may not be on call.
    (longer,) = refused(away={"ann": [*off["ann"], Stretch(NOW + DAY + 5 * HOUR, NOW + DAY + 9 * HOUR)]})
    assert "from 2026-01-06 14:00 UTC to 2026-01-06 18:00 UTC" in longer
    one, other = Override(NOW + DAY, NOW + 2 * DAY, "bob"), Override(NOW + DAY, NOW + 3 * DAY, "cleo")
    assert "overlap" in " ".join(refused(one, other))
    assert "two verified channels" in " ".join(refused(one, verified=held.verified - {"bob"}))
    assert plan.of_draft(held, held, replace(days, rotation_id="other"), NOW), "of a new rotation everything counts"


def test_what_one_fault_hid_is_no_new_one() -> None:
    late = in_turn("late", ("ann",), 1, UTC_ZONE, time(8), date(2026, 2, 1))
    clashing = (Override(NOW, NOW + DAY, "ann"), Override(NOW, NOW + 2 * DAY, "bob"))
    held = _book(late=replace(late, overrides=clashing))
    assert "overlap" in plan.problems(held, NOW)[0]
    mended = replace(late, overrides=clashing[1:])
    assert any("Nobody is on call" in each for each in plan.of_rotation(held, mended, NOW))
    assert not plan.of_draft(held, held, mended, NOW)
    assert plan.of_draft(held, held, late, NOW), "the stretch that they had is open now"
