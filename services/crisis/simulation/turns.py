"""What must hold of round robins, told from the policy without the service's own rules."""

from __future__ import annotations

from collections.abc import Iterable

from haven_crisis.domain.alerts import Alert
from haven_crisis.domain.escalation import Book


def due(book: Book, turn: int, stage: int) -> str | None:
    """Whose turn it is at a stage of an alert; None where that stage is no round robin, or reaches nobody."""
    policy = book.policies["default"]
    steps = policy.steps
    step = steps[stage % len(steps)]
    if not step.round_robin or stage >= len(steps) * (policy.repeats + 1):
        return None
    order = [each.responder_id for each in step.targets]
    begin = (turn + stage // len(steps)) % len(order)
    return next((each for each in order[begin:] + order[:begin] if each in book.reachable), None)


def taken(alerts: Iterable[Alert], *, drill: bool) -> list[int]:
    """The turns that alerts have taken, in their order; those that have theirs by their id are left out."""
    return [each.turn for each in alerts if each.drill == drill and each.turn != int(each.alert_id[-8:], 16)]
