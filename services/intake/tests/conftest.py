"""People to test with, and the calls that bring them where a test begins."""

from __future__ import annotations

import itertools
from typing import Any

import pytest_asyncio
from haven.intake.v1 import (
    care_pb2,
    care_service_pb2,
    consent_service_pb2,
    link_service_pb2,
    people_pb2,
    people_service_pb2,
    referral_service_pb2,
    screening_service_pb2,
)
from haven.intake.v1.care_service_pb2_grpc import CareServiceStub
from haven.intake.v1.consent_service_pb2_grpc import ConsentServiceStub
from haven.intake.v1.link_service_pb2_grpc import LinkServiceStub
from haven.intake.v1.people_service_pb2_grpc import PeopleServiceStub
from haven.intake.v1.referral_service_pb2_grpc import ReferralServiceStub
from haven.intake.v1.screening_service_pb2_grpc import ScreeningServiceStub
from haven.options.v1 import options_pb2

from haven_intake import facts
from haven_intake.__main__ import SPEC

_count = itertools.count(1)
_LETTERS = "bcdfghjklmnpqrstvwxz"
NEEDED = ("treatment", "group_agreement", "privacy_notice", "boundaries", "telehealth")


class Who:
    """A caller with a stub for each service."""

    def __init__(self, caller: Any) -> None:
        self.id = caller.principal.id
        self.people = caller.stub(PeopleServiceStub)
        self.referrals = caller.stub(ReferralServiceStub)
        self.consents = caller.stub(ConsentServiceStub)
        self.screenings = caller.stub(ScreeningServiceStub)
        self.care = caller.stub(CareServiceStub)
        self.links = caller.stub(LinkServiceStub)


class People:
    """Who takes part in a test."""

    def __init__(self, intake: Any) -> None:
        self.intake = intake
        self.desk = Who(intake.as_role("care_coordinator"))

    def staff(self, role: str, sub: str | None = None) -> Who:
        return Who(self.intake.as_role(role, sub=sub))

    def person(self, person_id: str, role: str = "participant") -> Who:
        return Who(self.intake.as_role(role, person_id=person_id))

    async def referred(self, summary: Any = None, **given: Any) -> str:
        """A person with a new referral; nobody like them is known."""
        person = unlike_anyone(**given)
        referral = await self.desk.referrals.CreateReferral(
            referral_service_pb2.CreateReferralRequest(
                person=person, summary=summary, kind=referral_service_pb2.REFERRAL_KIND_CLINICIAN
            )
        )
        return str(referral.person_id)

    async def consent(self, person_id: str, kind: str, role: str = "participant", **given: Any) -> Any:
        who = self.person(person_id, role)
        return await who.consents.GiveConsent(
            consent_service_pb2.GiveConsentRequest(
                person_id=person_id,
                kind=consent_service_pb2.ConsentKind.Value(f"CONSENT_KIND_{kind.upper()}"),
                document_version=facts.consent_documents()[kind].version,
                signature="Signed Name",
                **given,
            )
        )

    async def care_team(self, person_id: str, *members: tuple[str, str]) -> None:
        """Put principals with their roles on the team."""
        await self.desk.people.SetCareTeam(
            people_service_pb2.SetCareTeamRequest(
                person_id=person_id,
                members=[
                    people_pb2.TeamMember(
                        principal_id=sub, role=options_pb2.Role.Value(f"ROLE_{role.upper()}"), name=name(sub)
                    )
                    for sub, role in members
                ],
            )
        )

    async def answered(self, person_id: str, instrument_id: str, value: int = 0, **values: int) -> Any:
        """A complete screening: every item answered with `value`, but those named."""
        answers = {item.id: value for item in facts.all_instruments()[instrument_id].items}
        answers |= {item.replace("_", "-"): each for item, each in values.items()}
        return await self.person(person_id).screenings.SubmitScreening(
            screening_service_pb2.SubmitScreeningRequest(
                person_id=person_id,
                instrument_id=instrument_id,
                answers=[screening_service_pb2.Answer(item_id=k, value=v) for k, v in answers.items()],
            )
        )

    async def ready(self, person_id: str, therapist: str) -> None:
        """Everything that an admission asks for."""
        for kind in NEEDED:
            await self.consent(person_id, kind)
        for instrument in facts.admission_needs().screenings:
            await self.answered(person_id, instrument)
        await self.person(person_id).people.RecordReadiness(
            people_service_pb2.RecordReadinessRequest(
                person_id=person_id,
                readiness=people_pb2.Readiness(
                    download_kbps=20_000,
                    upload_kbps=5_000,
                    camera_works=True,
                    microphone_works=True,
                    private_place=True,
                    state="KS",
                ),
            )
        )
        await self.care_team(person_id, (therapist, "individual_therapist"))
        listed = await self.desk.referrals.ListReferrals(referral_service_pb2.ListReferralsRequest(page_size=200))
        referral = next(each for each in listed.referrals if each.person_id == person_id)
        await self.desk.referrals.AcceptReferral(
            referral_service_pb2.AcceptReferralRequest(referral_id=referral.referral_id)
        )

    async def admitted(self) -> tuple[str, Who]:
        """A person in the program, and their therapist."""
        person_id, therapist = await self.referred(), self.staff("individual_therapist")
        await self.ready(person_id, therapist.id)
        await therapist.care.Admit(self.admission(person_id))
        return person_id, therapist

    async def couple(self, summary: Any = None) -> tuple[str, str, Any]:
        """Two linked people: the participant, the partner, the link."""
        one, other = await self.referred(summary), await self.referred()
        await self.consent(one, "relationship", grantee_id=other, grantee_name="Partner")
        await self.consent(other, "relationship", role="partner", grantee_id=one, grantee_name="Partner")
        link = await self.desk.links.LinkPeople(
            link_service_pb2.LinkPeopleRequest(
                person_id=one, linked_person_id=other, kind=link_service_pb2.LINK_KIND_COUPLE
            )
        )
        return one, other, link

    @staticmethod
    def admission(person_id: str, **given: Any) -> care_service_pb2.AdmitRequest:
        values: dict[str, Any] = {
            "person_id": person_id,
            "level_of_care": "iop",
            "track": "iop-adult-trauma",
            "days_per_week": 3,
            "hours_per_week": 9,
            "diagnoses": ["F43.10"],
            "facts": care_pb2.EligibilityFacts(emotional_behavioral=2),
            "goals": [care_pb2.Goal(text="Sleep through most nights")],
        }
        return care_service_pb2.AdmitRequest(**(values | given))

    @staticmethod
    def unlike_anyone(**given: Any) -> people_pb2.Person:
        return unlike_anyone(**given)


def name(sub: str) -> str:
    return f"Name of {sub[-4:]}"


def unlike_anyone(**given: Any) -> people_pb2.Person:
    """Somebody whose name, birth date and telephone nobody else has."""
    number = next(_count)
    letters = "".join(_LETTERS[(number * 7 + place * 3 + number // 20) % 20] for place in range(6))
    family = f"{letters}{'aeiou'[number % 5]}{letters[::-1]}".title()
    values: dict[str, Any] = {
        "given_name": f"{letters[:3]}a".title(),
        "family_name": family,
        "birth_date": f"{1950 + number % 50}-{1 + number % 12:02}-{1 + number % 28:02}",
        "time_zone": "America/Chicago",
        "phones": [people_pb2.Telecom(value=f"+1 316 55{number:05}", use="mobile")],
    }
    return people_pb2.Person(**(values | given))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def intake(serve):
    return await serve(SPEC)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def people(intake):
    return People(intake)
