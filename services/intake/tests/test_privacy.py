"""What one partner tells in private never reaches the other; Part 2 records reach nobody whom no consent names."""

import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.json_format import MessageToJson
from google.protobuf.timestamp_pb2 import Timestamp
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
from haven.options.v1 import options_pb2

from haven_intake import policy
from haven_kit import contract
from haven_kit.errors import Denied, HavenError, NotFound
from haven_kit.identity import Principal

SECRETS = ("secret-code-word", "secret-private-part", "secret-relationship", "706893006", "partner abuse")
SCOPES = [consent_service_pb2.SHARE_SCOPE_NAME, consent_service_pb2.SHARE_SCOPE_PROGRESS]


async def tell_in_private(people, person_id, link_id):
    """Put something partner-private into every place that takes it."""
    me = people.person(person_id)
    await me.people.SetPreferences(
        people_service_pb2.SetPreferencesRequest(
            person_id=person_id,
            preferences=people_pb2.Preferences(
                chosen_name="Sky", pronouns="she/her", code_word=SECRETS[0], never_contact_partner=True
            ),
        )
    )
    await me.care.PutAssessment(
        care_service_pb2.PutAssessmentRequest(
            person_id=person_id, assessment=care_pb2.Assessment(relationship_safety=SECRETS[2], trauma=True)
        )
    )
    await me.links.PutCoupleStory(
        link_service_pb2.PutCoupleStoryRequest(
            link_id=link_id,
            story=link_service_pb2.CoupleStory(
                narrative="We moved here together",
                private_parts=[link_service_pb2.PrivatePart(text=SECRETS[1])],
            ),
        )
    )
    await me.care.UpdateCarePlan(
        care_service_pb2.UpdateCarePlanRequest(
            person_id=person_id,
            care_plan=care_pb2.CarePlan(
                goals=[care_pb2.Goal(text="Walk each day", progress_percent=40, progress_note="a note of hers")],
                relapse=care_pb2.RelapsePlan(substances=["alcohol"]),
            ),
        )
    )


async def every_answer(caller, person_id, link_id, referral_id):
    """What a caller gets from every RPC that reads: the JSON of answers, by method."""
    requests = {
        caller.people.GetPerson: people_service_pb2.GetPersonRequest(person_id=person_id),
        caller.people.GetPreferences: people_service_pb2.GetPreferencesRequest(person_id=person_id),
        caller.people.GetReadiness: people_service_pb2.GetReadinessRequest(person_id=person_id),
        caller.people.GetCareTeam: people_service_pb2.GetCareTeamRequest(person_id=person_id),
        caller.people.ListPeople: people_service_pb2.ListPeopleRequest(),
        caller.people.ListAccesses: people_service_pb2.ListAccessesRequest(person_id=person_id),
        caller.referrals.GetReferral: referral_service_pb2.GetReferralRequest(referral_id=referral_id),
        caller.referrals.ListReferrals: referral_service_pb2.ListReferralsRequest(),
        caller.consents.ListConsents: consent_service_pb2.ListConsentsRequest(person_id=person_id),
        caller.screenings.ListScreenings: screening_service_pb2.ListScreeningsRequest(person_id=person_id),
        caller.care.GetAssessment: care_service_pb2.GetAssessmentRequest(person_id=person_id),
        caller.care.GetAdmission: care_service_pb2.GetAdmissionRequest(person_id=person_id),
        caller.care.GetCarePlan: care_service_pb2.GetCarePlanRequest(person_id=person_id),
        caller.care.ListCheckIns: care_service_pb2.ListCheckInsRequest(person_id=person_id),
        caller.links.ListLinks: link_service_pb2.ListLinksRequest(person_id=person_id),
        caller.links.GetLink: link_service_pb2.GetLinkRequest(link_id=link_id),
        caller.links.GetCoupleStory: link_service_pb2.GetCoupleStoryRequest(link_id=link_id),
    }
    answers = {}
    for call, request in requests.items():
        with contextlib.suppress(NotFound, Denied):
            answers[type(request).__name__] = MessageToJson(await call(request))
    return answers


