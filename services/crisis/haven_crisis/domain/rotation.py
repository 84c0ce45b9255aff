"""Who is on call at a moment: turns counted in days that change at a wall time in the rotation's own zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

COVERAGE = timedelta(days=90)
"""How far ahead a rotation is checked for gaps when it is saved."""


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody else takes `starts_at` up to, not including, `ends_at`."""

    responder_id: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Rotation:
    """Responders who take turns of `shift_days` from `first_day`, changing at `hand_over` wall time in `zone`."""

    rotation_id: str
    responders: tuple[str, ...]
    shift_days: int
    zone: ZoneInfo
    hand_over: time
    first_day: date
    overrides: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class Duty:
    """Who is on call, and until when."""

    responder_id: str
    until: datetime


def turn_starts(rotation: Rotation, turn: int) -> datetime:
    """When the turn with that number begins, in UTC.

    A wall time that a daylight-saving change skips is read with the offset before the change, one that comes twice
    means the first (RFC 5545, section 3.3.5): both are what `fold=0` says.
    """
    day = rotation.first_day + timedelta(days=turn * rotation.shift_days)
    return datetime.combine(day, rotation.hand_over, rotation.zone).astimezone(UTC)


def who_is_on_call(rotation: Rotation, at: datetime) -> Duty | None:
    """Who is on call at `at` (aware), or None before the first turn."""
    changes = [edge for each in rotation.overrides for edge in (each.starts_at, each.ends_at) if edge > at]
    override = next((each for each in rotation.overrides if each.starts_at <= at < each.ends_at), None)
    if override is not None:
        return Duty(override.responder_id, min([override.ends_at, *changes]))
    turn = _turn(rotation, at)
    if turn < 0:
        return None
    responder = rotation.responders[turn % len(rotation.responders)]
    return Duty(responder, min([turn_starts(rotation, turn + 1), *changes]))


def _turn(rotation: Rotation, at: datetime) -> int:
    day = at.astimezone(rotation.zone).date()
    turn = (day - rotation.first_day).days // rotation.shift_days
    while turn_starts(rotation, turn) > at:
        turn -= 1
    while turn_starts(rotation, turn + 1) <= at:
        turn += 1
    return turn


def gaps(rotation: Rotation, start: datetime, end: datetime) -> Sequence[tuple[datetime, datetime]]:
    """Every stretch between `start` and `end` in which nobody is on call, in order."""
    found: list[tuple[datetime, datetime]] = []
    at = start
    while at < end:
        duty = who_is_on_call(rotation, at)
        if duty is not None:
            at = duty.until
            continue
        opens = min(
            [turn_starts(rotation, 0), end, *(each.starts_at for each in rotation.overrides if each.starts_at > at)]
        )
        found.append((at, opens))
        at = opens
    return found


def problems(rotation: Rotation, now: datetime) -> Sequence[str]:
    """Why the rotation may not be saved: sentences that say how to mend it. Empty when it may."""
    found = [
        f"The override from {_show(each.starts_at)} ends before it begins. Give it a later end."
        for each in rotation.overrides
        if each.ends_at <= each.starts_at
    ]
    ordered = sorted(rotation.overrides, key=lambda each: each.starts_at)
    found += [
        f"Two overrides overlap from {_show(later.starts_at)}. Shorten one of them."
        for earlier, later in pairwise(ordered)
        if later.starts_at < earlier.ends_at
    ]
    return found or [
        f"Nobody is on call from {_show(begins)} to {_show(ends)}. Begin the first turn earlier or add an override."
        for begins, ends in gaps(rotation, now, now + COVERAGE)
    ]


def _show(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
