"""A change is made only to the version that the caller has seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haven_kit import etags
from haven_kit.errors import Stale


@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_an_etag_matches_its_own_version_only(one: int, other: int) -> None:
    etags.check(etags.of(one), one)
    if one != other:
        with pytest.raises(Stale):
            etags.check(etags.of(one), other)


@pytest.mark.parametrize("etag", ["", "*", '"v3"', "v3"])
def test_no_condition_and_the_quoted_form_are_taken(etag: str) -> None:
    etags.check(etag, 3)


@pytest.mark.parametrize("etag", ['W/"v3"', "3", "v03", "v3,v4", "V3", " v3"])
def test_anything_else_is_stale(etag: str) -> None:
    with pytest.raises(Stale):
        etags.check(etag, 3)
