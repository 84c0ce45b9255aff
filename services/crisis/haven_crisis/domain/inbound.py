"""Messages of other systems: are they theirs, and what do they say. Signed as Standard Webhooks 1.0 says."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

TOLERANCE = timedelta(minutes=5)
"""How far a message's time may be from now: Standard Webhooks 1.0, verifying the timestamp."""
MOST_OF_AN_ID = 255
MOST_OF_AN_EXTERNAL_ID = 200
MOST_OF_A_NOTE = 2000
LEVELS = {"elevated": 1, "high": 2, "immediate": 3}


class Refused(Exception):
    """The message is not taken. `reason` is a word; the sentence names what is wrong, and nothing that was sent."""

    def __init__(self, reason: str, sentence: str, field: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.sentence = sentence
        self.field = field


@dataclass(frozen=True, slots=True)
class Message:
    """What a system says about a person. Either id may be empty, not both."""

    person_id: str
    external_id: str
    level: int
    note: str
    raised_at: datetime | None


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: datetime) -> str:
    """The message's id, where one of the secrets signed it, and not long ago. Raises Refused."""
    message_id, sent, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not message_id or len(message_id) > MOST_OF_AN_ID or not sent or not given:
        raise Refused("signature", "Send webhook-id, webhook-timestamp and webhook-signature.")
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 12):
        raise Refused("timestamp", "webhook-timestamp is a number of seconds since 1970.")
    signed = f"{message_id}.{sent}.".encode("utf-8", "replace") + body
    offered = [each.removeprefix("v1,") for each in given.split(" ")[:10] if each.startswith("v1,")]
    good = [
        hmac.compare_digest(_mac(secret, signed).encode(), each.encode("utf-8", "replace"))
        for secret in secrets
        for each in offered
    ]
    if not any(good):
        raise Refused("signature", "No signature is one of this system's secrets over this body.")
    if abs(now.timestamp() - int(sent)) > TOLERANCE.total_seconds():
        raise Refused("timestamp", "webhook-timestamp is more than five minutes from now. Set the clock; send it anew.")
    return message_id


def _mac(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def read(body: bytes) -> Message:
    """What the body says. Only who it is about is needed; what is odd elsewhere is left out, so that no call is lost.

    Raises Refused naming the field.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("body", "The body is one JSON object.") from None
    data = content.get("data", content) if isinstance(content, dict) else None
    if not isinstance(data, dict):
        raise Refused("body", "The body is one JSON object, with an object in `data`.", "data")
    person_id = _uuid(data.get("person_id"))
    external_id = _text(data.get("external_id"), MOST_OF_AN_EXTERNAL_ID)
    if not person_id and not external_id:
        raise Refused("body", "Say who needs help: person_id, a UUID, or external_id.", "data.external_id")
    level = data.get("level")
    return Message(
        person_id=person_id,
        external_id=external_id,
        level=LEVELS.get(level, 0) if isinstance(level, str) else 0,
        note=_text(data.get("note"), MOST_OF_A_NOTE),
        raised_at=_time(data.get("raised_at")),
    )


def _uuid(value: Any) -> str:
    try:
        return str(UUID(value)) if isinstance(value, str) else ""
    except ValueError:
        return ""


def _text(value: Any, most: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
        value = str(value)
    if not isinstance(value, str):
        return ""
    return value.encode("utf-8", "replace").decode().replace("\0", "").strip()[:most]


def _time(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and at.tzinfo is not None else None
