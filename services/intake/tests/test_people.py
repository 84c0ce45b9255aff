from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from haven.audit.v1 import events_pb2 as audit
from haven.intake.v1 import (
    care_pb2,
    care_service_pb2,
    consent_service_pb2,
    events_pb2,
    link_service_pb2,
    people_pb2,
    people_service_pb2,
)
from haven.options.v1 import options_pb2

from haven_kit import ids
from haven_kit.errors import Conflict, Invalid, NotFound, Refused, Stale
from haven_kit.identity import system
from haven_kit.testing import eventually


def team(person_id, etag="", **members):
    return people_service_pb2.SetCareTeamRequest(
        person_id=person_id,
        etag=etag,
        members=[
            people_pb2.TeamMember(principal_id=sub, role=options_pb2.Role.Value(f"ROLE_{role.upper()}"))
            for role, sub in members.items()
        ],
    )


async def test_changes_only_what_the_mask_names(people, intake):
    person_id = await people.referred(given_name="Ana")
    me = people.person(person_id).people
    before = await me.GetPerson(people_service_pb2.GetPersonRequest(person_id=person_id))
    request = people_service_pb2.UpdatePersonRequest(
        person_id=person_id,
        person=people_pb2.Person(given_name="Anna", family_name="ignored", phones=[people_pb2.Telecom(value="555-7")]),
        update_mask=FieldMask(paths=["given_name", "phones"]),
        etag=before.etag,
    )
    after = await me.UpdatePerson(request)
    assert (after.given_name, after.display_name, after.family_name) == ("Anna", "Anna", before.family_name)
    assert [each.value for each in after.phones] == ["555-7"]
    with pytest.raises(Stale):
        await me.UpdatePerson(request)
    versions = [e.version for e in await intake.told(events_pb2.PersonCardChanged) if e.person_id == person_id]
    assert versions == [1, 2]


@pytest.mark.parametrize(("path", "zone"), [("state", ""), ("person_id", ""), ("time_zone", "Mars/Olympus")])
async def test_refuses_what_cannot_be_changed(people, path, zone):
    person_id = await people.referred()
    with pytest.raises(Invalid):
        await people.desk.people.UpdatePerson(
            people_service_pb2.UpdatePersonRequest(
                person_id=person_id, person=people_pb2.Person(time_zone=zone), update_mask=FieldMask(paths=[path])
            )
        )


async def test_preferences_replace_each_other_by_etag(people):
    person_id = await people.referred()
    me = people.person(person_id).people
    preferences = people_pb2.Preferences(
        chosen_name="Kit",
        camera=people_pb2.CAMERA_PREFERENCE_OFF,
        display=people_pb2.DISPLAY_PREFERENCE_ANONYMOUS,
        animals=[people_pb2.CompanionAnimal(name="Biscuit", kind=people_pb2.ANIMAL_KIND_SERVICE, species="dog")],
        identity_and_values=["Quaker"],
        access_needs=["captions"],
    )
    first = await me.SetPreferences(
        people_service_pb2.SetPreferencesRequest(person_id=person_id, preferences=preferences)
    )
    read = await me.GetPreferences(people_service_pb2.GetPreferencesRequest(person_id=person_id))
    assert read == first
    read.chosen_name = "Kai"
    await me.SetPreferences(people_service_pb2.SetPreferencesRequest(person_id=person_id, preferences=read))
    with pytest.raises(Stale):
        await me.SetPreferences(people_service_pb2.SetPreferencesRequest(person_id=person_id, preferences=read))
    person = await me.GetPerson(people_service_pb2.GetPersonRequest(person_id=person_id))
    assert person.display_name == "Kai"


async def test_separate_roles_stay_separate_for_one_and_across_a_couple(people):
    one, other, _ = await people.couple()
    with pytest.raises(Refused, match="couples therapist"):
        await people.desk.people.SetCareTeam(team(one, individual_therapist="u1", couples_therapist="u1"))
    await people.desk.people.SetCareTeam(team(one, individual_therapist="u1", couples_therapist="u2"))
    with pytest.raises(Refused):
        await people.desk.people.SetCareTeam(team(other, substance_use_counselor="u2"))
    await people.desk.people.SetCareTeam(team(other, substance_use_counselor="u3"))


async def test_a_link_refuses_teams_that_clash(people):
    one, other = await people.referred(), await people.referred()
    await people.desk.people.SetCareTeam(team(one, individual_therapist="u1"))
    await people.desk.people.SetCareTeam(team(other, couples_therapist="u1"))
    for giver, named in ((one, other), (other, one)):
        await people.consent(giver, "relationship", grantee_id=named, grantee_name="Partner")
    request = link_service_pb2.LinkPeopleRequest(
        person_id=one, linked_person_id=other, kind=link_service_pb2.LINK_KIND_COUPLE
    )
    with pytest.raises(Refused, match="couples therapist"):
        await people.desk.links.LinkPeople(request)
    await people.desk.people.SetCareTeam(team(other, couples_therapist="u2"))
    await people.desk.links.LinkPeople(request)
    with pytest.raises(Conflict):
        await people.desk.links.LinkPeople(request)


