"""What is wrong with a rotation: when nobody is on call, or somebody who is away, and what two have at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from haven_crisis.domain.rotation import Override, Rotation, Shadow, Stretch, on_layer, stretches

HORIZON = timedelta(days=90)
"""How far ahead a rotation is checked."""
TOLD = 5
"""How many stretches a refusal names; it says how many more there are."""


@dataclass(frozen=True, slots=True)
class Finding(Stretch):
    """A stretch that is not as it should be, and how to mend it."""

    message: str
    what: str
    """What is wrong in it, and with whom: two findings that have it in common are of one fault."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was found, each in order of time."""

    gaps: tuple[Finding, ...]
    overlaps: tuple[Finding, ...]


Away = Mapping[str, Sequence[Stretch]]
"""The time off of responders."""


def check(rotation: Rotation, away: Away, names: Mapping[str, str], start: datetime, end: datetime) -> Coverage:
    """Every gap and every overlap from `start` to `end`.

    A gap is a stretch in which nobody is on call, or somebody who is away. An overlap is a stretch of two overrides, or
    of two layers that are limited to times of the week; a layer that is always there is meant to lie under others.
    """
    overlaps = [*_overrides(rotation), *_layers(rotation, start, end)]
    return Coverage(_gaps(rotation, away, names, start, end), tuple(sorted(overlaps, key=_begin)))


def _gaps(
    rotation: Rotation, away: Away, names: Mapping[str, str], start: datetime, end: datetime
) -> tuple[Finding, ...]:
    found = [*_empty(rotation, start, end), *_away(rotation, away, names, start, end)]
    return tuple(sorted(found, key=_begin))


def _begin(each: Stretch) -> datetime:
    return each.starts_at


def _empty(rotation: Rotation, start: datetime, end: datetime) -> Iterator[Finding]:
    bare = (stretch for stretch, duty in stretches(rotation, start, end) if not duty.responder_id)
    for each in _joined(bare):
        yield Finding(
            each.starts_at,
            each.ends_at,
            f"Nobody is on call {show(each)}. Begin the first turn earlier, widen a layer, or add an override.",
            "nobody",
        )


def _away(
    rotation: Rotation, away: Away, names: Mapping[str, str], start: datetime, end: datetime
) -> Iterator[Finding]:
    if not away:
        return
    for stretch, duty in stretches(rotation, start, end):
        for off in away.get(duty.responder_id, ()):
            both = Stretch(max(stretch.starts_at, off.starts_at), min(stretch.ends_at, off.ends_at))
            if both.starts_at < both.ends_at:
                who = names.get(duty.responder_id, duty.responder_id)
                yield Finding(
                    both.starts_at,
                    both.ends_at,
                    f"{who} is on call {show(both)} and has time off then. Give the stretch to somebody else by an "
                    "override or a swap, or take the time off back.",
                    f"away {duty.responder_id}",
                )


def _overrides(rotation: Rotation) -> Iterator[Finding]:
    ordered = sorted(rotation.overrides, key=_begin)
    latest: Override | None = None
    for each in ordered:
        if latest is not None and each.starts_at < latest.ends_at:
            both = Stretch(each.starts_at, min(each.ends_at, latest.ends_at))
            message = f"Two overrides overlap {show(both)}. Shorten one of them."
            yield Finding(both.starts_at, both.ends_at, message, "overrides")
        latest = each if latest is None or each.ends_at > latest.ends_at else latest


def _layers(rotation: Rotation, start: datetime, end: datetime) -> Iterator[Finding]:
    limited = [each for each in rotation.layers if each.windows]
    if len(limited) < 2:
        return
    found: list[tuple[Stretch, tuple[str, ...]]] = []
    at = start
    while at < end:
        looks = [(each, *on_layer(each, at)) for each in limited]
        until = min([end, *(edge for _, _, edge in looks)])
        both = tuple(layer.name or "a layer" for layer, responder, _ in looks if responder)
        if len(both) > 1:
            if found and found[-1][0].ends_at == at and found[-1][1] == both:
                found[-1] = Stretch(found[-1][0].starts_at, until), both
            else:
                found.append((Stretch(at, until), both))
        at = until
    for each, names in found:
        message = f"{' and '.join(names)} both have somebody on call {show(each)}; {names[-1]} counts."
        yield Finding(each.starts_at, each.ends_at, f"{message} Narrow one of them if that is not meant.", "layers")


