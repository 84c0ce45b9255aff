"""What a field is made of, with certainty where protobuf's own types leave it open."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor


def message_of(field: FieldDescriptor) -> Descriptor:
    """The message type of a field that has one."""
    if field.message_type is None:
        raise TypeError(f"{field.full_name} is not a message")
    return field.message_type


def enum_of(field: FieldDescriptor) -> EnumDescriptor:
    """The enum of a field that has one."""
    if field.enum_type is None:
        raise TypeError(f"{field.full_name} is not an enum")
    return field.enum_type


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def map_fields(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor]:
    """The key and the value of a map field."""
    entry = message_of(field).fields_by_name
    return entry["key"], entry["value"]


def has_text(message_type: Descriptor, name: str) -> bool:
    """Whether the message has a single text field of that name."""
    field = message_type.fields_by_name.get(name)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated
