"""RPCs of scheduling: translate, authorize, call, translate back."""

from haven_kit.server import Api
from haven_kit.service import Parts
from haven_scheduling.api.agendas import AgendasApi
from haven_scheduling.api.calendars import CalendarsApi
from haven_scheduling.api.catalogue import CatalogueApi
from haven_scheduling.api.enrolments import EnrolmentsApi
from haven_scheduling.api.groups import GroupsApi
from haven_scheduling.api.people import PeopleApi
from haven_scheduling.api.proposals import ProposalsApi
from haven_scheduling.api.seats import SeatsApi
from haven_scheduling.api.series import SeriesApi
from haven_scheduling.api.sessions import SessionsApi
from haven_scheduling.api.weeks import WeeksApi
from haven_scheduling.settings import SchedulingSettings


class SchedulingApi(GroupsApi, SeriesApi, EnrolmentsApi, SessionsApi, CalendarsApi, SeatsApi, AgendasApi):
    """haven.scheduling.v1.SchedulingService."""


class FittingApi(CatalogueApi, WeeksApi, PeopleApi, ProposalsApi):
    """haven.scheduling.v1.FittingService."""


def apis(parts: Parts[SchedulingSettings]) -> list[Api]:
    """Every gRPC service of scheduling."""
    return [
        Api("haven.scheduling.v1.SchedulingService", SchedulingApi(parts)),
        Api("haven.scheduling.v1.FittingService", FittingApi(parts)),
    ]
