"""Canaries: a word that stands nowhere else, put into every field that the contracts mark as health information."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import protovalidate
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from haven_kit import contract, ids
from haven_kit.contract import Method

WORD = "kanarie"
_numbers = itertools.count(1)
_PLACE = re.compile(r"\\\{(\w+)\\\}")


def canary() -> str:
    """A word of its own."""
    return f"{WORD}{next(_numbers)}"


def method_of(verb: str, path: str) -> Method | None:
    """The RPC behind a route."""
    for method in contract.all_methods():
        pattern = _PLACE.sub(r"[^/:]+", re.escape(method.http_path))
        if method.http_verb == verb and method.http_path and re.fullmatch(pattern, path):
            return method
    return None


def phi_strings(message: Message, *, inside: bool = False) -> Iterator[tuple[Message, FieldDescriptor, int | None]]:
    """Every text in a message that is health information, as message, field and index in it."""
    for field, value in message.ListFields():
        marked = inside or bool(contract.phi_kind(field))  # type: ignore[arg-type]
        if field.message_type is not None:
            if field.message_type.full_name.startswith("google.protobuf."):
                continue
            for each in value if field.is_repeated else [value]:
                yield from phi_strings(each, inside=marked)
        elif marked and field.type == FieldDescriptor.TYPE_STRING:
            for index in range(len(value)) if field.is_repeated else [None]:
                yield message, field, index  # type: ignore[misc]


def with_canaries(verb: str, path: str, body: Any, keep: frozenset[str]) -> tuple[Any, set[str]]:
    """The body with a canary at the end of each text that is health information, where its rules allow one.

    Fields in `keep` stay. Returns the body and the full names of the fields that hold a canary now.
    """
    method = method_of(verb, path)
    if method is None:
        return body, set()
    message = json_format.ParseDict(body or {}, method.request(), ignore_unknown_fields=True)
    rules = {each.proto.rule_id for each in protovalidate.collect_violations(message)}
    filled: set[str] = set()
    for holder, field, index in list(phi_strings(message)):
        if field.name in keep:
            continue
        before = _get(holder, field, index)
        _set(holder, field, index, f"{before} {canary()}")
        if {each.proto.rule_id for each in protovalidate.collect_violations(message)} - rules:
            _set(holder, field, index, before)
        else:
            filled.add(field.full_name)
    return json_format.MessageToDict(message), filled


def full(method: Method) -> Message:
    """A request with something in every field, and a canary in each text that is health information."""
    message = method.request()
    _fill(message, inside=False, depth=0)
    return message


def fields_with_phi(method: Method) -> set[str]:
    """Full names of the texts in a request that are health information."""
    return {field.full_name for _, field, _ in phi_strings(full(method))}


def _fill(message: Message, *, inside: bool, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        marked = inside or bool(contract.phi_kind(field))  # type: ignore[arg-type]
        if field.message_type is not None:
            if field.message_type.GetOptions().map_entry or depth > 6:
                continue
            holder = getattr(message, field.name)
            inner = holder.add() if field.is_repeated else holder
            inner.SetInParent()
            if not field.message_type.full_name.startswith("google.protobuf."):
                _fill(inner, inside=marked, depth=depth + 1)
        elif field.type == FieldDescriptor.TYPE_STRING:
            text = canary() if marked else ids.new_id()
            if field.is_repeated:
                getattr(message, field.name).append(text)
            else:
                setattr(message, field.name, text)
        elif field.type != FieldDescriptor.TYPE_BYTES and not field.is_repeated:
            setattr(message, field.name, 1)


def _get(holder: Message, field: FieldDescriptor, index: int | None) -> str:
    value = getattr(holder, field.name)
    return str(value if index is None else value[index])


def _set(holder: Message, field: FieldDescriptor, index: int | None, text: str) -> None:
    if index is None:
        setattr(holder, field.name, text)
    else:
        getattr(holder, field.name)[index] = text
