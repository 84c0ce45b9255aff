"""RPCs of intake: translate, authorize, call, translate back."""

from __future__ import annotations

from haven_intake.api.care import CareApi
from haven_intake.api.consents import ConsentApi
from haven_intake.api.links import LinkApi
from haven_intake.api.people import PeopleApi
from haven_intake.api.referrals import ReferralApi
from haven_intake.api.screenings import ScreeningApi
from haven_intake.api.step_up import StepUpApi
from haven_intake.settings import IntakeSettings
from haven_kit.server import Api
from haven_kit.service import Parts


def apis(parts: Parts[IntakeSettings]) -> list[Api]:
    """Every gRPC service of intake."""
    return [
        Api("haven.intake.v1.PeopleService", PeopleApi(parts)),
        Api("haven.intake.v1.ReferralService", ReferralApi(parts)),
        Api("haven.intake.v1.ConsentService", ConsentApi(parts)),
        Api("haven.intake.v1.ScreeningService", ScreeningApi(parts)),
        Api("haven.intake.v1.CareService", CareApi(parts)),
        Api("haven.intake.v1.LinkService", LinkApi(parts)),
        Api("haven.intake.v1.StepUpService", StepUpApi(parts)),
    ]
