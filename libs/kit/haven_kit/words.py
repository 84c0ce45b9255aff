"""Values of the contract's enums as words of the domain: `CHARGE_STATE_READY` is `ready`."""

from typing import Any

from haven_kit.contract import snake


def word(enum: Any, number: int) -> str:
    """The word of a number in an enum of the contract. Raises ValueError where it has none."""
    return str(enum.Name(number)).removeprefix(_prefix(enum)).lower()


def number(enum: Any, word: str) -> Any:
    """The number of a word in an enum of the contract, 0 for an empty word. Raises ValueError where it has none."""
    return enum.Value(_prefix(enum) + word.upper()) if word else 0


def _prefix(enum: Any) -> str:
    return snake(enum.DESCRIPTOR.name).upper() + "_"
