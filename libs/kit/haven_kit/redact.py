"""Messages without their health information, by what the contracts mark."""

from typing import Any, TypeVar

from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from haven_kit import contract

M = TypeVar("M", bound=Message)


def redacted(message: M) -> M:
    """A copy without any field that may hold health information, at any depth. A Struct or Any loses everything."""
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    _clear(copy)
    return copy


def has_phi(descriptor: Descriptor) -> bool:
    """Whether messages of the type can hold health information, at any depth."""
    return contract.has_phi(descriptor)


def safe_repr(message: Message) -> str:
    """The message on one line, without health information."""
    return f"{message.DESCRIPTOR.full_name}({text_format.MessageToString(redacted(message), as_one_line=True)})"


def _clear(message: Message) -> None:
    if message.DESCRIPTOR.file.package == "google.protobuf":
        if contract.has_phi(message.DESCRIPTOR):
            message.Clear()
        return
    for field, value in message.ListFields():
        if contract.phi_kind(field):
            message.ClearField(field.name)
        elif field.message_type is not None and contract.has_phi(field.message_type):
            for inner in _messages(field, value):
                _clear(inner)


def _messages(field: FieldDescriptor, value: Any) -> list[Message]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return list(value.values())
    return list(value) if field.is_repeated else [value]
