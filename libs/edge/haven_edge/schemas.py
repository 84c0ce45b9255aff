"""JSON Schema (2020-12) of protobuf messages, with the contracts' validation rules and comments."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from haven.options.v1 import options_pb2

from haven_edge.fields import enum_of, is_map, map_fields
from haven_edge.wellknown import is_wrapper
from haven_kit import contract

Schema = dict[str, Any]

_F = FieldDescriptor
_LONG = {"type": "string", "pattern": "^-?[0-9]{1,20}$"}
_WORDS = {"type": ["number", "string"], "description": 'A number; or "NaN", "Infinity", "-Infinity".'}
_SCALARS: dict[int, Schema] = {
    _F.TYPE_INT32: {"type": "integer", "format": "int32"},
    _F.TYPE_SINT32: {"type": "integer", "format": "int32"},
    _F.TYPE_SFIXED32: {"type": "integer", "format": "int32"},
    _F.TYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**32 - 1},
    _F.TYPE_FIXED32: {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**32 - 1},
    _F.TYPE_INT64: {**_LONG, "format": "int64"},
    _F.TYPE_SINT64: {**_LONG, "format": "int64"},
    _F.TYPE_SFIXED64: {**_LONG, "format": "int64"},
    _F.TYPE_UINT64: {"type": "string", "pattern": "^[0-9]{1,20}$", "format": "uint64"},
    _F.TYPE_FIXED64: {"type": "string", "pattern": "^[0-9]{1,20}$", "format": "uint64"},
    _F.TYPE_DOUBLE: _WORDS,
    _F.TYPE_FLOAT: _WORDS,
    _F.TYPE_BOOL: {"type": "boolean"},
    _F.TYPE_STRING: {"type": "string"},
    _F.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}
_WELL_KNOWN: dict[str, Schema] = {
    "Timestamp": {"type": "string", "format": "date-time", "examples": ["2026-03-01T17:00:00Z"]},
    "Duration": {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$", "examples": ["90s"]},
    "FieldMask": {"type": "string", "description": "Field paths in lowerCamelCase, separated by commas."},
    "Struct": {"type": "object"},
    "ListValue": {"type": "array", "items": {}},
    "Value": {},
    "Empty": {"type": "object", "additionalProperties": False},
}
_WIDTHS = ("int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64")
_NUMBERS = frozenset((*_WIDTHS, "float", "double"))
_BOUNDS = {"gte": "minimum", "gt": "exclusiveMinimum", "lte": "maximum", "lt": "exclusiveMaximum"}
_FORMATS = {name: name for name in ("uuid", "email", "uri", "hostname", "ipv4", "ipv6")}
_UUID_EXAMPLE = "01890a5d-ac96-774b-bcce-b302099a8057"
_NOT_EMPTY_FORMATS = frozenset(_FORMATS) | {"tuuid", "ip", "address", "host_and_port"}


class Schemas:
    """The schemas of all messages that are asked for, by component name.

    What a request takes and what an answer holds are two schemas: the first has the rules, the second names the fields
    that are always there.
    """

    def __init__(self, comments: dict[str, str], components: dict[str, Schema], *, answers: bool) -> None:
        self._comments = comments
        self._answers = answers
        self.components = components

    def message(self, message_type: Descriptor) -> Schema:
        """A schema or a reference for a message."""
        if message_type.full_name.startswith("google.protobuf."):
            if is_wrapper(message_type):
                inner = dict(_SCALARS[message_type.fields_by_name["value"].type])
                kinds = inner["type"] if isinstance(inner["type"], list) else [inner["type"]]
                return {**inner, "type": [*kinds, "null"]}
            return dict(_WELL_KNOWN[message_type.name])
        name = component_name(message_type.full_name) + ("" if self._answers else "Input")
        if name not in self.components:
            self.components[name] = {}  # stands for the message inside itself
            self.components[name] = self.object(message_type)
        return {"$ref": f"#/components/schemas/{name}"}

    def object(self, message_type: Descriptor, *, without: frozenset[str] = frozenset()) -> Schema:
        """The schema of a message's fields, less those named."""
        fields = [field for field in message_type.fields if field.name not in without]
        needed = _is_always_there if self._answers else is_required
        required = [field.json_name for field in fields if needed(field)]
        schema: Schema = {"type": "object"} if self._answers else {"type": "object", "additionalProperties": False}
        if comment := self._described(message_type):
            schema["description"] = comment
        if fields:
            schema["properties"] = {field.json_name: self.field(field) for field in fields}
        if required:
            schema["required"] = required
        return schema

    def _described(self, message_type: Descriptor) -> str:
        parts = [self._comments.get(message_type.full_name, "")]
        for oneof in message_type.oneofs:
            if len(oneof.fields) > 1:
                names = ", ".join(f"`{field.json_name}`" for field in oneof.fields)
                parts.append(f"{self._comments.get(oneof.full_name, '')} Only one of {names}.".strip())
        return "\n\n".join(part for part in parts if part)

    def field(self, field: FieldDescriptor) -> Schema:
        """The schema of one field, rules and comment included."""
        schema = self._value(field, validate_pb2.FieldRules() if self._answers else rules_of(field))
        if comment := self._comments.get(field.full_name):
            inner = schema.pop("description", "")
            schema["description"] = f"{comment} {inner}".strip()
        if phi := contract.phi_kind(field):
            schema["x-haven-phi"] = options_pb2.Phi.keys()[phi].removeprefix("PHI_").lower()
        return schema

    def _value(self, field: FieldDescriptor, rules: Any) -> Schema:
        if is_map(field):
            schema = {"type": "object", "additionalProperties": self._one(map_fields(field)[1], rules.map.values)}
            return schema | _sizes(rules.map, min_pairs="minProperties", max_pairs="maxProperties")
        if field.is_repeated:
            schema = {"type": "array", "items": self._one(field, rules.repeated.items)}
            schema |= _sizes(rules.repeated, min_items="minItems", max_items="maxItems")
            return schema | ({"uniqueItems": True} if rules.repeated.unique else {})
        return self._one(field, rules)

    def _one(self, field: FieldDescriptor, rules: Any) -> Schema:
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.type == _F.TYPE_ENUM:
            return self._enum(enum_of(field), rules.enum)
        kind = rules.WhichOneof("type")
        schema = dict(_SCALARS[field.type])
        if kind == "string":
            schema |= _string(rules.string)
        elif kind in _NUMBERS:
            schema |= _number(getattr(rules, kind), schema["type"])
        return schema

    def _enum(self, enum: EnumDescriptor, rules: Any) -> Schema:
        if enum.full_name == "google.protobuf.NullValue":
            return {"type": "null"}
        only = frozenset(getattr(rules, "in"))
        allowed = [v for v in enum.values if v.number not in rules.not_in and (not only or v.number in only)]
        lines = [
            f"- `{value.name}`: {comment}"
            for value in allowed
            if (comment := self._comments.get(f"{enum.full_name}.{value.name}"))
        ]
        text = "\n".join([part for part in (self._comments.get(enum.full_name, ""), *lines) if part])
        schema: Schema = {"type": "string", "enum": [value.name for value in allowed]}
        return schema | ({"description": text} if text else {})


