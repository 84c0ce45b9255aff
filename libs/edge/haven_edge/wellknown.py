"""The well-known types that have a JSON form of their own: times, durations, field masks, wrappers, free JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.descriptor import Descriptor

from haven_edge.scalars import refuse

_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-5][0-9])"
)
_DURATION = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
_MASK = re.compile(r"[a-z][A-Za-z0-9]*(?:\.[a-z][A-Za-z0-9]*)*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_PLAIN = datetime(1970, 1, 1)  # noqa: DTZ001 - always UTC; a zone would only be printed
_LONGEST_DURATION = 315_576_000_000
_MAX_MASK = 2000


def is_wrapper(descriptor: Descriptor) -> bool:
    """Whether the type wraps one scalar so that it can be null (google/protobuf/wrappers.proto)."""
    return bool(descriptor.file.name == "google/protobuf/wrappers.proto")


def read_timestamp(value: Any, message: Any) -> None:
    """RFC 3339 with a zone, up to nanoseconds, year 1 to 9999."""
    match = _TIMESTAMP.fullmatch(value) if type(value) is str else None
    if match is None:
        raise refuse("type.timestamp", "must be an RFC 3339 time such as 2026-03-01T17:00:00Z")
    base, fraction, zone = match.groups()
    try:
        instant = datetime.fromisoformat(base + ("+00:00" if zone == "Z" else zone))
        since = instant - _EPOCH
        within = _EPOCH + since
    except (ValueError, OverflowError):
        raise refuse("type.timestamp", "must be an RFC 3339 time between the years 1 and 9999") from None
    message.seconds = (within - _EPOCH) // timedelta(seconds=1)
    message.nanos = int(fraction.ljust(9, "0")) if fraction else 0


def write_timestamp(message: Any) -> str:
    """RFC 3339 in UTC with 0, 3, 6 or 9 digits of fraction."""
    return (_EPOCH_PLAIN + timedelta(seconds=message.seconds)).isoformat() + _fraction(message.nanos) + "Z"


def read_duration(value: Any, message: Any) -> None:
    """Seconds with up to nine digits of fraction and the suffix s."""
    match = _DURATION.fullmatch(value) if type(value) is str else None
    if match is None:
        raise refuse("type.duration", "must be seconds such as 90s or 1.5s")
    sign = -1 if match[1] else 1
    seconds, nanos = int(match[2]), int((match[3] or "").ljust(9, "0"))
    if (seconds, nanos) > (_LONGEST_DURATION, 0):
        raise refuse("type.duration", "must be within 10000 years")
    message.seconds = sign * seconds
    message.nanos = sign * nanos


def write_duration(message: Any) -> str:
    """Seconds with 0, 3, 6 or 9 digits of fraction and the suffix s."""
    sign = "-" if message.seconds < 0 or message.nanos < 0 else ""
    return f"{sign}{abs(message.seconds)}{_fraction(abs(message.nanos))}s"


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    if nanos % 1_000_000 == 0:
        return f".{nanos // 1_000_000:03d}"
    if nanos % 1_000 == 0:
        return f".{nanos // 1_000:06d}"
    return f".{nanos:09d}"


def read_mask(value: Any, message: Any) -> None:
    """Paths in lowerCamelCase, separated by commas."""
    if type(value) is not str or len(value) > _MAX_MASK:
        raise refuse("type.field_mask", "must be field paths separated by commas")
    for path in value.split(",") if value else ():
        if not _MASK.fullmatch(path):
            raise refuse("type.field_mask", "must be field paths in lowerCamelCase separated by commas")
        message.paths.append(re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), path))


def write_mask(message: Any) -> str:
    """Paths in lowerCamelCase, separated by commas."""
    return ",".join(re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), path) for path in message.paths)


def read_struct(value: Any, message: Any) -> None:
    """Any JSON object."""
    if type(value) is not dict:
        raise refuse("type.object", "must be an object")
    fields = message.fields
    for key, item in value.items():
        read_value(item, fields[key])


def read_list(value: Any, message: Any) -> None:
    """Any JSON array."""
    if type(value) is not list:
        raise refuse("type.array", "must be an array")
    for item in value:
        read_value(item, message.values.add())


def read_value(value: Any, message: Any) -> None:
    """Any JSON at all. Its depth was bounded before it came here."""
    kind = type(value)
    if kind is dict:
        message.struct_value.SetInParent()
        read_struct(value, message.struct_value)
    elif kind is list:
        message.list_value.SetInParent()
        read_list(value, message.list_value)
    elif kind is str:
        message.string_value = value
    elif kind is bool:
        message.bool_value = value
    elif value is None:
        message.null_value = 0
    else:
        message.number_value = value


def write_struct(message: Any) -> dict[str, Any]:
    """The JSON object behind a Struct."""
    fields = message.fields
    return {key: write_value(fields[key]) for key in fields}


def write_list(message: Any) -> list[Any]:
    """The JSON array behind a ListValue."""
    return [write_value(item) for item in message.values]


def write_value(message: Any) -> Any:
    """The JSON behind a Value; null when nothing is set."""
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "struct_value":
        return write_struct(message.struct_value)
    if kind == "list_value":
        return write_list(message.list_value)
    return getattr(message, kind)


READERS: dict[str, Callable[[Any, Any], None]] = {
    "google.protobuf.Timestamp": read_timestamp,
    "google.protobuf.Duration": read_duration,
    "google.protobuf.FieldMask": read_mask,
    "google.protobuf.Struct": read_struct,
    "google.protobuf.ListValue": read_list,
    "google.protobuf.Value": read_value,
}

WRITERS: dict[str, Callable[[Any], Any]] = {
    "google.protobuf.Timestamp": write_timestamp,
    "google.protobuf.Duration": write_duration,
    "google.protobuf.FieldMask": write_mask,
    "google.protobuf.Struct": write_struct,
    "google.protobuf.ListValue": write_list,
    "google.protobuf.Value": write_value,
}
