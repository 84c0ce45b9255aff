from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from haven_intake.domain.matching import Strength, Who, compare, name_key, phone_key, search_keys

names = st.text(st.characters(categories=("Lu", "Ll")), min_size=3, max_size=12)
dates = st.dates().map(lambda day: day.isoformat())


@st.composite
def people(draw):
    return Who(
        given_name=draw(names),
        family_name=draw(names),
        birth_date=draw(dates),
        identifiers=draw(st.frozensets(st.tuples(names, names), max_size=2)),
        phones=draw(st.frozensets(st.integers(2_000_000_000, 9_999_999_999).map(str), max_size=2)),
        emails=draw(st.frozensets(st.emails(), max_size=1)),
    )


@st.composite
def related(draw):
    """Two records that agree in some of what they say."""
    one, other = draw(people()), draw(people())
    same = draw(st.sets(st.sampled_from([each.name for each in fields(Who)])))
    return one, replace(other, **{name: getattr(one, name) for name in same})


@given(related())
def test_the_order_makes_no_difference(pair):
    one, other = pair
    assert compare(one, other) == compare(other, one)


@given(people())
def test_a_person_is_at_least_probably_themselves(one):
    assert compare(one, one).strength >= Strength.PROBABLE


@given(people(), people(), st.tuples(names, names))
def test_a_shared_identifier_is_certain(one, other, identifier):
    shared = frozenset({identifier})
    first = Who(one.given_name, one.family_name, one.birth_date, shared)
    second = Who(other.given_name, other.family_name, other.birth_date, shared)
    assert compare(first, second).strength is Strength.CERTAIN


@given(related())
def test_whoever_matches_is_found_by_a_shared_key(pair):
    one, other = pair
    if compare(one, other).strength:
        assert search_keys(one) & search_keys(other)


@given(people())
def test_a_birth_date_alone_is_nothing(one):
    other = Who("Quillon", "Brackenridge", one.birth_date)
    assert compare(Who("Ottoline", "Fairweather", one.birth_date), other).strength is Strength.NONE


def test_writing_differences_are_the_same_name():
    assert name_key("María-José", "O'Brien") == name_key("maria jose", "OBrien")
    assert name_key("Dr. Ana", "Lima") == name_key("Ana", "Lima")


def test_a_typing_slip_is_possible_and_with_a_phone_probable():
    one = Who("Katherine", "Johannson", "1988-02-01", phones=frozenset({"(316) 555-0101"}))
    slip = Who("Katharine", "Johannson", "1988-02-01")
    assert compare(one, slip).strength is Strength.POSSIBLE
    reached = Who("Katharine", "Johannson", "1988-02-01", phones=frozenset({"+1 316 555 0101"}))
    assert compare(one, reached).strength is Strength.PROBABLE


def test_a_parent_and_child_who_share_name_and_phone_are_two_people():
    phone = frozenset({"316-555-0101"})
    parent, child = Who("Ann", "Lee", "1960-01-01", phones=phone), Who("Ann", "Lee", "1990-01-01", phones=phone)
    assert compare(parent, child).strength is Strength.NONE


def test_short_numbers_are_no_key():
    assert phone_key("911") == ""
    assert phone_key("+1 (316) 555-0101") == phone_key("3165550101")