@pytest.fixture
async def couple(people):
    summary = referral_service_pb2.ClinicalSummary(
        partner_flags=[referral_service_pb2.PartnerSafetyFlag(label=SECRETS[4], code=SECRETS[3])]
    )
    one, other, link = await people.couple(summary)
    listed = await people.desk.referrals.ListReferrals(referral_service_pb2.ListReferralsRequest(page_size=200))
    referral = next(each for each in listed.referrals if each.person_id == one)
    await tell_in_private(people, one, link.link_id)
    return one, other, link, referral.referral_id


async def test_what_is_told_in_private_reaches_a_partner_in_no_answer(people, couple):
    one, other, link, referral_id = couple
    await people.consent(one, "share_with_partner", grantee_id=other, grantee_name="Partner", scopes=SCOPES)
    mine = await every_answer(people.person(one), one, link.link_id, referral_id)
    assert all(any(secret in answer for answer in mine.values()) for secret in SECRETS)
    for role in ("partner", "participant"):
        theirs = await every_answer(people.person(other, role), one, link.link_id, referral_id)
        assert {"GetPersonRequest", "GetCarePlanRequest", "GetLinkRequest", "GetCoupleStoryRequest"} == set(theirs)
        for answer in theirs.values():
            assert not [secret for secret in SECRETS if secret in answer]
        person = json.loads(theirs["GetPersonRequest"])
        assert person == {"personId": one, "displayName": "Sky", "pronouns": "she/her"}
        (goal,) = json.loads(theirs["GetCarePlanRequest"])["goals"]
        assert (goal["text"], goal["progressPercent"]) == ("Walk each day", 40)
        assert "a note of hers" not in theirs["GetCarePlanRequest"]
        assert "alcohol" not in theirs["GetCarePlanRequest"]
        assert "We moved here together" in theirs["GetCoupleStoryRequest"]


async def test_without_a_consent_a_partner_sees_nothing_and_loses_it_with_the_consent(people, couple):
    one, other, _, _ = couple
    partner = people.person(other, "partner")
    request = people_service_pb2.GetPersonRequest(person_id=one)
    with pytest.raises(NotFound):
        await partner.people.GetPerson(request)
    given = await people.consent(
        one,
        "share_with_partner",
        grantee_id=other,
        grantee_name="Partner",
        scopes=[consent_service_pb2.SHARE_SCOPE_NAME],
    )
    assert (await partner.people.GetPerson(request)).display_name == "Sky"
    with pytest.raises(NotFound):
        await partner.care.GetCarePlan(care_service_pb2.GetCarePlanRequest(person_id=one))
    await people.person(one).consents.RevokeConsent(
        consent_service_pb2.RevokeConsentRequest(person_id=one, consent_id=given.consent_id)
    )
    with pytest.raises(NotFound):
        await partner.people.GetPerson(request)


async def test_a_consent_ends_with_the_link(people, couple):
    one, other, link, _ = couple
    await people.consent(one, "share_with_partner", grantee_id=other, grantee_name="Partner", scopes=SCOPES)
    await people.person(other, "partner").links.EndLink(link_service_pb2.EndLinkRequest(link_id=link.link_id))
    with pytest.raises(NotFound):
        await people.person(other, "partner").people.GetPerson(people_service_pb2.GetPersonRequest(person_id=one))


async def test_each_partner_keeps_their_own_private_part(people, couple):
    one, other, link, _ = couple
    partner = people.person(other, "partner")
    story = await partner.links.PutCoupleStory(
        link_service_pb2.PutCoupleStoryRequest(
            link_id=link.link_id,
            story=link_service_pb2.CoupleStory(
                narrative="We moved here twice", private_parts=[link_service_pb2.PrivatePart(text="his own")]
            ),
        )
    )
    assert [each.text for each in story.private_parts] == ["his own"]
    request = link_service_pb2.GetCoupleStoryRequest(link_id=link.link_id)
    mine = await people.person(one).links.GetCoupleStory(request)
    assert ([each.text for each in mine.private_parts], mine.narrative) == ([SECRETS[1]], "We moved here twice")
    therapist = people.staff("couples_therapist")
    await people.care_team(one, (therapist.id, "couples_therapist"))
    both = await therapist.links.GetCoupleStory(request)
    assert {each.text for each in both.private_parts} == {SECRETS[1], "his own"}
    with pytest.raises(NotFound):
        await people.staff("couples_therapist").links.GetCoupleStory(request)


