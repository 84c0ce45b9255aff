"""Enum values as words, and back."""

import pytest
from haven.billing.v1.claims_pb2 import ChargeState
from haven.options.v1.options_pb2 import Role

from haven_kit.words import number, word


def test_every_value_comes_back() -> None:
    for value in ChargeState.values():
        assert number(ChargeState, word(ChargeState, value)) == value


def test_words_are_the_domains() -> None:
    assert word(Role, Role.ROLE_INDIVIDUAL_THERAPIST) == "individual_therapist"


def test_no_word_is_the_unspecified_value() -> None:
    assert number(Role, "") == Role.ROLE_UNSPECIFIED


def test_unknown_values_are_refused() -> None:
    with pytest.raises(ValueError, match="99"):
        word(Role, 99)
    with pytest.raises(ValueError, match="ROLE_JUGGLER"):
        number(Role, "juggler")
