import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from haven.intake.v1 import events_pb2, people_pb2, people_service_pb2
from haven.intake.v1 import referral_service_pb2 as pb

from haven_kit.errors import Denied, Invalid, NotFound, Refused


def bundle(person, *, mrn, active=("706893006", "361055000", "73595000")):
    """A FHIR bundle about somebody."""
    resources = [
        {
            "resourceType": "Patient",
            "id": "p1",
            "identifier": [{"type": {"coding": [{"code": "MR"}]}, "system": "urn:mrn", "value": mrn}],
            "name": [{"use": "official", "family": person.family_name, "given": [person.given_name]}],
            "birthDate": person.birth_date,
            "gender": "female",
            "address": [{"state": "KS", "country": "US"}],
        }
    ]
    resources.extend(
        {
            "resourceType": "Condition",
            "subject": {"reference": "Patient/p1"},
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": "Finding"}]},
            "clinicalStatus": {"coding": [{"code": "active"}]},
        }
        for code in active
    )
    return json.dumps({"resourceType": "Bundle", "entry": [{"resource": each} for each in resources]})


async def imported(people, text):
    return await people.desk.referrals.ImportReferral(pb.ImportReferralRequest(bundle_json=text))


async def test_an_import_can_be_repeated(people, intake):
    somebody = people.unlike_anyone()
    first = await imported(people, bundle(somebody, mrn="repeat-1"))
    assert first.outcome == pb.IMPORT_OUTCOME_CREATED
    assert [each.kind for each in first.referral.summary.partner_flags] == ["intimate_partner_abuse"]
    assert [each.kind for each in first.referral.summary.flags] == ["stress"]
    again = await imported(people, bundle(somebody, mrn="repeat-1"))
    assert (again.outcome, again.referral.referral_id) == (pb.IMPORT_OUTCOME_UNCHANGED, first.referral.referral_id)
    assert again.referral.etag == first.referral.etag
    newer = await imported(people, bundle(somebody, mrn="repeat-1", active=("424393004",)))
    assert newer.outcome == pb.IMPORT_OUTCOME_UPDATED
    assert newer.referral.person_id == first.referral.person_id
    assert [each.kind for each in newer.referral.summary.flags] == ["violence"]
    told = [e for e in await intake.told(events_pb2.ReferralReceived) if e.person_id == first.referral.person_id]
    assert len(told) == 1
    person = await people.desk.people.GetPerson(people_service_pb2.GetPersonRequest(person_id=first.referral.person_id))
    assert person.time_zone == "America/Chicago"


async def test_imports_at_the_same_moment_make_one_person(people):
    text = bundle(people.unlike_anyone(), mrn="same-moment")
    found = await asyncio.gather(*(imported(people, text) for _ in range(5)))
    assert len({each.referral.person_id for each in found}) == 1
    assert sorted(each.outcome for each in found) == [pb.IMPORT_OUTCOME_CREATED] + [pb.IMPORT_OUTCOME_UNCHANGED] * 4


@pytest.mark.parametrize("text", ["{", "[]", '{"resourceType":"Bundle","entry":[]}'])
async def test_what_cannot_be_read_is_named(people, text):
    with pytest.raises(Invalid) as invalid:
        await imported(people, text)
    assert invalid.value.violations[0].field.startswith("bundle_json")


async def test_a_likely_duplicate_waits_for_a_decision_that_can_be_undone(people):
    known = people.unlike_anyone()
    person_id = await people.referred(**{f.name: v for f, v in known.ListFields()})
    referral = (await imported(people, bundle(known, mrn="dup-1"))).referral
    assert referral.possible_duplicate
    assert [(each.person_id, each.strength) for each in referral.matches] == [(person_id, pb.MATCH_STRENGTH_PROBABLE)]
    own = referral.person_id
    desk = people.desk.referrals
    with pytest.raises(Refused, match="already known"):
        await desk.AcceptReferral(pb.AcceptReferralRequest(referral_id=referral.referral_id))
    same = await desk.ResolveDuplicate(
        pb.ResolveDuplicateRequest(referral_id=referral.referral_id, person_id=person_id)
    )
    assert (same.person_id, same.possible_duplicate) == (person_id, False)
    get_own = people_service_pb2.GetPersonRequest(person_id=own)
    assert (await people.desk.people.GetPerson(get_own)).state == people_pb2.PERSON_STATE_DUPLICATE
    undone = await desk.ResolveDuplicate(pb.ResolveDuplicateRequest(referral_id=referral.referral_id, undecided=True))
    assert (undone.person_id, undone.possible_duplicate) == (own, True)
    new = await desk.ResolveDuplicate(pb.ResolveDuplicateRequest(referral_id=referral.referral_id))
    assert (new.person_id, new.possible_duplicate) == (own, False)
    assert (await people.desk.people.GetPerson(get_own)).state == people_pb2.PERSON_STATE_REFERRED


