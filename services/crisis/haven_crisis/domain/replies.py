"""Answering a page by text message: which alert a reply means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

_DIGITS = re.compile(r"\d+")
_YES = frozenset({"ok", "okay", "yes", "y", "ack", "acknowledge", "acknowledged", "take", "mine"})


def code(alert_id: str) -> str:
    """The three digits that name an alert in a text message: the same for every page of it."""
    return str(100 + UUID(alert_id).int % 900)


def meant(text: str, alert_ids: Sequence[str]) -> str | None:
    """The one alert among those a responder was paged for that a reply takes; None where it is not one for certain.

    A code names its alert. A plain yes will do while there is one alone.
    """
    digits = _DIGITS.findall(text)
    if digits:
        named = [each for each in alert_ids if code(each) in digits]
        return named[0] if len(named) == 1 else None
    words = re.findall(r"[a-z]+", text.lower())
    agreed = bool(words) and words[0] in _YES
    return alert_ids[0] if agreed and len(alert_ids) == 1 else None
