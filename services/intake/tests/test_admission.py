import pytest
from haven.intake.v1 import care_pb2, care_service_pb2, events_pb2, people_service_pb2

from haven_kit.errors import Invalid, NotFound, Refused, Stale


async def test_names_everything_that_is_missing(people):
    person_id, therapist = await people.referred(time_zone=""), people.staff("individual_therapist")
    await people.care_team(person_id, (therapist.id, "individual_therapist"))
    with pytest.raises(Refused) as refused:
        await therapist.care.Admit(people.admission(person_id))
    for name in ("consent treatment", "consent telehealth", "screening c-ssrs-screener", "technology check",
                 "licensed location", "accepted referral", "time zone"):  # fmt: skip
        assert name in refused.value.message
    assert "care team" not in refused.value.message


async def test_admits_with_a_plan_and_tells_the_others(people, intake):
    person_id, therapist = await people.admitted()
    stay = await therapist.care.GetAdmission(care_service_pb2.GetAdmissionRequest(person_id=person_id))
    assert (stay.level_of_care, stay.hours_per_week) == ("iop", 9)
    plan = await people.person(person_id).care.GetCarePlan(care_service_pb2.GetCarePlanRequest(person_id=person_id))
    assert [goal.text for goal in plan.goals] == ["Sleep through most nights"]
    told = [each for each in await intake.told(events_pb2.PersonAdmitted) if each.person_id == person_id]
    assert [(each.admission_id, each.time_zone) for each in told] == [(stay.admission_id, "America/Chicago")]
    with pytest.raises(Refused):
        await therapist.care.Admit(people.admission(person_id))


async def test_a_consent_taken_back_stops_the_admission(people):
    person_id, therapist = await people.referred(), people.staff("individual_therapist")
    await people.ready(person_id, therapist.id)
    me = people.person(person_id)
    from haven.intake.v1 import consent_service_pb2 as consents

    listed = await me.consents.ListConsents(consents.ListConsentsRequest(person_id=person_id))
    telehealth = next(each for each in listed.consents if each.kind == consents.CONSENT_KIND_TELEHEALTH)
    await me.consents.RevokeConsent(
        consents.RevokeConsentRequest(person_id=person_id, consent_id=telehealth.consent_id)
    )
    with pytest.raises(Refused, match="consent telehealth"):
        await therapist.care.Admit(people.admission(person_id))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"hours_per_week": 8}, Invalid),
        ({"hours_per_week": 20}, Invalid),
        ({"level_of_care": "residential", "hours_per_week": 20}, Invalid),
        ({"facts": care_pb2.EligibilityFacts(emotional_behavioral=4)}, Refused),
        ({"facts": care_pb2.EligibilityFacts(emotional_behavioral=2, needs_24_hour_care=True)}, Refused),
        ({"facts": care_pb2.EligibilityFacts()}, Refused),
    ],
)
async def test_the_level_of_care_must_fit(people, given, error):
    person_id, therapist = await people.referred(), people.staff("individual_therapist")
    await people.care_team(person_id, (therapist.id, "individual_therapist"))
    with pytest.raises(error):
        await therapist.care.Admit(people.admission(person_id, **given))


async def test_only_the_care_team_admits(people):
    person_id = await people.referred()
    with pytest.raises(NotFound):
        await people.staff("individual_therapist").care.Admit(people.admission(person_id))


async def test_steps_down_up_and_out(people, intake):
    person_id, therapist = await people.admitted()
    stay = await therapist.care.ChangeLevelOfCare(
        care_service_pb2.ChangeLevelOfCareRequest(
            person_id=person_id,
            level_of_care="outpatient",
            days_per_week=1,
            hours_per_week=2,
            reason="Goals are reached",
            facts=care_pb2.EligibilityFacts(emotional_behavioral=1),
        )
    )
    assert [(each.from_level, each.to_level) for each in stay.changes] == [("iop", "outpatient")]
    with pytest.raises(Stale):
        await therapist.care.Discharge(
            care_service_pb2.DischargeRequest(
                person_id=person_id, reason="Done", aftercare="Group on Mondays", etag="v1"
            )
        )
    left = await therapist.care.Discharge(
        care_service_pb2.DischargeRequest(
            person_id=person_id, reason="Done", aftercare="Group on Mondays", etag=stay.etag
        )
    )
    assert left.HasField("discharged_at")
    assert [e.hours_per_week for e in await intake.told(events_pb2.LevelOfCareChanged) if e.person_id == person_id] == [
        2
    ]
    assert [e for e in await intake.told(events_pb2.PersonDischarged) if e.person_id == person_id]


async def test_billing_gets_what_a_claim_needs_and_nobody_else_does(people, intake):
    person_id, _ = await people.admitted()
    from haven.intake.v1.people_service_pb2_grpc import PeopleServiceStub

    request = people_service_pb2.GetBillingProfileRequest(person_id=person_id)
    profile = await intake.as_service("billing").stub(PeopleServiceStub).GetBillingProfile(request)
    assert list(profile.diagnoses) == ["F4310"]
    assert profile.level_of_care == "iop"
    assert profile.admitted_on
