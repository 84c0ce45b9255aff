"""RPCs of crisis: translate, authorize, call, translate back."""

from __future__ import annotations

from haven_crisis.api.alerts import AlertApi
from haven_crisis.api.break_glass import BreakGlassApi
from haven_crisis.api.channel_codes import ChannelApi
from haven_crisis.api.deliveries import DeliveryApi
from haven_crisis.api.desk import Desk
from haven_crisis.api.duties import DutyApi
from haven_crisis.api.feeds import CalendarFeedApi
from haven_crisis.api.follow_ups import FollowUpApi
from haven_crisis.api.integrations import IntegrationApi
from haven_crisis.api.on_call import OnCallApi
from haven_crisis.api.plan_changes import PlanChangeApi
from haven_crisis.api.plans import PlanApi
from haven_crisis.api.reviews import ReviewApi
from haven_crisis.api.signals import CrisisApi
from haven_crisis.api.swaps import SwapApi
from haven_crisis.api.teams import TeamApi
from haven_crisis.api.time_off import TimeOffApi
from haven_crisis.channels import Channels
from haven_kit.server import Api


def apis(desk: Desk, channels: Channels) -> list[Api]:
    """Every gRPC service of crisis."""
    return [
        Api("haven.crisis.v1.CrisisService", CrisisApi(desk)),
        Api("haven.crisis.v1.AlertService", AlertApi(desk)),
        Api("haven.crisis.v1.ReviewService", ReviewApi(desk)),
        Api("haven.crisis.v1.FollowUpService", FollowUpApi(desk)),
        Api("haven.crisis.v1.BreakGlassService", BreakGlassApi(desk)),
        Api("haven.crisis.v1.IntegrationService", IntegrationApi(desk)),
        Api("haven.crisis.v1.PlanService", PlanApi(desk)),
        Api("haven.crisis.v1.OnCallService", OnCallApi(desk)),
        Api("haven.crisis.v1.ChannelService", ChannelApi(desk, channels)),
        Api("haven.crisis.v1.TeamService", TeamApi(desk)),
        Api("haven.crisis.v1.SwapService", SwapApi(desk)),
        Api("haven.crisis.v1.TimeOffService", TimeOffApi(desk)),
        Api("haven.crisis.v1.CalendarFeedService", CalendarFeedApi(desk)),
        Api("haven.crisis.v1.DutyService", DutyApi(desk)),
        Api("haven.crisis.v1.PlanChangeService", PlanChangeApi(desk)),
        Api("haven.crisis.v1.DeliveryService", DeliveryApi()),
    ]
