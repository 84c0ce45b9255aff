"""Scoring against the published tables, and rules that hold for every set of answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haven_intake import facts
from haven_intake.domain import instruments as rules

ALL = facts.all_instruments()


def answers_with_total(instrument, total):
    """Answers that sum to the total, spread over the items."""
    top = max(option.value for option in instrument.options)
    values = {}
    for item in instrument.items:
        values[item.id] = min(top, total)
        total -= values[item.id]
    assert total == 0
    return values


# Kroenke 2001, table 6.
PHQ_9 = {(0, 4): "minimal", (5, 9): "mild", (10, 14): "moderate", (15, 19): "moderately severe", (20, 27): "severe"}


# Kroenke 2001; Spitzer 2006, "Scoring".
@pytest.mark.parametrize(
    ("instrument_id", "bands"),
    [
        ("phq-9", PHQ_9),
        ("gad-7", {(0, 4): "minimal", (5, 9): "mild", (10, 14): "moderate", (15, 21): "severe"}),
        # National Center for PTSD: cut-point 31.
        ("pcl-5", {(0, 30): "below the cut-point", (31, 80): "at or above the cut-point"}),
    ],
)  # fmt: skip
def test_every_total_has_the_published_severity(instrument_id, bands):
    instrument = ALL[instrument_id]
    for (low, high), severity in bands.items():
        for total in range(low, high + 1):
            result = rules.score(instrument, answers_with_total(instrument, total))
            assert (result.total, result.severity) == (total, severity)
    highest = max(high for _, high in bands)
    assert highest == len(instrument.items) * max(option.value for option in instrument.options)


def test_loinc_codes_are_the_published_ones():
    # LOINC 44249-1 and 69737-5, in the order of their panels; 93373-9.
    assert [item.loinc for item in ALL["phq-9"].items] == [
        "44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8",
    ]  # fmt: skip
    assert [item.loinc for item in ALL["gad-7"].items] == [
        "69725-0", "68509-9", "69733-4", "69734-2", "69735-9", "69689-8", "69736-7",
    ]  # fmt: skip
    assert [item.loinc for item in ALL["c-ssrs-screener"].items] == [
        "93246-7", "93247-5", "93248-3", "93249-1", "93250-9", "93267-3", "93269-9",
    ]  # fmt: skip
    assert {key: each.loinc for key, each in ALL.items()} == {
        "phq-9": "44249-1", "gad-7": "69737-5", "pcl-5": "101697-1", "c-ssrs-screener": "93373-9",
    }  # fmt: skip


# Columbia Lighthouse Project, triage points of the screener: the answers given as yes, and the risk.
@pytest.mark.parametrize(
    ("yes", "risk"),
    [
        ((), "none reported"),
        ((1,), "low"),
        ((2,), "low"),
        ((1, 2), "low"),
        ((2, 3), "moderate"),
        ((6,), "moderate"),
        ((2, 4), "high"),
        ((2, 3, 5), "high"),
        ((6, 7), "high"),
        ((1, 6, 7), "high"),
    ],
)
def test_the_screener_is_triaged_as_published(yes, risk):
    instrument = ALL["c-ssrs-screener"]
    given_answers = {item.id: int(number in yes) for number, item in enumerate(instrument.items, 1)}
    assert rules.score(instrument, given_answers).severity == risk


def test_follow_up_questions_are_asked_only_when_they_matter():
    instrument = ALL["c-ssrs-screener"]
    assert rules.missing(instrument, {"cssrs-1": 0, "cssrs-2": 0, "cssrs-6": 0}) == ()
    assert rules.missing(instrument, {"cssrs-1": 0, "cssrs-2": 1, "cssrs-6": 1}) == (
        "cssrs-3", "cssrs-4", "cssrs-5", "cssrs-7",
    )  # fmt: skip


def pcl(**clusters):
    """Moderate (2) answers to so many items of each cluster, and nothing else."""
    values = {item.id: 0 for item in ALL["pcl-5"].items}
    for name, count in clusters.items():
        scale = next(each for each in ALL["pcl-5"].subscales if each.name.startswith(name))
        values |= dict.fromkeys(scale.items[:count], 2)
    return rules.score(ALL["pcl-5"], values)


def test_the_cluster_rule_needs_one_b_one_c_two_d_two_e():
    provisional = ALL["pcl-5"].findings[1].text
    assert pcl(B=1, C=1, D=2, E=2).findings == (provisional,)
    for less in ({"B": 0}, {"C": 0}, {"D": 1}, {"E": 1}):
        assert pcl(**({"B": 1, "C": 1, "D": 2, "E": 2} | less)).findings == ()
    assert dict(pcl(B=1, C=1, D=2, E=2).subscales)["D, mood and thinking"] == 4


instruments = st.sampled_from(sorted(ALL)).map(ALL.__getitem__)


@st.composite
def answered(draw):
    instrument = draw(instruments)
    values = st.sampled_from([option.value for option in instrument.options])
    return instrument, {item.id: draw(values) for item in instrument.items}


@given(answered())
def test_complete_answers_score_within_the_published_range(case):
    instrument, answers = case
    result = rules.score(instrument, answers)
    assert result.total == sum(answers.values())
    names = {band.severity for band in instrument.bands} | {level.severity for level in instrument.triage}
    assert result.severity in names


@given(answered(), st.data())
def test_an_answer_left_out_is_named_and_nothing_is_scored(case, source):
    instrument, answers = case
    always = [item.id for item in instrument.items if not item.asked_when_positive]
    left = source.draw(st.sampled_from(always))
    del answers[left]
    assert left in rules.missing(instrument, answers)
    with pytest.raises(ValueError, match=left):
        rules.score(instrument, answers)


@given(answered(), st.data())
def test_a_higher_answer_never_lowers_the_risk(case, source):
    instrument, answers = case
    item = source.draw(st.sampled_from([each.id for each in instrument.items]))
    more = answers | {item: max(option.value for option in instrument.options)}
    order = [band.severity for band in instrument.bands] or [level.severity for level in reversed(instrument.triage)]
    before, after = rules.score(instrument, answers), rules.score(instrument, more)
    assert order.index(after.severity) >= order.index(before.severity)


@given(answered(), st.lists(st.tuples(st.text(max_size=10), st.integers(-5, 50)), max_size=5))
def test_noise_beside_it_never_hides_a_call_for_help(case, noise):
    instrument, answers = case
    alone = rules.concerns(instrument, list(answers.items()))
    assert alone <= rules.concerns(instrument, [*noise, *answers.items()])
    accepted = rules.accept(instrument, [*noise, *answers.items()])
    assert all(accepted.answers[item] >= value for item, value in answers.items())


@given(st.integers(1, 3))
def test_item_nine_above_zero_calls_for_help(value):
    assert rules.concerns(ALL["phq-9"], [("phq9-9", value)]) == {"phq9-9"}


def test_nothing_calls_for_help_without_a_positive_item():
    for instrument in ALL.values():
        assert not rules.concerns(instrument, [(item.id, 0) for item in instrument.items])


def test_past_behavior_alone_is_no_call_for_help_now():
    assert not rules.concerns(ALL["c-ssrs-screener"], [("cssrs-6", 1)])


def test_intent_a_plan_and_recent_behavior_need_somebody_at_once():
    instrument = ALL["c-ssrs-screener"]
    levels = {item: rules.urgency(instrument, [item]).name for item in instrument.concern}
    assert levels == {f"cssrs-{n}": "HIGH" for n in (1, 2, 3)} | {f"cssrs-{n}": "IMMEDIATE" for n in (4, 5, 7)}
    assert rules.urgency(instrument, ["cssrs-1", "cssrs-4"]).name == "IMMEDIATE"
    assert rules.urgency(ALL["phq-9"], ["phq9-9"]).name == "HIGH"