async def test_a_link_needs_both(people):
    one, other = await people.referred(), await people.referred()
    await people.consent(one, "relationship", grantee_id=other, grantee_name="Partner")
    with pytest.raises(Refused, match="Both"):
        await people.desk.links.LinkPeople(
            link_service_pb2.LinkPeopleRequest(
                person_id=one, linked_person_id=other, kind=link_service_pb2.LINK_KIND_FAMILY
            )
        )


async def test_the_care_team_opens_the_record_and_leaving_it_closes_it(people, intake):
    person_id, therapist = await people.referred(), people.staff("individual_therapist")
    request = people_service_pb2.GetPersonRequest(person_id=person_id)
    with pytest.raises(NotFound):
        await therapist.people.GetPerson(request)
    made = await people.desk.people.SetCareTeam(team(person_id, individual_therapist=therapist.id))
    assert (await therapist.people.GetPerson(request)).person_id == person_id
    with pytest.raises(Stale):
        await people.desk.people.SetCareTeam(team(person_id, etag="v9", individual_therapist="another"))
    await people.desk.people.SetCareTeam(team(person_id, etag=made.etag, individual_therapist="another"))
    with pytest.raises(NotFound):
        await therapist.people.GetPerson(request)
    told = [e for e in await intake.told(events_pb2.CareTeamChanged) if e.person_id == person_id]
    assert [(e.version, [m.role for m in e.members]) for e in told] == [
        (1, ["individual_therapist"]), (2, ["individual_therapist"]),
    ]  # fmt: skip


async def test_who_has_seen_my_data_in_plain_words(people, intake):
    person_id, therapist = await people.referred(), people.staff("individual_therapist")
    await people.care_team(person_id, (therapist.id, "individual_therapist"))
    name = f"Name of {therapist.id[-4:]}"

    def access(minute, principal, role, what, **more):
        at = Timestamp()
        at.FromDatetime(datetime(2026, 1, 5, 9, minute, tzinfo=UTC))
        return audit.Access(
            id=ids.new_id(), person_id=person_id, principal_id=principal, role=role, seen_as=what, at=at, **more
        )

    sealed = audit.AccessesSealed(
        service="crisis",
        first_seq=1,
        last_seq=3,
        accesses=[
            access(1, therapist.id, "individual_therapist", "read your safety plan"),
            access(2, "someone", "on_call_responder", "read your safety plan", break_glass=True),
            access(3, "system:crisis/pager", "", "called for help"),
        ],
    )
    await intake.react(sealed)
    await intake.react(sealed)  # told twice, shown once
    me = people.person(person_id)
    request = people_service_pb2.ListAccessesRequest(person_id=person_id, page_size=2)
    first = await me.people.ListAccesses(request)
    request.page_token = first.next_page_token
    second = await me.people.ListAccesses(request)
    shown = [each for each in [*first.accesses, *second.accesses] if each.service == "crisis"]
    assert [each.sentence for each in shown] == [
        "The crisis part of the program called for help.",
        "An on-call responder read your safety plan. In an emergency; this look is reviewed.",
        f"{name}, individual therapist, read your safety plan.",
    ]
    with pytest.raises(NotFound):
        await people.person(await people.referred()).people.ListAccesses(
            people_service_pb2.ListAccessesRequest(person_id=person_id)
        )


async def test_what_is_read_here_is_shown_too(people):
    person_id = await people.referred()
    await people.desk.people.GetPerson(people_service_pb2.GetPersonRequest(person_id=person_id))
    me = people.person(person_id)

    async def seen():
        found = await me.people.ListAccesses(people_service_pb2.ListAccessesRequest(person_id=person_id))
        return [each for each in found.accesses if each.what == "read who you are"]

    await eventually(seen, timeout=20)
    assert (await seen())[0].sentence == "A care coordinator read who you are."


