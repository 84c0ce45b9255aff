"""From an HTTP request to a request message: path, query and body, compiled once per method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

import orjson
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from haven_edge.fields import message_of
from haven_edge.json_in import reader
from haven_edge.problems import Problem, bad_input, violation
from haven_edge.scalars import BadInput, Finding, from_text, refuse
from haven_edge.surface import Method, camel
from haven_edge.wellknown import is_wrapper

_TEXT_TYPES = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"})
_MAX_QUERY_DEPTH = 4
_WHO = frozenset({"personId", "person_id"})
_MAX_QUERY_FIELDS = 200

Set = Callable[[Any, str], None]


class Binding:
    """How one method's request message is filled."""

    def __init__(self, method: Method, max_depth: int, *, lenient: bool = False) -> None:
        """`lenient`: pass over what cannot be read, for calls that nobody is refused for the form of the request."""
        self._method = method
        self._max_depth = max_depth
        self._lenient = lenient
        self._known = frozenset(name for field in method.request.fields for name in (field.name, field.json_name))
        self.new = message_factory.GetMessageClass(method.request)
        self._read = reader(method.request) if method.body == "*" else None
        self._body_field = method.body if method.body not in ("", "*") else ""
        self._read_field = reader(message_of(method.request.fields_by_name[method.body])) if self._body_field else None
        self._path = [(name, camel(name), from_text(method.request.fields_by_name[name])) for name in method.parameters]
        self._query = dict(_query_setters(method.request, frozenset({*method.parameters, self._body_field})))

    @property
    def takes_body(self) -> bool:
        """Whether the request may have a body."""
        return bool(self._method.body)

    def message(self, parameters: list[str], query: bytes, body: bytes) -> Any:
        """The request message. Raises Problem that names every finding."""
        message = self.new()
        try:
            if body:
                self._fill_body(message, body)
            if query:
                self._fill_query(message, query)
            for (name, public, convert), text in zip(self._path, parameters, strict=True):
                self._fill_parameter(message, name, public, convert, text)
        except BadInput as bad:
            raise bad_input(bad) from None
        return message

    def _fill_body(self, message: Any, body: bytes) -> None:
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            if self._lenient:
                return
            raise Problem("malformed", "The body is not well-formed JSON.") from None
        if self._lenient:
            self._fill_leniently(message, value)
            return
        if body.count(b"{") + body.count(b"[") > self._max_depth and _deeper_than(value, self._max_depth):
            raise Problem("malformed", f"The body is nested deeper than {self._max_depth} levels.")
        if self._read is not None:
            self._read(value, message)
        elif self._read_field is not None:
            inner = getattr(message, self._body_field)
            inner.SetInParent()
            self._read_field(value, inner)

    def _fill_leniently(self, message: Any, value: Any) -> None:
        """Take what can be read, field by field; U+0000, which no text may hold, is left out."""
        if self._read is None or not isinstance(value, dict):
            return
        for name in self._known.intersection(value):
            item = value[name].replace("\0", "") if isinstance(value[name], str) else value[name]
            part = self.new()
            try:
                self._read({name: item}, part)
            except BadInput:
                if name in _WHO:  # help for nobody, or for somebody else, is no help
                    raise
                continue
            message.MergeFrom(part)

    def _fill_query(self, message: Any, query: bytes) -> None:
        if self._method.body == "*":
            if self._lenient:
                return
            raise violation("query", "no_query", "this call takes everything in its body")
        try:
            pairs = parse_qsl(query.decode("ascii"), True, True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS)
        except ValueError:  # UnicodeDecodeError among them
            raise violation("query", "malformed", "is not a well-formed query") from None
        findings: list[Finding] = []
        given: set[str] = set()
        for key, text in pairs:
            try:
                setter, repeated = self._query[key]
                if key in given and not repeated:
                    raise refuse("duplicate_parameter", "can be given once only")
                given.add(key)
                setter(message, text)
            except KeyError:
                named = key if key.isidentifier() and key.isascii() and len(key) <= 64 else "query"
                findings.append(Finding(named, "unknown_parameter", "is not a parameter of this call"))
            except BadInput as bad:
                findings.extend(bad.under(key))
        if findings:
            raise BadInput(*findings)

    def _fill_parameter(self, message: Any, name: str, public: str, convert: Callable[[str], Any], text: str) -> None:
        try:
            value = convert(text.replace("\0", "") if self._lenient else text)
        except BadInput as bad:
            raise BadInput(*bad.under(public)) from None
        current = getattr(message, name)
        if current and current != value and not self._lenient:
            raise BadInput(Finding(public, "path_mismatch", "is not the same in the path and in the body"))
        setattr(message, name, value)


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return any(isinstance(node, dict | list) for node in level)


def _query_setters(
    message_type: Descriptor, taken: frozenset[str], depth: int = 0
) -> Iterator[tuple[str, tuple[Set, bool]]]:
    """By name in camel and in snake case, dotted for nested fields: the setter, and whether it may be repeated."""
    for field in message_type.fields:
        if depth == 0 and field.name in taken:
            continue
        yield from _setters_of(field, depth)


def _setters_of(field: FieldDescriptor, depth: int) -> Iterator[tuple[str, tuple[Set, bool]]]:
    names = {field.json_name, field.name}
    kind = field.message_type
    if kind is None or kind.full_name in _TEXT_TYPES or is_wrapper(kind):
        for name in names:
            yield name, (_leaf(field), bool(field.is_repeated))
    elif not field.is_repeated and depth < _MAX_QUERY_DEPTH and not kind.full_name.startswith("google.protobuf."):
        for inner_name, (setter, repeated) in _query_setters(kind, frozenset(), depth + 1):
            for name in names:
                yield f"{name}.{inner_name}", (_nested(field.name, setter), repeated)


def _nested(name: str, setter: Set) -> Set:
    def set_inner(message: Any, text: str) -> None:
        inner = getattr(message, name)
        inner.SetInParent()
        setter(inner, text)

    return set_inner


def _leaf(field: FieldDescriptor) -> Set:
    name, kind, repeated = field.name, field.message_type, field.is_repeated
    if kind is None:
        convert = from_text(field)
        if repeated:
            return lambda message, text: getattr(message, name).append(convert(text))
        return lambda message, text: setattr(message, name, convert(text))
    read: Callable[[Any, Any], None]
    if is_wrapper(kind):
        unwrap = from_text(kind.fields_by_name["value"])

        def read(text: Any, inner: Any) -> None:
            inner.value = unwrap(text)
    else:
        read = reader(kind)

    def set_message(message: Any, text: str) -> None:
        inner = getattr(message, name)
        if repeated:
            read(text, inner.add())
        else:
            inner.SetInParent()
            read(text, inner)

    return set_message
