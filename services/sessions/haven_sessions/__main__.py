"""Sessions: live rooms, presence, the quiet call for help, attendance."""

from __future__ import annotations

from haven_kit.server import Api
from haven_kit.service import Parts, Service, Spec, main
from haven_sessions import catalogue
from haven_sessions.api.attendance import AttendanceApi
from haven_sessions.api.desk import Desk
from haven_sessions.api.help import HelpApi
from haven_sessions.api.moderation import ModerationApi
from haven_sessions.api.participation import ParticipationApi
from haven_sessions.api.rooms import RoomsApi
from haven_sessions.bells import Bells
from haven_sessions.reactions import reactions
from haven_sessions.settings import SessionsSettings
from haven_sessions.workers import Loops


def build(parts: Parts[SessionsSettings]) -> Service:
    """Wire the service."""
    desk = Desk(parts, catalogue.load())
    help_api = HelpApi(desk)
    return Service(
        apis=[
            Api(
                "haven.sessions.v1.SessionsService",
                RoomsApi(desk, Bells(parts.database.wake, parts.settings.max_watchers)),
            ),
            Api("haven.sessions.v1.ParticipationService", ParticipationApi(desk)),
            Api("haven.sessions.v1.ModerationService", ModerationApi(desk)),
            Api("haven.sessions.v1.HelpService", help_api),
            Api("haven.sessions.v1.AttendanceService", AttendanceApi()),
        ],
        reactions=reactions(),
        workers=Loops(parts).workers(),
        on_stop=[help_api.close],
    )


SPEC = Spec(name="sessions", settings=SessionsSettings, build=build, calls=("crisis", "scheduling"))

if __name__ == "__main__":
    main(SPEC)
