"""What tests of the on-call plan share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from haven.crisis.v1 import duty_service_pb2 as duty_pb
from haven.crisis.v1 import on_call_service_pb2 as pb
from haven.crisis.v1 import swap_service_pb2 as swap_pb
from haven.crisis.v1.duty_service_pb2_grpc import DutyServiceStub
from haven.crisis.v1.on_call_service_pb2_grpc import OnCallServiceStub

from haven_kit import ids
from haven_kit.times import stamp

from .world import World

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def acting(world: World, name: str, stub: Any) -> Any:
    """A stub that a responder calls by, or `admin`."""
    role = "administrator" if name == "admin" else "on_call_responder"
    return world.staff(name, role).stub(stub)


def stretch(rotation_id: str, starts: datetime, ends: datetime) -> swap_pb.Stretch:
    """A stretch of a rotation."""
    return swap_pb.Stretch(rotation_id=rotation_id, starts_at=stamp(starts), ends_at=stamp(ends))


async def turns_of(world: World, rotation_id: str, name: str) -> list[tuple[datetime, datetime]]:
    """The duties of somebody that begin in the next days."""
    now = world.clock.now()
    request = duty_pb.ListDutiesRequest(
        starts_at=stamp(now), ends_at=stamp(now + 20 * DAY), rotation_id=rotation_id, responder_id=name
    )
    found = await acting(world, name, DutyServiceStub).ListDuties(request)
    turns = [(each.starts_at.ToDatetime(UTC), each.ends_at.ToDatetime(UTC)) for each in found.duties]
    return [(starts, ends) for starts, ends in turns if starts > now]


async def days(world: World) -> str:
    """Days that `first` and `second` have in turn, beside the plan; `first` has the first one of each two."""
    await world.plan()
    key = world.ids.setdefault("days", ids.new_id())
    rotation = pb.Rotation(
        name="Days",
        responder_ids=["first", "second"],
        shift_days=1,
        time_zone="UTC",
        hand_over="08:00",
        first_day="2026-01-01",
    )
    await acting(world, "admin", OnCallServiceStub).PutRotation(
        pb.PutRotationRequest(rotation_id=key, rotation=rotation)
    )
    return key
