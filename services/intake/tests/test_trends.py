"""Check-ins that became worse for days: the rule, and what is told of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from haven.intake.v1 import care_pb2, care_service_pb2, events_pb2
from hypothesis import given, settings
from hypothesis import strategies as some

from haven_intake import facts
from haven_intake.__main__ import SPEC
from haven_intake.domain import trends
from haven_kit.clock import FakeClock
from haven_kit.testing import eventually

from .conftest import People

RULE = facts.check_in_trend()
TODAY = date(2026, 3, 20)


def days(*values: float | None) -> dict[date, float]:
    """One value a day up to today; None: no check-in on that day."""
    last = len(values) - 1
    return {TODAY - timedelta(days=last - n): value for n, value in enumerate(values) if value is not None}


@pytest.mark.parametrize(
    ("values", "falls"),
    [
        ((7, 6, 7, 6, 7, 4, 4, 3), True),
        ((7, 6, 7, 6, 7, 4, 4, 6), False),  # better again
        ((7, 6, 7, 6, 7, 4, 6, 3), False),  # not for days on end
        ((7, 6, 7, 6, 7, 5, 5, 5), False),  # not far enough
        ((4, 4, 3, 4, 4, 4, 3, 4), False),  # low, and always was
        ((7, 6, 7, 6, 4, 4, 3), False),  # too few days to know what is usual
        ((9, 1, 9, 2, 8, 3, 3, 3), False),  # days that are far apart anyway
        ((7, 6, 7, 6, 7, 4, None, 4, None, 3), True),  # days without a check-in between
        ((7, 6, 7, 6, 7, 4, None, None, 4, None, 3), False),  # too long between
    ],
)
def test_a_fall_is_far_and_lasts(values: tuple[float | None, ...], falls: bool) -> None:
    assert trends.has_fallen(RULE, days(*values), TODAY, None) is falls


def test_days_that_were_told_of_are_not_told_again() -> None:
    low = days(7, 6, 7, 6, 7, 4, 4, 3)
    assert not trends.has_fallen(RULE, low, TODAY, TODAY)
    assert not trends.has_fallen(RULE, low, TODAY, TODAY - timedelta(days=2))
    assert trends.has_fallen(RULE, low, TODAY, TODAY - timedelta(days=3))


@settings(deadline=None)
@given(some.lists(some.integers(0, 10), min_size=8, max_size=20), some.integers(0, 10))
def test_a_better_day_never_raises_anything(values: list[int], better: int) -> None:
    held = days(*values)
    if not trends.has_fallen(RULE, held, TODAY, None):
        held[TODAY] = max(held[TODAY], better)
        assert not trends.has_fallen(RULE, held, TODAY, None)


async def test_a_fall_is_told_once_without_what_was_answered(serve: Any) -> None:
    clock = FakeClock()
    intake = await serve(SPEC, clock=clock)
    people = People(intake)
    person_id = await people.referred()

    async def mood(value: int) -> care_pb2.CheckIn:
        clock.advance(timedelta(days=1))
        made: care_pb2.CheckIn = await people.person(person_id).care.CreateCheckIn(
            care_service_pb2.CreateCheckInRequest(
                person_id=person_id, check_in=care_pb2.CheckIn(mood=value, message="mine")
            )
        )
        return made

    assert [(await mood(each)).message for each in (7, 6, 7, 6, 7, 4, 4)] == [""] * 7
    assert "988" in (await mood(3)).message
    assert (await mood(3)).message == ""
    (told,) = [each for each in await intake.told(events_pb2.CheckInTrendNoticed) if each.person_id == person_id]
    assert told.rule_id == RULE.rule_id
    listed = await people.person(person_id).care.ListCheckIns(care_service_pb2.ListCheckInsRequest(person_id=person_id))
    assert {each.message for each in listed.check_ins} == {""}


SYMPTOMS = facts.symptom_trends()["phq-9"]
START = datetime(2026, 1, 5, tzinfo=UTC)


def test_symptoms_are_of_instruments_that_there_are_and_name_their_sources() -> None:
    known = facts.symptom_trends()
    assert set(known) <= set(facts.all_instruments())
    assert (SYMPTOMS.rule_id, SYMPTOMS.change, SYMPTOMS.at_least) == ("symptom-trend/1", 5, 10)
    assert all("2004" in each.source for each in known.values())


@pytest.mark.parametrize(
    ("pairs", "worse"),
    [
        ([(0, 8), (7, 13)], True),  # five points: Löwe 2004
        ([(0, 8), (7, 12)], False),  # less than matters
        ([(0, 4), (7, 9)], False),  # mild still
        ([(0, 5), (7, 10)], True),
        ([(0, 13), (7, 8)], False),  # better
        ([(0, 20), (7, 21)], False),  # high, and was
        ([(0, 8), (7, 13), (14, 14)], False),  # told of before
        ([(0, 15), (7, 8), (14, 13)], True),
        ([(0, 8), (60, 13)], True),
        ([(0, 8), (61, 13)], False),  # too long ago to be compared
        ([(0, 13)], False),  # the first
        ([], False),
    ],
)
def test_symptoms_are_worse_by_what_matters(pairs: list[tuple[int, int]], worse: bool) -> None:
    totals = [(START + timedelta(days=day), total) for day, total in pairs]
    at = max((at for at, _ in totals), default=START)
    assert trends.has_worsened(SYMPTOMS, totals[::-1], at) is worse
    later = [*totals, (at + timedelta(days=1), 0), (at + timedelta(days=2), 27)]
    assert trends.has_worsened(SYMPTOMS, later, at) is worse, "what came later changes nothing"


async def test_worse_symptoms_are_told_once_without_what_was_answered(serve: Any) -> None:
    clock = FakeClock()
    intake = await serve(SPEC, clock=clock)
    person_id = await People(intake).referred()

    async def screened(instrument_id: str, value: int, **items: int) -> None:
        clock.advance(timedelta(days=7))
        await People(intake).answered(person_id, instrument_id, value, **items)

    await screened("phq-9", 1, phq9_9=0)
    await screened("gad-7", 0)
    await screened("gad-7", 3)
    await screened("phq-9", 2, phq9_9=0)
    await screened("phq-9", 2, phq9_9=0)

    async def told() -> Any:
        return [each for each in await intake.told(events_pb2.CheckInTrendNoticed) if each.person_id == person_id]

    (event,) = await eventually(told)
    await screened("phq-9", 1, phq9_9=0)
    await screened("phq-9", 3, phq9_9=0)

    async def again() -> Any:
        return [each for each in await told() if each.signal_id != event.signal_id]

    (second,) = await eventually(again)
    assert len(await told()) == 2, "one for each time that it became worse, and none for staying so"
    for each in (event, second):
        assert each.rule_id == "symptom-trend/1"
        assert {field.name for field, _ in each.ListFields()} == {"signal_id", "person_id", "rule_id", "raised_at"}
    assert [each for each in await intake.told(events_pb2.ConcernRaised) if each.person_id == person_id] == []
