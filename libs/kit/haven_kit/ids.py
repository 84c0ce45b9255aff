"""Identifiers: UUID version 7 (RFC 9562, section 5.7) as lower-case text, ordered by the time they were made."""

import uuid
from datetime import UTC, datetime, timedelta

import uuid_utils

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id() -> str:
    """A new identifier. Later calls in one process give greater ones, also within a millisecond."""
    return str(uuid_utils.uuid7())


def time_of(identifier: str) -> datetime:
    """When the identifier was made, to the millisecond, in UTC. Raises ValueError for anything but a version 7 UUID."""
    parsed = uuid.UUID(identifier)
    if parsed.version != 7:
        raise ValueError("not a version 7 UUID")
    return _EPOCH + timedelta(milliseconds=parsed.int >> 80)
