"""RPCs of crisis: translate, authorize, call, translate back."""

from __future__ import annotations

from haven_crisis.api.alerts import AlertApi
from haven_crisis.api.break_glass import BreakGlassApi
from haven_crisis.api.desk import Desk
from haven_crisis.api.follow_ups import FollowUpApi
from haven_crisis.api.on_call import OnCallApi
from haven_crisis.api.plans import PlanApi
from haven_crisis.api.signals import CrisisApi
from haven_kit.server import Api


def apis(desk: Desk) -> list[Api]:
    """Every gRPC service of crisis."""
    return [
        Api("haven.crisis.v1.CrisisService", CrisisApi(desk)),
        Api("haven.crisis.v1.AlertService", AlertApi(desk)),
        Api("haven.crisis.v1.FollowUpService", FollowUpApi(desk)),
        Api("haven.crisis.v1.BreakGlassService", BreakGlassApi(desk)),
        Api("haven.crisis.v1.PlanService", PlanApi(desk)),
        Api("haven.crisis.v1.OnCallService", OnCallApi(desk)),
    ]
