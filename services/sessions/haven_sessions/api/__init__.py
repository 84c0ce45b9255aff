"""RPCs of sessions: translate, authorize, call, translate back."""

from __future__ import annotations

from haven_kit.server import Api
from haven_sessions.api.attendance import AttendanceApi
from haven_sessions.api.desk import Desk
from haven_sessions.api.help import HelpApi
from haven_sessions.api.moderation import ModerationApi
from haven_sessions.api.observations import ObservationApi
from haven_sessions.api.participation import ParticipationApi
from haven_sessions.api.rooms import RoomsApi
from haven_sessions.bells import Bells


def apis(desk: Desk, bells: Bells, help_api: HelpApi) -> list[Api]:
    """Every gRPC service of sessions."""
    return [
        Api("haven.sessions.v1.SessionsService", RoomsApi(desk, bells)),
        Api("haven.sessions.v1.ParticipationService", ParticipationApi(desk)),
        Api("haven.sessions.v1.ModerationService", ModerationApi(desk)),
        Api("haven.sessions.v1.HelpService", help_api),
        Api("haven.sessions.v1.AttendanceService", AttendanceApi()),
        Api("haven.sessions.v1.ObservationService", ObservationApi(desk)),
    ]
