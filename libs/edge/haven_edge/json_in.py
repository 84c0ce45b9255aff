"""JSON to protobuf, compiled once per message type into closures.

`reader(descriptor)` gives a function that fills a message from what orjson parsed. Names are lowerCamelCase; the
proto's own snake_case is understood too. Unknown names are refused. Every finding is collected, not only the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from haven_edge.fields import is_map, map_fields, message_of
from haven_edge.scalars import BadInput, Finding, converter, from_text, refuse
from haven_edge.wellknown import READERS, is_wrapper

Read = Callable[[Any, Any], None]
"""Fills the message (second) from the parsed JSON value (first); raises BadInput."""

Set = Callable[[Any, Any], None]
"""Sets one field of the message (first) to the parsed JSON value (second); raises BadInput."""

MAX_FINDINGS = 50
"""More findings than this help nobody."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NULL_IN_LIST = "must not hold null"

_compiled: dict[Descriptor, Read] = {}


def reader(descriptor: Descriptor) -> Read:
    """The reader of a message type. Compiled on first use, shared afterwards."""
    found = _compiled.get(descriptor)
    if found is None:
        found = _compiled[descriptor] = _late(descriptor)
        found = _compiled[descriptor] = _compile(descriptor)
    return found


def _late(descriptor: Descriptor) -> Read:
    """Stands for a type while it is compiled, so that a type may contain itself."""

    def read(value: Any, message: Any) -> None:
        _compiled[descriptor](value, message)

    return read


def _compile(descriptor: Descriptor) -> Read:
    if descriptor.full_name in READERS:
        return READERS[descriptor.full_name]
    if is_wrapper(descriptor):
        convert = converter(descriptor.fields_by_name["value"])

        def read_wrapper(value: Any, message: Any) -> None:
            message.value = convert(value)

        return read_wrapper
    if descriptor.full_name == "google.protobuf.Any":
        raise TypeError(f"{descriptor.full_name} cannot be part of a public contract")
    return _compile_fields(descriptor)


def _compile_fields(descriptor: Descriptor) -> Read:
    setters = {field.json_name: _setter(field) for field in descriptor.fields}
    snake = {field.name: field.json_name for field in descriptor.fields if field.name != field.json_name}
    groups = [(oneof.name, [f.json_name for f in oneof.fields]) for oneof in descriptor.oneofs if len(oneof.fields) > 1]

    def read(value: Any, message: Any) -> None:
        if type(value) is not dict:
            raise refuse("type.object", "must be an object")
        findings: list[Finding] = []
        if snake and not snake.keys().isdisjoint(value):
            value = _canonical(value, snake, findings)
        _set_all(setters, value, message, findings)
        for group, names in groups:
            if sum(value.get(name) is not None for name in names) > 1:
                findings.append(Finding(group, "oneof", f"only one of {', '.join(names)} can be given"))
        if findings:
            raise BadInput(*findings[:MAX_FINDINGS])

    return read


def _canonical(value: dict[str, Any], snake: dict[str, str], findings: list[Finding]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for key, item in value.items():
        name = snake.get(key, key)
        if name in renamed:
            findings.append(Finding(name, "duplicate_field", "is given twice"))
        renamed[name] = item
    return renamed


def _set_all(setters: dict[str, Set], value: dict[str, Any], message: Any, findings: list[Finding]) -> None:
    for key, item in value.items():
        setter = setters.get(key)
        if setter is None:
            findings.append(_unknown(key))
        else:
            try:
                setter(message, item)
            except BadInput as bad:
                findings.extend(bad.under(key))
        if len(findings) > MAX_FINDINGS:
            return


def _unknown(key: str) -> Finding:
    name = key if _NAME.fullmatch(key) else ""
    return Finding(name, "unknown_field", "is not a field of this request" if name else "a name here is not a field")


def _setter(field: FieldDescriptor) -> Set:
    if is_map(field):
        return _map_setter(field)
    if field.is_repeated:
        return _list_setter(field)
    if field.message_type is not None:
        return _message_setter(field)
    return _scalar_setter(field)


def _scalar_setter(field: FieldDescriptor) -> Set:
    name, convert = field.name, converter(field)
    takes_null = field.enum_type is not None and field.enum_type.full_name == "google.protobuf.NullValue"

    def set_scalar(message: Message, value: Any) -> None:
        if value is not None or takes_null:
            setattr(message, name, convert(value))

    return set_scalar


def _message_setter(field: FieldDescriptor) -> Set:
    name, read = field.name, reader(message_of(field))
    takes_null = message_of(field).full_name == "google.protobuf.Value"

    def set_message(message: Message, value: Any) -> None:
        if value is not None or takes_null:
            inner = getattr(message, name)
            inner.SetInParent()
            read(value, inner)

    return set_message


def _list_setter(field: FieldDescriptor) -> Set:
    name, append = field.name, _appender(field)
    takes_null = field.message_type is not None and field.message_type.full_name == "google.protobuf.Value"

    def set_list(message: Message, value: Any) -> None:
        if value is None:
            return
        if type(value) is not list:
            raise refuse("type.array", "must be an array")
        items = getattr(message, name)
        findings: list[Finding] = []
        for index, item in enumerate(value):
            try:
                if item is None and not takes_null:
                    raise refuse("type.null", _NULL_IN_LIST)
                append(items, item)
            except BadInput as bad:
                findings.extend(bad.under(f"[{index}]"))
                if len(findings) > MAX_FINDINGS:
                    break
        if findings:
            raise BadInput(*findings)

    return set_list


def _appender(field: FieldDescriptor) -> Set:
    if field.message_type is not None:
        read = reader(field.message_type)
        return lambda items, item: read(item, items.add())
    convert = converter(field)
    return lambda items, item: items.append(convert(item))


def _map_setter(field: FieldDescriptor) -> Set:
    name = field.name
    key_field, value_field = map_fields(field)
    key_of = from_text(key_field)
    value_type = value_field.message_type
    read = reader(value_type) if value_type is not None else None
    convert = converter(value_field) if value_type is None else None
    takes_null = value_type is not None and value_type.full_name == "google.protobuf.Value"

    def set_map(message: Message, value: Any) -> None:
        if value is None:
            return
        if type(value) is not dict:
            raise refuse("type.object", "must be an object")
        entries = getattr(message, name)
        for key, item in value.items():
            if item is None and not takes_null:
                raise refuse("type.null", _NULL_IN_LIST)
            try:
                if read is not None:
                    read(item, entries[key_of(key)])
                elif convert is not None:
                    entries[key_of(key)] = convert(item)
            except BadInput as bad:
                # The key may say something about a person: the finding names the map, not the key.
                raise BadInput(*bad.under("[]")) from None

    return set_map