async def test_consents_one_by_one_with_their_version(people, intake):
    person_id = await people.referred()
    me = people.person(person_id)
    documents = await me.consents.ListConsentDocuments(consent_service_pb2.ListConsentDocumentsRequest())
    treatment = documents.documents[0]
    request = consent_service_pb2.GiveConsentRequest(
        person_id=person_id, kind=treatment.kind, document_version="2020-01", signature="Ann Lee"
    )
    with pytest.raises(Invalid) as invalid:
        await me.consents.GiveConsent(request)
    assert [(v.field, v.rule) for v in invalid.value.violations] == [("document_version", "in_force")]
    request.document_version = treatment.version
    given = await me.consents.GiveConsent(request)
    assert (given.in_force, given.signature) == (True, "Ann Lee")
    revoke = consent_service_pb2.RevokeConsentRequest(person_id=person_id, consent_id=given.consent_id)
    assert not (await me.consents.RevokeConsent(revoke)).in_force
    assert (await me.consents.RevokeConsent(revoke)).HasField("revoked_at")
    kinds = [e.kind for e in await intake.told(events_pb2.ConsentGiven) if e.person_id == person_id]
    revoked = [e.kind for e in await intake.told(events_pb2.ConsentRevoked) if e.person_id == person_id]
    assert (kinds, revoked) == (["treatment"], ["treatment"])
    with pytest.raises(NotFound):
        await people.person(await people.referred()).consents.RevokeConsent(revoke)


async def test_a_consent_whose_time_is_over_is_told_as_taken_back(people, intake):
    person_id = await people.referred()
    until = Timestamp()
    until.FromDatetime(datetime.now(UTC) + timedelta(seconds=1))
    given = await people.consent(
        person_id, "part2_disclosure", grantee_id="lab", grantee_name="Lab", purpose="Testing", expires_at=until
    )

    async def told():
        return [e for e in await intake.told(events_pb2.ConsentRevoked) if e.consent_id == given.consent_id]

    await eventually(told, timeout=30)
    async with intake.process.database.transaction(system("test")) as tx:
        rows = await tx.fetch("SELECT revoked FROM consent_in_force WHERE consent_id = $1", given.consent_id)
    assert [row["revoked"] for row in rows] == [True]


async def test_readiness_and_place(people):
    person_id = await people.referred()
    me = people.person(person_id).people

    def request(state):
        check = people_pb2.Readiness(
            download_kbps=9000, upload_kbps=3000, microphone_works=True, private_place=True, state=state
        )
        return people_service_pb2.RecordReadinessRequest(person_id=person_id, readiness=check)

    here = await me.RecordReadiness(request("KS"))
    assert (here.technology_ready, here.location_eligible) == (True, True)
    away = await me.RecordReadiness(request("AK"))
    assert not away.location_eligible
    assert any("not licensed" in each for each in away.suggestions)
    read = await me.GetReadiness(people_service_pb2.GetReadinessRequest(person_id=person_id))
    assert read == away


async def test_a_journal_is_the_persons_own_until_shared(people):
    person_id, therapist = await people.referred(), people.staff("individual_therapist")
    await people.care_team(person_id, (therapist.id, "individual_therapist"))
    me = people.person(person_id)
    for share in (False, True):
        entry = care_pb2.CheckIn(mood=0, journal="a hard day", share_journal=share, craving=3)
        await me.care.CreateCheckIn(care_service_pb2.CreateCheckInRequest(person_id=person_id, check_in=entry))
    request = care_service_pb2.ListCheckInsRequest(person_id=person_id)
    assert [each.journal for each in (await me.care.ListCheckIns(request)).check_ins] == ["a hard day", "a hard day"]
    seen = (await therapist.care.ListCheckIns(request)).check_ins
    assert [each.journal for each in seen] == ["a hard day", ""]
    assert all(each.HasField("mood") and not each.HasField("craving") for each in seen)


async def test_which_levels_fit_and_why(people):
    person_id, therapist = await people.referred(), people.staff("individual_therapist")
    await people.care_team(person_id, (therapist.id, "individual_therapist"))
    facts = care_pb2.EligibilityFacts(emotional_behavioral=2, hours_per_week=12)
    found = await therapist.care.CheckEligibility(
        care_service_pb2.CheckEligibilityRequest(person_id=person_id, facts=facts)
    )
    assert [each.level_of_care for each in found.levels if each.fits] == ["iop"]
    assert all(each.reasons for each in found.levels if not each.fits)


async def test_a_person_cannot_set_their_own_hours(people):
    person_id, _ = await people.admitted()
    me = people.person(person_id).care
    plan = await me.GetCarePlan(care_service_pb2.GetCarePlanRequest(person_id=person_id))
    plan.hours_per_week = 0
    plan.goals[0].progress_percent = 50
    saved = await me.UpdateCarePlan(care_service_pb2.UpdateCarePlanRequest(person_id=person_id, care_plan=plan))
    assert (saved.hours_per_week, saved.goals[0].progress_percent) == (9, 50)
    with pytest.raises(Stale):
        await me.UpdateCarePlan(care_service_pb2.UpdateCarePlanRequest(person_id=person_id, care_plan=plan))