async def test_nobody_writes_for_the_other(people, couple):
    one, other, link, _ = couple
    with pytest.raises(HavenError, match="own private part"):
        await people.person(other, "partner").links.PutCoupleStory(
            link_service_pb2.PutCoupleStoryRequest(
                link_id=link.link_id,
                story=link_service_pb2.CoupleStory(
                    private_parts=[link_service_pb2.PrivatePart(person_id=one, text="not hers")]
                ),
            )
        )


async def test_part_2_records_are_shown_to_whom_a_consent_names_and_kept_through_others_changes(people):
    person_id, therapist = await people.referred(), people.staff("individual_therapist")
    await people.care_team(person_id, (therapist.id, "individual_therapist"))
    me = people.person(person_id)
    await me.care.PutAssessment(
        care_service_pb2.PutAssessmentRequest(
            person_id=person_id,
            assessment=care_pb2.Assessment(anxiety=True, substance_use=True, substance_use_history="sober since May"),
        )
    )
    request = care_service_pb2.GetAssessmentRequest(person_id=person_id)
    seen = await therapist.care.GetAssessment(request)
    assert not seen.substance_use_history
    assert not [each for each in seen.plan_suggestions if "ubstance" in each]
    seen.history = "written by the therapist"
    await therapist.care.PutAssessment(care_service_pb2.PutAssessmentRequest(person_id=person_id, assessment=seen))
    own = await me.care.GetAssessment(request)
    assert (own.substance_use, own.substance_use_history, own.history) == (
        True, "sober since May", "written by the therapist",
    )  # fmt: skip
    until = Timestamp()
    until.FromDatetime(datetime.now(UTC) + timedelta(days=30))
    given = await people.consent(
        person_id,
        "part2_disclosure",
        grantee_id=therapist.id,
        grantee_name="Dana",
        purpose="Treatment",
        expires_at=until,
    )
    assert "42 CFR part 2" in given.redisclosure_notice
    assert (await therapist.care.GetAssessment(request)).substance_use_history == "sober since May"


def test_every_partner_private_field_is_closed_to_partner_and_family():
    """For every message that a partner or family member can be answered with, however it is filled."""
    nobody = policy.shown(Principal("someone"), frozenset({options_pb2.RELATION_COUPLE}), [])
    assert nobody == frozenset()
    opened = {options_pb2.RELATION_COUPLE, options_pb2.RELATION_FAMILY}
    found = 0
    for service in contract.services_of("intake"):
        for method in contract.methods_of(service):
            if opened & set(method.access.relations):
                message = filled(method.response.DESCRIPTOR)
                policy.visible(message, nobody)
                assert not protected(message)
                found += 1
    assert found


def filled(descriptor, depth=0):
    from google.protobuf import message_factory

    message = message_factory.GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if field.message_type is not None:
            if depth < 4:
                inner = filled(field.message_type, depth + 1)
                if field.is_repeated:
                    getattr(message, field.name).append(inner)
                else:
                    getattr(message, field.name).CopyFrom(inner)
        elif field.cpp_type == field.CPPTYPE_STRING:
            value = "x" if field.type == field.TYPE_STRING else b"x"
            getattr(message, field.name).append(value) if field.is_repeated else setattr(message, field.name, value)
        elif field.is_repeated:
            getattr(message, field.name).append(1)
        else:
            setattr(message, field.name, True if field.cpp_type == field.CPPTYPE_BOOL else 1)
    return message


def protected(message):
    kinds = {options_pb2.PHI_PARTNER_PRIVATE, options_pb2.PHI_SUBSTANCE_USE}
    for field, value in message.ListFields():
        if contract.phi_kind(field) in kinds:
            return True
        if field.message_type is not None and any(
            protected(each) for each in (value if field.is_repeated else [value])
        ):
            return True
    return False


def test_the_whole_clinical_summary_is_closed_to_a_partner():
    summary = filled(referral_service_pb2.ClinicalSummary.DESCRIPTOR)
    policy.visible(summary, frozenset())
    assert not summary.partner_flags
    assert not summary.substance_use_flags
    assert not summary.substance_use_medications
    assert summary.flags