def _joined(found: Iterable[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for each in found:
        if joined and joined[-1].ends_at == each.starts_at:
            joined[-1] = Stretch(joined[-1].starts_at, each.ends_at)
        else:
            joined.append(each)
    return joined


def problems(rotation: Rotation, away: Away, names: Mapping[str, str], now: datetime) -> list[str]:
    """What is wrong with the rotation's times, each with what would mend it. Empty when nothing is."""
    return next((_some(each) for each in _faults(rotation, away, names, now) if each), [])


def newly_wrong(
    held: Rotation, held_away: Away, drafted: Rotation, away: Away, names: Mapping[str, str], now: datetime
) -> list[str]:
    """Those of the drafted rotation's problems that the held one has not: a stretch in which the same was wrong
    already, or a part of one, is none."""
    known = _joined_by_fault(each for found in _faults(held, held_away, names, now) for each in found)
    for found in _faults(drafted, away, names, now):
        if new := [each for each in found if not any(_within(each, one) for one in known.get(each.what, ()))]:
            return _some(new)
    return []


def _faults(rotation: Rotation, away: Away, names: Mapping[str, str], now: datetime) -> Iterator[Sequence[Finding]]:
    """What is wrong, by kind; what has to be mended before the rest is worth a look comes first."""
    backwards = [
        Finding(
            each.starts_at,
            each.ends_at,
            f"The {kind} {show(each)} ends before it begins. Give it a later end.",
            f"{kind} ends before it begins",
        )
        for kind, all_of in (("override", rotation.overrides), ("shadow shift", rotation.shadows))
        for each in all_of
        if each.ends_at <= each.starts_at
    ]
    yield backwards + _doubled(rotation.shadows)
    yield list(_overrides(rotation))
    yield _gaps(rotation, away, names, now, now + HORIZON)


def _doubled(shadows: Sequence[Shadow]) -> list[Finding]:
    ordered = sorted(shadows, key=lambda each: (each.responder_id, each.starts_at))
    return [
        Finding(
            later.starts_at,
            min(earlier.ends_at, later.ends_at),
            f"Two shadow shifts of one responder overlap {show(later)}. Shorten one of them.",
            f"shadow shifts {later.responder_id}",
        )
        for earlier, later in pairwise(ordered)
        if later.responder_id == earlier.responder_id and later.starts_at < earlier.ends_at
    ]


def _joined_by_fault(found: Iterable[Finding]) -> dict[str, list[Stretch]]:
    by_fault: defaultdict[str, list[Stretch]] = defaultdict(list)
    for each in sorted(found, key=_begin):
        of = by_fault[each.what]
        if of and each.starts_at <= of[-1].ends_at:
            of[-1] = Stretch(of[-1].starts_at, max(of[-1].ends_at, each.ends_at))
        else:
            of.append(Stretch(each.starts_at, each.ends_at))
    return by_fault


def _within(inner: Stretch, outer: Stretch) -> bool:
    return outer.starts_at <= inner.starts_at and inner.ends_at <= outer.ends_at


def _some(findings: Sequence[Finding]) -> list[str]:
    told = [each.message for each in findings[:TOLD]]
    if len(findings) > TOLD:
        told.append(f"There are {len(findings) - TOLD} more such stretches in the next {HORIZON.days} days.")
    return told


def show(stretch: Stretch) -> str:
    """A stretch in words."""
    return f"from {_moment(stretch.starts_at)} to {_moment(stretch.ends_at)}"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
