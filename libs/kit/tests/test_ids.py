"""Identifiers sort by the time they were made."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haven_kit import ids


def test_later_ids_are_greater_also_within_a_millisecond() -> None:
    made = [ids.new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_of_many_threads_are_distinct() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [one for many in pool.map(lambda _: [ids.new_id() for _ in range(2000)], range(8)) for one in many]
    assert len(set(made)) == len(made)


def test_id_is_a_lower_case_version_7_uuid() -> None:
    made = ids.new_id()
    parsed = uuid.UUID(made)
    assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, made)


def test_time_of_an_id_is_when_it_was_made() -> None:
    before = datetime.now(UTC)
    at = ids.time_of(ids.new_id())
    assert before - timedelta(milliseconds=2) <= at <= datetime.now(UTC) + timedelta(milliseconds=2)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_time_of_reads_the_first_48_bits(milliseconds: int, rest: int) -> None:
    if milliseconds > 253402300799999:  # the last millisecond of year 9999
        milliseconds %= 253402300799999
    number = milliseconds << 80 | 7 << 76 | (rest >> 62) << 64 | 2 << 62 | (rest & (2**62 - 1))
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert ids.time_of(str(uuid.UUID(int=number))) == expected


@pytest.mark.parametrize("text", ["", "not an id", str(uuid.UUID(int=4)), "7f9c24e8-3b12-4fe7-8a0c-5d1e0f7c9b44"])
def test_time_of_refuses_other_text(text: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        ids.time_of(text)
