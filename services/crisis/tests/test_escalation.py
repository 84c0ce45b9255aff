"""Who is paged when nobody answers; severity and help lines as data."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from haven_crisis import facts
from haven_crisis.domain.escalation import LAST_RESORT_ID, Book, Policy, Step, Target, stage_from
from haven_crisis.domain.plan import of_policy
from haven_crisis.domain.rotation import in_turn
from haven_crisis.store.pages import PageState

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROTATION = in_turn("nights", ("ann",), 1, ZoneInfo("UTC"), time(8), date(2026, 1, 1))


def book(*reachable: str) -> Book:
    known = frozenset(reachable)
    return Book({}, "", {"nights": ROTATION}, known, verified=known)


def policy(*targets: Target, repeats: int = 0) -> Policy:
    last = Step((Target(responder_id="boss"),), MINUTE)
    return Policy("p", tuple(Step((each,), MINUTE) for each in targets), repeats, last)


def test_steps_repeat_and_then_the_last_resort_goes_on_for_ever() -> None:
    plan = policy(Target(rotation_id="nights"), Target(responder_id="bob"), repeats=1)
    known = book("ann", "bob", "boss")
    paged = [stage_from(known, plan, number, NOW).responders for number in range(7)]
    assert paged == [("ann",), ("bob",), ("ann",), ("bob",)] + [("boss", "ann", LAST_RESORT_ID)] * 3


def test_a_step_that_reaches_nobody_is_skipped_at_once() -> None:
    plan = policy(Target(responder_id="gone"), Target(rotation_id="nights"))
    stage = stage_from(book("ann"), plan, 0, NOW)
    assert (stage.number, stage.responders) == (1, ("ann",))


def test_everyone_on_duty_is_paged_once_each() -> None:
    both = Step((Target(everyone_on_duty=True), Target(responder_id="ann")), MINUTE)
    stage = stage_from(book("ann"), Policy("p", (both,), 0, both), 0, NOW)
    assert stage.responders == ("ann",)


def test_without_a_policy_the_last_resort_is_paged() -> None:
    stage = stage_from(book(), None, 5, NOW)
    assert (stage.number, stage.responders, stage.last_resort) == (5, (LAST_RESORT_ID,), True)


@given(st.lists(st.sampled_from(["ann", "bob", "gone"]), max_size=6), st.integers(0, 3), st.integers(0, 40))
def test_every_stage_pages_somebody_and_never_goes_back(names: list[str], repeats: int, number: int) -> None:
    plan = policy(*(Target(responder_id=name) for name in names), repeats=repeats)
    stage = stage_from(book("ann", "bob", "boss"), plan, number, NOW)
    assert stage.responders
    assert stage.number >= number
    assert stage.wait > timedelta(0)


def test_problems_name_the_step() -> None:
    found = of_policy(book("ann"), policy(Target(responder_id="gone"), Target(rotation_id="other")), NOW)
    assert [each.split(" names")[0] for each in found] == ["Step 1", "Step 2", "The last resort"]
    assert not of_policy(book("ann", "boss"), policy(Target(rotation_id="nights")), NOW)


def test_help_lines_fit_the_place() -> None:
    def numbers(country: str = "") -> list[str]:
        return [each.number for each in facts.help_lines(country)]

    assert numbers() == ["988", "911"]
    assert numbers("US") == ["911", "988"]
    assert numbers("GB") == ["999", "116 123"]
    assert numbers("XX") == ["112"]


def test_page_states_are_those_of_the_contract() -> None:
    from haven.crisis.v1 import alerts_pb2

    wanted = {name.removeprefix("PAGE_STATE_"): number for name, number in alerts_pb2.PageState.items() if number}
    assert {each.name: int(each) for each in PageState} == wanted
