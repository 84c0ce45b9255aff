"""Pages: every row once, whatever the size, and a token only for the list that it was made for."""

import base64

import orjson
import pytest
from haven.billing.v1.claims_pb2 import ListChargesRequest, ListClaimsRequest
from hypothesis import given
from hypothesis import strategies as st

from haven_kit.errors import Invalid
from haven_kit.paging import DEFAULT_SIZE, MAX_SIZE, Page, sign_with

_KEYS = st.lists(
    st.one_of(
        st.text(),
        st.integers(-(2**53), 2**53),
        st.booleans(),
        st.none(),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    max_size=4,
)


@pytest.mark.parametrize(
    ("asked", "given_"), [(0, DEFAULT_SIZE), (1, 1), (200, 200), (201, MAX_SIZE), (2**31 - 1, MAX_SIZE)]
)
def test_size_is_bounded(asked: int, given_: int) -> None:
    page = Page.of(ListChargesRequest(page_size=asked))
    assert (page.size, page.after) == (given_, None)


def test_a_negative_size_is_invalid() -> None:
    with pytest.raises(Invalid) as caught:
        Page.of(ListChargesRequest(page_size=-1))
    assert caught.value.violations[0].field == "page_size"


@given(_KEYS, st.text(max_size=20), st.integers(0, 300))
def test_the_next_page_starts_after_the_key_whatever_its_size(
    key: list[str | int | None], filter_: str, size: int
) -> None:
    first = ListChargesRequest(person_id=filter_, page_size=size)
    token = Page.of(first).next_token(key)
    assert Page.of(ListChargesRequest(person_id=filter_, page_size=7, page_token=token)).after == key


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_token_of_another_filter_is_invalid(one: str, other: str) -> None:
    token = Page.of(ListChargesRequest(person_id=one)).next_token(["a"])
    request = ListChargesRequest(person_id=other, page_token=token)
    if one == other:
        assert Page.of(request).after == ["a"]
    else:
        with pytest.raises(Invalid) as caught:
            Page.of(request)
        assert caught.value.violations[0].rule == "same_filter"


def test_a_token_of_another_method_is_invalid() -> None:
    token = Page.of(ListChargesRequest()).next_token(["a"])
    with pytest.raises(Invalid):
        Page.of(ListClaimsRequest(page_token=token))


@given(st.one_of(st.text(min_size=1), st.binary(min_size=1).map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_a_token_that_was_not_made_here_is_invalid(token: str) -> None:
    with pytest.raises(Invalid) as caught:
        Page.of(ListChargesRequest(page_token=token))
    assert caught.value.violations[0].field == "page_token"
    assert token not in caught.value.message or len(token) < 3


@pytest.mark.parametrize("decoded", [{}, [], [1], "x", None, 5])
def test_a_token_of_another_shape_is_invalid(decoded: object) -> None:
    token = base64.urlsafe_b64encode(orjson.dumps(decoded)).rstrip(b"=").decode()
    with pytest.raises(Invalid):
        Page.of(ListChargesRequest(page_token=token))


def test_a_key_that_was_never_given_out_is_invalid() -> None:
    token = Page.of(ListChargesRequest()).next_token(["a", 1])
    signature, *_ = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for key in (["b", 1], ["a"], [], ["a", 1, None], [{"a": []}], ["a\0", 1]):
        forged = base64.urlsafe_b64encode(orjson.dumps([signature, *key])).rstrip(b"=").decode()
        with pytest.raises(Invalid):
            Page.of(ListChargesRequest(page_token=forged))


def test_replicas_with_one_key_take_each_others_tokens() -> None:
    sign_with(b"a" * 32)
    token = Page.of(ListChargesRequest()).next_token(["a"])
    sign_with(b"b" * 32)
    with pytest.raises(Invalid):
        Page.of(ListChargesRequest(page_token=token))
    sign_with(b"a" * 32)
    assert Page.of(ListChargesRequest(page_token=token)).after == ["a"]


@given(st.integers(0, 60), st.integers(1, 20))
def test_walking_all_pages_shows_every_row_once(rows: int, size: int) -> None:
    seen: list[int] = []
    token = ""
    while True:
        page = Page.of(ListChargesRequest(page_size=size, page_token=token))
        after = page.after[0] if page.after else -1
        found = [row for row in range(rows) if row > after][: page.size + 1]
        shown, token = page.cut(found, lambda row: [row])
        seen += shown
        if not token:
            break
    assert seen == list(range(rows))


def test_a_token_is_safe_in_a_url() -> None:
    token = Page.of(ListChargesRequest()).next_token(["?/&=+ü", 3])
    assert token.replace("-", "").replace("_", "").isalnum()
