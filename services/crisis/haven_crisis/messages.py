"""The messages of the on-call plan as the domain has them."""

from __future__ import annotations

from datetime import UTC, time

from haven.crisis.v1 import layers_pb2, team_service_pb2
from haven.crisis.v1 import on_call_service_pb2 as pb

from haven_crisis.domain.escalation import Policy, Step, Target, Team
from haven_crisis.domain.rotation import Layer, Override, Rotation, Shadow, Window
from haven_kit import times
from haven_kit.errors import Invalid

MOST_WINDOWS = 42
"""In all layers of a rotation together: it is looked through 90 days ahead."""


def rotation_of(kept: pb.Rotation) -> Rotation:
    """The rotation in a message. Raises Invalid for a part that is missing, a zone or a day that does not exist."""
    return Rotation(
        rotation_id=kept.rotation_id,
        layers=_layers(kept),
        overrides=tuple(
            Override(each.starts_at.ToDatetime(UTC), each.ends_at.ToDatetime(UTC), each.responder_id)
            for each in kept.overrides
        ),
        shadows=tuple(
            Shadow(each.starts_at.ToDatetime(UTC), each.ends_at.ToDatetime(UTC), each.responder_id)
            for each in kept.shadows
        ),
        team_id=kept.team_id,
        name=kept.name,
    )


def _layers(kept: pb.Rotation) -> tuple[Layer, ...]:
    if kept.layers:
        if kept.responder_ids:
            raise Invalid("rotation.layers", "one_form", "Give responders in turn, or layers, not both.")
        if sum(len(each.windows) for each in kept.layers) > MOST_WINDOWS:
            raise Invalid("rotation.layers", "windows", f"Give at most {MOST_WINDOWS} windows in all layers together.")
        return tuple(_layer(f"rotation.layers[{place}]", each) for place, each in enumerate(kept.layers))
    for field in ("responder_ids", "shift_days", "time_zone", "hand_over", "first_day"):
        if not getattr(kept, field):
            raise Invalid(
                f"rotation.{field}", "required", "Say who takes turns, how long, and from when, or give layers."
            )
    return (
        Layer(
            responders=tuple(kept.responder_ids),
            turn_hours=kept.shift_days * 24,
            zone=times.zone("rotation.time_zone", kept.time_zone),
            hand_over=time.fromisoformat(kept.hand_over),
            first_day=times.day("rotation.first_day", kept.first_day),
        ),
    )


def _layer(field: str, kept: layers_pb2.Layer) -> Layer:
    return Layer(
        responders=tuple(kept.responder_ids),
        turn_hours=kept.turn_hours or kept.turn_days * 24,
        zone=times.zone(f"{field}.time_zone", kept.time_zone),
        hand_over=time.fromisoformat(kept.hand_over),
        first_day=times.day(f"{field}.first_day", kept.first_day),
        windows=tuple(
            Window(frozenset(each.days), time.fromisoformat(each.starts), time.fromisoformat(each.ends))
            for each in kept.windows
        ),
        name=kept.name,
    )


def policy_of(kept: pb.Policy) -> Policy:
    """The escalation policy in a message."""
    return Policy(
        kept.policy_id, tuple(_step(each) for each in kept.steps), kept.repeats, _step(kept.last_resort), kept.name
    )


def _step(kept: pb.Step) -> Step:
    targets = tuple(
        Target(each.rotation_id, each.responder_id, each.everyone_on_duty, each.team_id) for each in kept.targets
    )
    return Step(targets, kept.wait.ToTimedelta(), kept.round_robin)


def team_of(kept: team_service_pb2.Team) -> Team:
    """The team in a message."""
    return Team(kept.team_id, kept.name, frozenset(kept.responder_ids))
