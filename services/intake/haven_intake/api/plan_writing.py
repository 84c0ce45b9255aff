"""Writing a care plan, by itself or with an admission."""

from __future__ import annotations

from haven.intake.v1 import care_pb2 as pb

from haven_intake.store import documents
from haven_kit import ids
from haven_kit.call import Call
from haven_kit.cipher import Cipher


async def write_plan(cipher: Cipher, call: Call, person_id: str, plan: pb.CarePlan, etag: str) -> int:
    """Write the plan, giving new goals their ids. Returns the version; raises Stale."""
    plan.person_id = person_id
    plan.ClearField("etag")
    plan.updated_at.FromDatetime(call.now)
    for goal in plan.goals:
        goal.goal_id = goal.goal_id or ids.new_id()
    return await documents.write(call.tx, cipher, person_id, plan, etag)