def component_name(full_name: str) -> str:
    """`haven.crisis.v1.Alert` as `crisis.Alert`."""
    return re.sub(r"\.v[0-9]+(?=\.)", "", full_name.removeprefix("haven."))


def rules_of(field: FieldDescriptor) -> Any:
    """The `buf.validate` rules of a field; empty ones where it has none."""
    return field.GetOptions().Extensions[validate_pb2.field]


def is_required(field: FieldDescriptor) -> bool:
    """Whether a request without the field breaks a rule: it is required, or its empty value is refused."""
    rules = rules_of(field)
    if rules.required:
        return True
    if rules.ignore or field.has_presence:
        return False
    if field.is_repeated:
        return bool(rules.repeated.min_items or rules.map.min_pairs)
    kind = rules.WhichOneof("type")
    if kind == "string":
        well_known = rules.string.WhichOneof("well_known")
        return bool(rules.string.min_len or rules.string.len or well_known in _NOT_EMPTY_FORMATS)
    if kind == "enum":
        return 0 in rules.enum.not_in
    if kind in _NUMBERS:
        number = getattr(rules, kind)
        return bool(number.gte > 0 or (number.HasField("gt") and number.gt >= 0))
    return False


def _is_always_there(field: FieldDescriptor) -> bool:
    return not field.has_presence


def _string(rules: Any) -> Schema:
    schema = _sizes(rules, min_len="minLength", max_len="maxLength")
    if rules.HasField("len"):
        schema |= {"minLength": rules.len, "maxLength": rules.len}
    if rules.pattern:
        schema["pattern"] = _anchored(rules.pattern)
    known = rules.WhichOneof("well_known")
    if known in _FORMATS:
        schema["format"] = _FORMATS[known]
    if known == "uuid":
        schema["examples"] = [_UUID_EXAMPLE]
    if choices := list(getattr(rules, "in")):
        schema["enum"] = choices
    return schema


def _anchored(pattern: str) -> str:
    """RE2's `\\A`, `\\z` in ECMA 262's spelling."""
    return pattern.replace("\\A", "^").replace("\\z", "$")


def _number(rules: Any, kind: Any) -> Schema:
    bounds = {ours: getattr(rules, theirs) for theirs, ours in _BOUNDS.items() if rules.HasField(theirs)}
    if kind == "string":  # 64-bit numbers are text in JSON: the bounds are told in words
        if not bounds:
            return {}
        return {"description": "; ".join(f"{name} {value}" for name, value in bounds.items()).capitalize() + "."}
    if choices := list(getattr(rules, "in")):
        return {**bounds, "enum": choices}
    return bounds


def _sizes(rules: Any, **names: str) -> Schema:
    read: Callable[[str], bool] = rules.HasField
    return {ours: getattr(rules, theirs) for theirs, ours in names.items() if read(theirs)}
