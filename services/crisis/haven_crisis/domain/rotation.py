"""Who is on call at a moment: turns counted in wall time, which change at the same wall time in their layer's own zone.

A wall time that a daylight-saving change skips is read with the offset before the change, one that comes twice means
the first (RFC 5545, section 3.3.5): both are what `fold=0` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""After every moment that a contract takes."""
_DAY = timedelta(days=1)
_WEEK = range(-1, 9)
"""Days around one, in which whatever comes each week begins at least once before it and once after."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `starts_at` up to, not including, `ends_at`."""

    starts_at: datetime
    ends_at: datetime

    def holds(self, at: datetime) -> bool:
        """Whether the moment is in it."""
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True, slots=True)
class Override(Stretch):
    """Somebody else takes a stretch."""

    responder_id: str


@dataclass(frozen=True, slots=True)
class Shadow(Stretch):
    """Somebody watches, and does not count."""

    responder_id: str


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of some days of the week, at wall time. `ends` at or before `starts` is on the next day."""

    days: frozenset[int]
    """On which it begins, 1 Monday to 7 Sunday (ISO 8601). Empty: each."""
    starts: time
    ends: time


@dataclass(frozen=True, slots=True)
class Layer:
    """Responders who take turns of `turn_hours` of wall time, the first from `hand_over` on `first_day` in `zone`."""

    responders: tuple[str, ...]
    turn_hours: int
    zone: ZoneInfo
    hand_over: time
    first_day: date
    windows: tuple[Window, ...] = ()
    """The times of the week in which it has somebody on call. Empty: always."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rotation:
    """Layers, of which the last one that has somebody on call counts, and overrides, which count before all layers."""

    rotation_id: str
    layers: tuple[Layer, ...]
    overrides: tuple[Override, ...] = ()
    shadows: tuple[Shadow, ...] = ()
    team_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Duty:
    """Who is on call, until when at least, and by which layer; by an override where it has no name."""

    responder_id: str
    until: datetime
    layer: str = ""


def in_turn(
    rotation_id: str,
    responders: Sequence[str],
    shift_days: int,
    zone: ZoneInfo,
    hand_over: time,
    first_day: date,
    overrides: Sequence[Override] = (),
) -> Rotation:
    """A rotation of one layer that always has somebody on call."""
    return Rotation(
        rotation_id, (Layer(tuple(responders), shift_days * 24, zone, hand_over, first_day),), tuple(overrides)
    )


def who_is_on_call(rotation: Rotation, at: datetime) -> Duty | None:
    """Who is on call at `at` (aware), or None."""
    duty = look(rotation, at)
    return duty if duty.responder_id else None


def look(rotation: Rotation, at: datetime) -> Duty:
    """Who is on call at `at`, or with no responder that nobody is; in both cases until when it is certain."""
    edges = [edge for each in rotation.overrides for edge in (each.starts_at, each.ends_at) if edge > at]
    override = next((each for each in rotation.overrides if each.holds(at)), None)
    if override is not None:
        return Duty(override.responder_id, min(edges))
    for layer in reversed(rotation.layers):
        responder, until = on_layer(layer, at)
        edges.append(until)
        if responder:
            return Duty(responder, min(edges), layer.name)
    return Duty("", min(edges, default=NEVER))


def on_layer(layer: Layer, at: datetime) -> tuple[str, datetime]:
    """Whom the layer has on call at `at`, empty for nobody, and until when."""
    turn = _turn(layer, at)
    if turn < 0:
        return "", turn_starts(layer, 0)
    opened, edge = _opened(layer, at)
    responder = layer.responders[turn % len(layer.responders)] if opened else ""
    return responder, min(edge, turn_starts(layer, turn + 1))


def turn_starts(layer: Layer, turn: int) -> datetime:
    """When the turn with that number begins, in UTC."""
    return _utc(datetime.combine(layer.first_day, layer.hand_over) + timedelta(hours=turn * layer.turn_hours), layer)


def _turn(layer: Layer, at: datetime) -> int:
    first = datetime.combine(layer.first_day, layer.hand_over)
    turn = (at.astimezone(layer.zone).replace(tzinfo=None) - first) // timedelta(hours=layer.turn_hours)
    while turn_starts(layer, turn) > at:
        turn -= 1
    while turn_starts(layer, turn + 1) <= at:
        turn += 1
    return turn


def _opened(layer: Layer, at: datetime) -> tuple[bool, datetime]:
    """Whether one of the layer's windows is open, and until when that is certain."""
    if not layer.windows:
        return True, NEVER
    found = _windows(layer, at.astimezone(layer.zone).date())
    edges = [edge for each in found for edge in (each.starts_at, each.ends_at) if edge > at]
    return any(each.holds(at) for each in found), min(edges)


@lru_cache(maxsize=1024)
def _windows(layer: Layer, around: date) -> tuple[Stretch, ...]:
    return tuple(_around(layer, around))


def _around(layer: Layer, around: date) -> Iterator[Stretch]:
    for offset in _WEEK:
        day = around + offset * _DAY
        for each in layer.windows:
            if not each.days or day.isoweekday() in each.days:
                last = day if each.ends > each.starts else day + _DAY
                yield Stretch(
                    _utc(datetime.combine(day, each.starts), layer), _utc(datetime.combine(last, each.ends), layer)
                )


def _utc(wall: datetime, layer: Layer) -> datetime:
    return wall.replace(tzinfo=layer.zone).astimezone(UTC)


def watching(rotation: Rotation, at: datetime) -> tuple[str, ...]:
    """Who watches at `at`."""
    return tuple(each.responder_id for each in rotation.shadows if each.holds(at))


def stretches(rotation: Rotation, start: datetime, end: datetime) -> Iterator[tuple[Stretch, Duty]]:
    """Every stretch from `start` to `end` in which one is on call or nobody is, in order. Neighbours may be alike."""
    at = start
    while at < end:
        duty = look(rotation, at)
        until = min(duty.until, end)
        yield Stretch(at, until), duty
        at = until


def duties(rotation: Rotation, start: datetime, end: datetime) -> list[Override]:
    """Who is on call from `start` to `end`, in order; stretches of one responder that touch are one."""
    found: list[Override] = []
    for stretch, duty in stretches(rotation, start, end):
        if not duty.responder_id:
            continue
        if found and found[-1].ends_at == stretch.starts_at and found[-1].responder_id == duty.responder_id:
            found[-1] = replace(found[-1], ends_at=stretch.ends_at)
        else:
            found.append(Override(stretch.starts_at, stretch.ends_at, duty.responder_id))
    return found


def with_override(overrides: Sequence[Override], new: Override) -> tuple[Override, ...]:
    """The overrides with a new one, which is taken out of those it falls into."""
    kept: list[Override] = [new]
    for each in overrides:
        before = replace(each, ends_at=min(each.ends_at, new.starts_at))
        after = replace(each, starts_at=max(each.starts_at, new.ends_at))
        kept += [part for part in (before, after) if part.starts_at < part.ends_at]
    return tuple(sorted(kept, key=lambda each: each.starts_at))
