from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haven_intake import facts
from haven_intake.domain import accesses, care_team, consents, levels, plans, readiness

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
LEVELS = facts.levels_of_care()
risks = st.tuples(*[st.integers(0, 4)] * 6)


# ASAM Criteria: level 1 under 9 hours a week, 2.1 from 9 to 19, 2.5 from 20.
@pytest.mark.parametrize(("level", "hours"), [("outpatient", (0, 8)), ("iop", (9, 19)), ("php", (20, 40))])
def test_hours_of_each_level_are_the_published_ones(level, hours):
    assert (LEVELS[level].hours_from, LEVELS[level].hours_to) == hours


@given(risks, st.booleans(), st.integers(1, 40))
def test_hours_decide_between_the_levels_without_overlap(dimensions, around_the_clock, hours):
    fits = levels.all_fits(list(LEVELS.values()), levels.Facts(dimensions, around_the_clock, hours))
    ambulatory = [each for each in fits if each.fits and not each.level.around_the_clock]
    assert len(ambulatory) <= 1
    assert all(each.fits or each.reasons for each in fits)


@given(risks)
def test_care_around_the_clock_is_never_given_by_day(dimensions):
    for each in levels.all_fits(list(LEVELS.values()), levels.Facts(dimensions, True, 0)):
        assert not each.fits or each.level.around_the_clock


@given(risks, st.booleans())
def test_every_need_has_a_level(dimensions, around_the_clock):
    facts = levels.Facts(dimensions, around_the_clock, 0)
    if around_the_clock and max(dimensions) < 3:
        return
    assert any(each.fits for each in levels.all_fits(list(LEVELS.values()), facts))


def there(**given):
    needs = facts.admission_needs()
    values = {
        "consents": set(needs.consents),
        "screenings": dict.fromkeys(needs.screenings, NOW - timedelta(days=1)),
        "technology_ready": True,
        "location_eligible": True,
        "care_team_roles": {"individual_therapist"},
        "referral_accepted": True,
        "duplicate_open": False,
        "time_zone_known": True,
    }
    return levels.Preparation(**(values | given))


def test_nothing_is_missing_when_everything_is_there():
    assert levels.missing_for_admission(facts.admission_needs(), there(), NOW) == ()


@given(st.sets(st.sampled_from(facts.admission_needs().consents)))
def test_exactly_the_missing_consents_are_named(given_consents):
    missing = levels.missing_for_admission(facts.admission_needs(), there(consents=given_consents), NOW)
    assert {name.removeprefix("consent ") for name in missing} == set(facts.admission_needs().consents) - given_consents


def test_an_old_screening_is_asked_again():
    times = dict.fromkeys(facts.admission_needs().screenings, NOW) | {"phq-9": NOW - timedelta(days=31)}
    assert levels.missing_for_admission(facts.admission_needs(), there(screenings=times), NOW) == ("screening phq-9",)


def test_open_questions_are_named():
    missing = levels.missing_for_admission(
        facts.admission_needs(), there(duplicate_open=True, time_zone_known=False), NOW
    )
    assert missing == ("decision about the duplicate record", "time zone")


members = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([*care_team.SEPARATE, "facilitator", "prescriber"]))
)


@given(members, members)
def test_nobody_holds_two_separate_roles(team, partners):
    held = {}
    for who, role in team + partners:
        held.setdefault(who, set()).add(role)
    expected = any(len(roles & set(care_team.SEPARATE)) > 1 for roles in held.values())
    assert bool(care_team.clashes(team, partners)) == expected


@pytest.mark.parametrize(
    ("kind", "without", "field"),
    [
        ("part2_disclosure", "purpose", "purpose"),
        ("part2_disclosure", "expires_at", "expires_at"),
        ("part2_disclosure", "recipient", "grantee_id"),
        ("share_with_partner", "scopes", "scopes"),
        ("treatment", "signature", "signature"),
    ],
)
def test_a_consent_names_what_it_lacks(kind, without, field):
    document = facts.consent_documents()[kind]
    values = {"version": document.version, "signature": "Ann Lee", "recipient": True, "purpose": "Care", "scopes": 1,
              "expires_at": NOW + timedelta(days=90)}  # fmt: skip
    assert consents.faults(document, consents.Given(**values), NOW) == ()
    empty = {"purpose": "", "expires_at": None, "recipient": False, "scopes": 0, "signature": " "}
    found = consents.faults(document, consents.Given(**(values | {without: empty[without]})), NOW)
    assert [each.field for each in found] == [field]


def test_an_old_text_and_a_past_day_are_refused():
    document = facts.consent_documents()["part2_disclosure"]
    given_consent = consents.Given("2020-01", "Ann Lee", True, "Care", 0, NOW - timedelta(seconds=1))
    assert [each.rule for each in consents.faults(document, given_consent, NOW)] == ["in_force", "future"]


@given(st.none() | st.integers(-10, 10), st.none() | st.integers(-10, 10))
def test_in_force_until_revoked_or_expired(revoked, expires):
    at = None if expires is None else NOW + timedelta(days=expires)
    back = None if revoked is None else NOW + timedelta(days=revoked)
    assert consents.in_force(back, at, NOW) == (revoked is None and (expires is None or expires > 0))


def test_part_2_documents_carry_the_notice_of_the_rule():
    assert "42 CFR part 2 prohibits" in facts.consent_documents()["part2_disclosure"].redisclosure_notice


@pytest.mark.parametrize("missing", ["download", "microphone", "state"])
def test_readiness_says_what_would_help(missing):
    check = readiness.Check(
        download_kbps=100 if missing == "download" else 5000,
        upload_kbps=2000,
        camera_works=False,
        microphone_works=missing != "microphone",
        private_place=True,
        state="ZZ" if missing == "state" else "KS",
    )
    outcome = readiness.judge(check, facts.connection_needs(), facts.licensed_states())
    assert outcome.technology_ready == (missing == "state")
    assert outcome.location_eligible == (missing != "state")
    assert len(outcome.suggestions) == 2


def test_a_plan_follows_the_assessment():
    texts = facts.plan_suggestions()
    assert plans.suggestions(plans.Needs(), texts) == ()
    found = plans.suggestions(plans.Needs(trauma=True, substance_use=True), texts)
    assert found == (texts["trauma"], texts["substance_use"], texts["co_occurring"])


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        (
            ("u1", "individual_therapist", "Dana Reyes", False),
            "Dana Reyes, individual therapist, read your preferences.",
        ),
        (("u1", "on_call_responder", "", False), "An on-call responder read your preferences."),
        (("u1", "participant", "", True), "You read your own preferences."),
        (("system:crisis/pager", "", "", False), "The crisis part of the program read your preferences."),
    ],
)
def test_accesses_read_plainly(who, sentence):
    principal, role, name, is_self = who
    someone = accesses.who(principal, role, name, is_self=is_self)
    assert accesses.sentence(someone, "read your preferences", is_self=is_self, break_glass=False) == sentence
