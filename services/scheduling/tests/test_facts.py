"""The program's facts against published bounds, and what the API offers of them."""

from typing import Any

import pytest
from haven.scheduling.v1 import calendar_pb2 as cal

from haven_scheduling.facts import agenda_templates, catalogue, treats

# 42 CFR 410.44(c)(1)(i): at least 9 hours a week; 42 CFR 410.43(c)(1): at least 20.
LEAST_HOURS = {"iop": 9, "php": 20}


@pytest.mark.parametrize("track", catalogue().tracks, ids=lambda each: each.track)
def test_a_week_of_each_track_keeps_the_published_bounds(track: Any) -> None:
    assert track.min_hours_per_week >= LEAST_HOURS.get(track.track.split("-")[0], 1)
    assert track.min_days_per_week <= track.max_days_per_week <= 7
    assert track.max_days_per_week * track.max_minutes_per_day >= track.min_hours_per_week * 60
    assert track.source
    assert track.weeks == sum(each.weeks for each in track.phases) > 0


def test_intensive_outpatient_is_three_to_five_days_of_three_to_four_hours() -> None:
    tracks = [each for each in catalogue().tracks if each.track.startswith("iop-")]
    assert tracks
    for each in tracks:
        assert (each.min_days_per_week, each.max_days_per_week) == (3, 5)
        assert (each.min_minutes_per_day, each.max_minutes_per_day) == (180, 240)


def test_only_licences_treat() -> None:
    assert treats("lcsw")
    assert not treats("yoga_teacher")
    assert not treats("unknown")


@pytest.mark.parametrize("template", agenda_templates().templates, ids=lambda each: each.template)
def test_an_outline_opens_closes_and_has_the_length_in_its_name(template: Any) -> None:
    assert template.items[0].kind == cal.AGENDA_ITEM_KIND_OPENING
    assert template.items[-1].kind == cal.AGENDA_ITEM_KIND_CLOSING
    assert template.total_minutes == int(template.template.rsplit("-", 1)[1])
