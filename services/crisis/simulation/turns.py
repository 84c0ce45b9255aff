"""What must hold of the turns of round robins."""

from __future__ import annotations

from collections.abc import Iterable

from haven_crisis.domain.alerts import Alert


def taken(alerts: Iterable[Alert], *, drill: bool) -> list[int]:
    """The turns that alerts have taken, in their order; those that have theirs by their id are left out."""
    return [each.turn for each in alerts if each.drill == drill and each.turn != int(each.alert_id[-8:], 16)]
