"""PeopleService."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from google.protobuf.message import Message
from haven.intake.v1 import events_pb2
from haven.intake.v1 import people_pb2 as pb
from haven.intake.v1 import people_service_pb2 as rpc

from haven_intake import facts, policy
from haven_intake.api.events import card_changed
from haven_intake.api.reading import access
from haven_intake.api.teams import check_team, members
from haven_intake.domain import accesses as words
from haven_intake.domain import care_team, readiness
from haven_intake.settings import IntakeSettings
from haven_intake.store import accesses, care, documents, people
from haven_kit import etags, relations, times
from haven_kit.call import Call
from haven_kit.errors import Invalid
from haven_kit.paging import Page
from haven_kit.service import Parts

WRITABLE = (
    "given_name",
    "family_name",
    "birth_date",
    "sex",
    "phones",
    "emails",
    "address",
    "insurance",
    "time_zone",
    "languages",
)
_ON_CARD = frozenset({"given_name", "family_name", "birth_date", "phones", "emails", "time_zone", "languages"})


class PeopleApi:
    """Who people are, what they prefer, who cares for them, who has seen their data."""

    def __init__(self, parts: Parts[IntakeSettings]) -> None:
        self._cipher = parts.cipher

    async def get_person(self, call: Call, request: rpc.GetPersonRequest) -> pb.Person:
        """One person's record."""
        seen = await access(call, self._cipher, request.person_id)
        record = await people.get(call.tx, self._cipher, request.person_id)
        if seen.only_linked:
            return policy.shared_person(record.message, seen.scopes)
        return seen.show(record.message)

    async def list_people(self, call: Call, request: rpc.ListPeopleRequest) -> rpc.ListPeopleResponse:
        """The people the office works with, newest first."""
        page = Page.of(request)
        found = await people.page(call.tx, self._cipher, request.state, page)
        shown, token = page.cut(found, lambda each: [each.person_id])
        call.about(*(each.person_id for each in shown))
        return rpc.ListPeopleResponse(people=[each.message for each in shown], next_page_token=token)

    async def update_person(self, call: Call, request: rpc.UpdatePersonRequest) -> pb.Person:
        """Changes name, contact details, address, insurance or time zone."""
        seen = await access(call, self._cipher, request.person_id)
        record = await people.get(call.tx, self._cipher, request.person_id, lock=True)
        etags.check(request.etag, record.version)
        person = record.message
        for path in request.update_mask.paths:
            if path not in WRITABLE:
                raise Invalid("update_mask", "writable", f"Each path must be one of: {', '.join(WRITABLE)}.")
            _replace(person, request.person, path)
        if person.time_zone:
            times.zone("person.time_zone", person.time_zone)
        preferences, _ = await documents.read(call.tx, self._cipher, pb.Preferences, request.person_id)
        person.display_name = preferences.chosen_name or person.given_name
        on_card = not _ON_CARD.isdisjoint(request.update_mask.paths)
        saved = await people.save(call.tx, self._cipher, record, person, card=on_card)
        if on_card:
            card_changed(call.tx, saved)
        return seen.show(saved.message)

    async def get_preferences(self, call: Call, request: rpc.GetPreferencesRequest) -> pb.Preferences:
        """What the person prefers: names, camera, triggers, grounding, safe contacts, access needs, animals."""
        seen = await access(call, self._cipher, request.person_id)
        await people.get(call.tx, self._cipher, request.person_id)
        found, version = await documents.read(call.tx, self._cipher, pb.Preferences, request.person_id)
        found.person_id = request.person_id
        found.etag = etags.of(version) if version else ""
        return seen.show(found)

    async def set_preferences(self, call: Call, request: rpc.SetPreferencesRequest) -> pb.Preferences:
        """Replaces the preferences as a whole."""
        seen = await access(call, self._cipher, request.person_id)
        record = await people.get(call.tx, self._cipher, request.person_id, lock=True)
        old, _ = await documents.read(call.tx, self._cipher, pb.Preferences, request.person_id)
        new, etag = request.preferences, request.etag or request.preferences.etag
        policy.keep_hidden(new, old, seen.kinds)
        new.ClearField("etag")
        new.person_id = request.person_id
        new.updated_at.FromDatetime(call.now)
        version = await documents.write(call.tx, self._cipher, request.person_id, new, etag)
        person = record.message
        person.display_name = new.chosen_name or person.given_name
        person.pronouns = new.pronouns
        card_changed(call.tx, await people.save(call.tx, self._cipher, record, person, card=True))
        new.etag = etags.of(version)
        return seen.show(new)

    async def get_readiness(self, call: Call, request: rpc.GetReadinessRequest) -> pb.Readiness:
        """Whether the person can take part from where they are: connection, camera, microphone, place."""
        await relations.require(call, request.person_id)
        await people.get(call.tx, self._cipher, request.person_id)
        found, _ = await documents.read(call.tx, self._cipher, pb.Readiness, request.person_id)
        found.person_id = request.person_id
        return found

    async def record_readiness(self, call: Call, request: rpc.RecordReadinessRequest) -> pb.Readiness:
        """Records a check of connection, camera, microphone and place."""
        await relations.require(call, request.person_id)
        await people.get(call.tx, self._cipher, request.person_id)
        check = request.readiness
        outcome = readiness.judge(
            readiness.Check(
                check.download_kbps,
                check.upload_kbps,
                check.camera_works,
                check.microphone_works,
                check.private_place,
                check.state,
            ),
            facts.connection_needs(),
            facts.licensed_states(),
        )
        check.person_id = request.person_id
        check.technology_ready, check.location_eligible = outcome.technology_ready, outcome.location_eligible
        check.ClearField("suggestions")
        check.suggestions.extend(outcome.suggestions)
        check.checked_at.FromDatetime(call.now)
        await documents.write(call.tx, self._cipher, request.person_id, check, "")
        return check

    async def get_care_team(self, call: Call, request: rpc.GetCareTeamRequest) -> pb.CareTeam:
        """The people who care for a person, with the role each has on this team."""
        await relations.require(call, request.person_id)
        await people.get(call.tx, self._cipher, request.person_id)
        found, version = await documents.read(call.tx, self._cipher, pb.CareTeam, request.person_id)
        found.person_id = request.person_id
        found.etag = etags.of(version) if version else ""
        call.about(request.person_id)
        return found

    async def set_care_team(self, call: Call, request: rpc.SetCareTeamRequest) -> pb.CareTeam:
        """Replaces the care team as a whole."""
        await relations.require(call, request.person_id)
        await people.lock(call.tx, request.person_id)
        partners = [
            each["other_id"] for each in await relations.linked(call.tx, request.person_id) if each["kind"] == "couple"
        ]
        theirs: list[care_team.Member] = []
        for partner in partners:
            other, _ = await documents.read(call.tx, self._cipher, pb.CareTeam, partner)
            theirs += members(other)
        team = pb.CareTeam(person_id=request.person_id, members=request.members)
        check_team(members(team), theirs)
        version = await documents.write(call.tx, self._cipher, request.person_id, team, request.etag)
        changed = events_pb2.CareTeamChanged(person_id=request.person_id, version=version)
        for principal, role in members(team):
            changed.members.add(principal_id=principal, role=role)
        await relations.write_care_team(call.tx, changed)
        await accesses.name_staff(call.tx, {each.principal_id: each.name for each in team.members if each.name})
        call.tx.emit(changed, key=request.person_id)
        call.about(request.person_id)
        team.etag = etags.of(version)
        return team

    async def list_accesses(self, call: Call, request: rpc.ListAccessesRequest) -> rpc.ListAccessesResponse:
        """Who has seen the person's data, in plain words, newest first."""
        await relations.require(call, request.person_id)
        page = Page.of(request)
        rows = await accesses.page(call.tx, request.person_id, page)
        shown, token = page.cut(rows, lambda row: [row["key"], row["access_id"]])
        response = rpc.ListAccessesResponse(next_page_token=token)
        for row in shown:
            is_self = row["principal_id"] == call.principal.id and call.principal.person_id == request.person_id
            someone = words.who(row["principal_id"], row["role"], row["name"], is_self=is_self)
            line = words.sentence(someone, row["what"], is_self=is_self, break_glass=row["break_glass"])
            seen = response.accesses.add(
                access_id=row["access_id"], sentence=line, who=someone, what=row["what"], service=row["service"],
                break_glass=row["break_glass"],
            )  # fmt: skip
            seen.at.FromDatetime(row["at"])
        return response

    async def get_billing_profile(self, call: Call, request: rpc.GetBillingProfileRequest) -> pb.BillingProfile:
        """What a claim needs: name, birth date, sex, address, diagnoses and member numbers."""
        await relations.require(call, request.person_id)
        person = (await people.get(call.tx, self._cipher, request.person_id)).message
        profile = pb.BillingProfile(
            person_id=request.person_id,
            given_name=person.given_name,
            family_name=person.family_name,
            birth_date=person.birth_date,
            sex=person.sex,
            address=person.address,
            insurance=person.insurance,
        )
        stay = await care.find(call.tx, self._cipher, request.person_id)
        if stay:
            profile.diagnoses.extend(each.replace(".", "") for each in stay.message.diagnoses)
            profile.admission_id, profile.level_of_care = stay.admission_id, stay.message.level_of_care
            profile.attending_name, profile.attending_npi = stay.message.attending_name, stay.message.attending_npi
            profile.admitted_on = local_day(stay.admitted_at, person.time_zone)
            profile.discharged_on = local_day(stay.discharged_at, person.time_zone) if stay.discharged_at else ""
        return profile


def _replace(person: Message, given: Message, path: str) -> None:
    person.ClearField(path)
    only = type(given)()
    only.CopyFrom(given)
    for field, _ in given.ListFields():
        if field.name != path:
            only.ClearField(field.name)
    person.MergeFrom(only)


def local_day(at: datetime, zone: str) -> str:
    """The calendar day where the person lives, ISO 8601; in UTC where the zone is not known."""
    return at.astimezone(ZoneInfo(zone or "UTC")).date().isoformat()