async def test_the_same_identifier_is_the_same_person(people):
    somebody = people.unlike_anyone()
    first = (await imported(people, bundle(somebody, mrn="certain-1"))).referral
    other_source = people_pb2.Identifier(system="urn:mrn", value="certain-1", type="MR")
    form = await people.desk.referrals.CreateReferral(
        pb.CreateReferralRequest(person=people.unlike_anyone(identifiers=[other_source]))
    )
    assert (form.person_id, form.possible_duplicate) == (first.person_id, False)
    with pytest.raises(Refused):  # the record was there before: it is not taken for a copy of another
        await people.desk.referrals.ResolveDuplicate(
            pb.ResolveDuplicateRequest(referral_id=form.referral_id, person_id=await people.referred())
        )


async def test_a_clinician_refers_someone_and_learns_nothing_of_who_is_known_here(people):
    somebody = people.unlike_anyone()
    known = (await imported(people, bundle(somebody, mrn="clinician-1"))).referral
    for role in ("individual_therapist", "couples_therapist", "substance_use_counselor", "prescriber"):
        clinician = people.staff(role)
        request = pb.CreateReferralRequest(person=somebody, kind=pb.REFERRAL_KIND_STEP_UP, reason="More is needed")
        receipt = await clinician.referrals.CreateReferral(request)
        assert (receipt.kind, receipt.reason) == (pb.REFERRAL_KIND_STEP_UP, "More is needed")
        assert not receipt.person_id
        assert not receipt.matches
        assert not receipt.possible_duplicate
        read = pb.GetReferralRequest(referral_id=receipt.referral_id)
        assert known.person_id in str((await people.desk.referrals.GetReferral(read)).matches)
        with pytest.raises(NotFound):
            await clinician.referrals.GetReferral(read)


async def test_accepted_declined_and_reopened(people):
    referral = await people.desk.referrals.CreateReferral(pb.CreateReferralRequest(person=people.unlike_anyone()))
    desk, one = people.desk.referrals, {"referral_id": referral.referral_id}
    assert (await desk.AcceptReferral(pb.AcceptReferralRequest(**one))).state == pb.REFERRAL_STATE_ACCEPTED
    declined = await desk.DeclineReferral(pb.DeclineReferralRequest(reason="Lives elsewhere", **one))
    assert (declined.state, declined.decline_reason) == (pb.REFERRAL_STATE_DECLINED, "Lives elsewhere")
    with pytest.raises(Refused):
        await desk.AcceptReferral(pb.AcceptReferralRequest(**one))
    reopened = await desk.ReopenReferral(pb.ReopenReferralRequest(**one))
    assert (reopened.state, reopened.decline_reason) == (pb.REFERRAL_STATE_RECEIVED, "")


async def test_lists_are_paged_newest_first(people):
    made = [await people.referred() for _ in range(3)]
    request = pb.ListReferralsRequest(page_size=2)
    first = await people.desk.referrals.ListReferrals(request)
    assert [each.person_id for each in first.referrals] == made[:0:-1]
    request.page_token = first.next_page_token
    second = await people.desk.referrals.ListReferrals(request)
    assert second.referrals[0].person_id == made[0]


async def test_who_sees_a_referral(people):
    referral = (await imported(people, bundle(people.unlike_anyone(), mrn="seen-1"))).referral
    assert not referral.summary.substance_use_flags  # 42 CFR Part 2: the desk is not named in a consent
    request = pb.GetReferralRequest(referral_id=referral.referral_id)
    with pytest.raises(NotFound):
        await people.staff("individual_therapist").referrals.GetReferral(request)
    listing = pb.ListReferralsRequest(page_size=200)

    async def listed():
        found = await people.desk.referrals.ListReferrals(listing)
        return next(each for each in found.referrals if each.person_id == referral.person_id).summary

    assert (bool((await listed()).partner_flags), bool((await listed()).substance_use_flags)) == (True, False)
    until = Timestamp()
    until.FromDatetime(datetime.now(UTC) + timedelta(days=30))
    named = {"grantee_id": people.desk.id, "grantee_name": "The desk", "purpose": "Intake", "expires_at": until}
    await people.consent(referral.person_id, "part2_disclosure", **named)
    assert [each.kind for each in (await listed()).substance_use_flags] == ["drug_misuse"]
    therapist, counselor = people.staff("individual_therapist"), people.staff("substance_use_counselor")
    await people.care_team(
        referral.person_id, (therapist.id, "individual_therapist"), (counselor.id, "substance_use_counselor")
    )
    seen = await therapist.referrals.GetReferral(request)
    assert [each.kind for each in seen.summary.partner_flags] == ["intimate_partner_abuse"]
    assert not seen.summary.substance_use_flags
    treated = await counselor.referrals.GetReferral(request)
    assert [each.kind for each in treated.summary.substance_use_flags] == ["drug_misuse"]
    own = await people.person(referral.person_id).referrals.GetReferral(request)
    assert own.summary.substance_use_flags
    with pytest.raises(Denied):
        await people.person(referral.person_id, "partner").referrals.GetReferral(request)
