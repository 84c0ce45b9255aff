"""One JSON value to one protobuf scalar, by the proto3 JSON mapping, and strictly so.

Source: protobuf.dev/programming-guides/json. Where Python's own conversions are looser than the mapping (underscores
and blanks in numbers, base64 with stray characters), the mapping holds.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from haven_edge.fields import enum_of

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that one part of the input broke. `field` is the path in public (camel) case."""

    field: str
    rule: str
    message: str


class BadInput(Exception):
    """The input cannot be read. Carries every finding; none holds a value that was sent."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__()
        self.findings = findings

    def under(self, parent: str) -> Iterable[Finding]:
        """The findings as seen from the parent field."""
        for each in self.findings:
            joint = "" if not each.field or each.field.startswith("[") else "."
            yield Finding(f"{parent}{joint}{each.field}", each.rule, each.message)


def refuse(rule: str, message: str) -> BadInput:
    """A finding about the value at hand."""
    return BadInput(Finding("", rule, message))


_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,19})")
_NUMBER = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,4})?")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
FLOAT_LIMIT = 3.4028235677973366e38
"""From here on a number no longer rounds to the largest 32-bit float."""
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TO_URLSAFE = str.maketrans("+/", "-_")


def integer(low: int, high: int) -> Convert:
    """A reader of whole numbers from `low` to `high`, as JSON numbers or, for 64 bits, as text."""

    def convert(value: Any) -> int:
        kind = type(value)
        if kind is int:
            number: int = value
        elif (kind is str and _INTEGER.fullmatch(value)) or (kind is float and value.is_integer()):
            number = int(value)
        elif kind is str and _NUMBER.fullmatch(value) and float(value).is_integer():
            number = int(float(value))
        else:
            raise refuse("type.integer", "must be a whole number")
        if not low <= number <= high:
            raise refuse("type.range", f"must be from {low} to {high}")
        return number

    return convert


def double(value: Any) -> float:
    """A 64-bit floating point number: a JSON number, or "NaN", "Infinity", "-Infinity"."""
    kind = type(value)
    if kind is float or kind is int:
        number = float(value)
    elif kind is str and value in _WORDS:
        return _WORDS[value]
    elif kind is str and _NUMBER.fullmatch(value):
        number = float(value)
    else:
        raise refuse("type.number", "must be a number")
    if math.isinf(number):
        raise refuse("type.range", "is too large")
    return number


def single(value: Any) -> float:
    """A 32-bit floating point number."""
    number = double(value)
    if FLOAT_LIMIT <= abs(number) < math.inf:
        raise refuse("type.range", "is too large")
    return number


def boolean(value: Any) -> bool:
    """True or false, unquoted."""
    if value is True or value is False:
        return bool(value)
    raise refuse("type.boolean", "must be true or false")


def text(value: Any) -> str:
    """A string."""
    if type(value) is str:
        return value
    raise refuse("type.string", "must be a string")


def octets(value: Any) -> bytes:
    """Bytes in standard or URL-safe base64, with or without padding."""
    if type(value) is not str or not _BASE64.fullmatch(value):
        raise refuse("type.base64", "must be base64")
    bare = value.rstrip("=").translate(_TO_URLSAFE)
    if len(bare) % 4 == 1:
        raise refuse("type.base64", "must be base64")
    return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))


def enumeration(descriptor: EnumDescriptor) -> Convert:
    """A reader of an enum: its name, or its number."""
    numbers = {value.name: value.number for value in descriptor.values}
    known = frozenset(numbers.values())
    closed = bool(descriptor.is_closed)
    names = ", ".join(numbers) if len(numbers) <= 20 else ""
    message = f"must be one of {names}" if names else "must be one of the names in the API reference"
    is_null = descriptor.full_name == "google.protobuf.NullValue"

    def convert(value: Any) -> int:
        kind = type(value)
        if kind is str and value in numbers:
            return numbers[value]
        if kind is int and (value in known or (not closed and -(2**31) <= value < 2**31)):
            return int(value)
        if is_null and value is None:
            return 0
        raise refuse("type.enum", message)

    return convert


_F = FieldDescriptor
_INT32 = integer(-(2**31), 2**31 - 1)
_INT64 = integer(-(2**63), 2**63 - 1)
_UINT32 = integer(0, 2**32 - 1)
_UINT64 = integer(0, 2**64 - 1)
_BY_TYPE: dict[int, Convert] = {
    _F.TYPE_INT32: _INT32,
    _F.TYPE_SINT32: _INT32,
    _F.TYPE_SFIXED32: _INT32,
    _F.TYPE_INT64: _INT64,
    _F.TYPE_SINT64: _INT64,
    _F.TYPE_SFIXED64: _INT64,
    _F.TYPE_UINT32: _UINT32,
    _F.TYPE_FIXED32: _UINT32,
    _F.TYPE_UINT64: _UINT64,
    _F.TYPE_FIXED64: _UINT64,
    _F.TYPE_DOUBLE: double,
    _F.TYPE_FLOAT: single,
    _F.TYPE_BOOL: boolean,
    _F.TYPE_STRING: text,
    _F.TYPE_BYTES: octets,
}


def converter(field: FieldDescriptor) -> Convert:
    """The reader of one value of a scalar or enum field."""
    if field.type == _F.TYPE_ENUM:
        return enumeration(enum_of(field))
    return _BY_TYPE[field.type]


def from_text(field: FieldDescriptor) -> Callable[[str], Any]:
    """The reader of a scalar from a path, a query or a map key, where everything is text."""
    if field.type == _F.TYPE_BOOL:
        return _boolean_word
    if field.type == _F.TYPE_ENUM:
        read = enumeration(enum_of(field))
        return lambda word: read(int(word) if _INTEGER.fullmatch(word) else word)
    return _BY_TYPE[field.type]


def _boolean_word(word: str) -> bool:
    if word not in {"true", "false"}:
        raise refuse("type.boolean", "must be true or false")
    return word == "true"
