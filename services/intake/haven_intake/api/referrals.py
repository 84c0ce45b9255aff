"""ReferralService."""

from __future__ import annotations

import hashlib

import orjson
from haven.intake.v1 import events_pb2, people_pb2
from haven.intake.v1 import referral_service_pb2 as pb

from haven_intake import facts, policy
from haven_intake.api.events import card_changed
from haven_intake.api.from_fhir import person_of, referral_of
from haven_intake.api.reading import access
from haven_intake.domain import fhir, matching
from haven_intake.settings import IntakeSettings
from haven_intake.store import consents, people, referrals
from haven_kit import etags, relations
from haven_kit.call import Call
from haven_kit.errors import Invalid, NotFound, Refused
from haven_kit.paging import Page
from haven_kit.service import Parts

_STRENGTH = {
    matching.Strength.POSSIBLE: pb.MATCH_STRENGTH_POSSIBLE,
    matching.Strength.PROBABLE: pb.MATCH_STRENGTH_PROBABLE,
    matching.Strength.CERTAIN: pb.MATCH_STRENGTH_CERTAIN,
}
_OPEN = frozenset({pb.REFERRAL_STATE_RECEIVED})
_MERGEABLE = frozenset({people_pb2.PERSON_STATE_REFERRED, people_pb2.PERSON_STATE_DUPLICATE})
MAX_MATCHES = 20


class ReferralApi:
    """How people come to the program."""

    def __init__(self, parts: Parts[IntakeSettings]) -> None:
        self._cipher = parts.cipher

    async def create_referral(self, call: Call, request: pb.CreateReferralRequest) -> pb.Referral:
        """Opens a referral by form."""
        person = request.person
        for field in ("given_name", "family_name", "birth_date"):
            if not getattr(person, field):
                raise Invalid(
                    f"person.{field}", "required", "Name and birth date are needed to find an earlier record."
                )
        referral = pb.Referral(
            kind=request.kind, referrer=request.referrer, reason=request.reason, summary=request.summary
        )
        record = await self._receive(call, new_person(person), referral, None)
        if not await relations.held(call, record.person_id):
            return _receipt(call, record)
        return await self._shown(call, record)

    async def import_referral(self, call: Call, request: pb.ImportReferralRequest) -> pb.ImportReferralResponse:
        """Opens a referral from one FHIR R4 bundle about one patient."""
        read, content = _parsed(request)
        key = self._cipher.blind("source", "|".join(read.patient.key))
        known = await referrals.by_source(call.tx, self._cipher, key)
        person, referral = person_of(read.patient), referral_of(read, request.kind)
        if known is None:
            source = referrals.Source(key, content)
            record = await self._receive(call, new_person(person), referral, source)
            outcome = pb.IMPORT_OUTCOME_CREATED
        elif known.content_hash == content:
            record, outcome = known, pb.IMPORT_OUTCOME_UNCHANGED
        else:
            record, outcome = await self._update(call, known, referral, content), pb.IMPORT_OUTCOME_UPDATED
        return pb.ImportReferralResponse(referral=await self._shown(call, record), outcome=outcome)

    async def get_referral(self, call: Call, request: pb.GetReferralRequest) -> pb.Referral:
        """One referral with its clinical summary and safety flags."""
        return await self._shown(call, await referrals.get(call.tx, self._cipher, request.referral_id))

    async def list_referrals(self, call: Call, request: pb.ListReferralsRequest) -> pb.ListReferralsResponse:
        """Referrals, newest first."""
        page = Page.of(request)
        found = await referrals.page(
            call.tx, self._cipher, request.state, page, duplicates_only=request.possible_duplicates_only
        )
        shown, token = page.cut(found, lambda each: [each.referral_id])
        about = [each.person_id for each in shown]
        call.about(*about)
        named = await consents.naming(call.tx, "part2_disclosure", call.principal.id, about)
        listed = [policy.visible(each.message, policy.shown_to_office(named=each.person_id in named)) for each in shown]
        return pb.ListReferralsResponse(referrals=listed, next_page_token=token)

    async def resolve_duplicate(self, call: Call, request: pb.ResolveDuplicateRequest) -> pb.Referral:
        """Decides whether the referred person is one already known."""
        record = await self._locked(call, request.referral_id, request.etag)
        referral = record.message
        if referral.state not in _OPEN:
            raise Refused("referral_open", "The referral was decided already. Reopen it first.")
        if not referral.matches:
            raise Refused("duplicate_question", "Nobody already known was found for this referral.")
        if request.undecided and request.person_id:
            raise Invalid("person_id", "either", "Name a person, or leave the question open: not both.")
        target = request.person_id or record.own_person_id
        if target != record.own_person_id:
            chosen = await people.get(call.tx, self._cipher, target, lock=True)
            if chosen.state == people_pb2.PERSON_STATE_DUPLICATE:
                raise NotFound("person")
        own = await people.get(call.tx, self._cipher, record.own_person_id, lock=True)
        if own.state not in _MERGEABLE:
            raise Refused("admitted_already", "The person was admitted under the new record; it stays.")
        merged = target != record.own_person_id
        own_state = people_pb2.PERSON_STATE_DUPLICATE if merged else people_pb2.PERSON_STATE_REFERRED
        await people.set_state(call.tx, record.own_person_id, own_state)
        referral.person_id, referral.possible_duplicate = target, request.undecided
        card_changed(call.tx, await people.touch_card(call.tx, self._cipher, target))
        call.about(target, record.own_person_id)
        return await self._shown(call, await referrals.save(call.tx, self._cipher, record))

    async def accept_referral(self, call: Call, request: pb.AcceptReferralRequest) -> pb.Referral:
        """Accepts a referral."""
        record = await self._locked(call, request.referral_id, request.etag)
        if record.message.possible_duplicate:
            raise Refused("duplicate_open", "Decide first whether the person is one already known.")
        return await self._move(call, record, _OPEN, pb.REFERRAL_STATE_ACCEPTED)

    async def decline_referral(self, call: Call, request: pb.DeclineReferralRequest) -> pb.Referral:
        """Declines a referral, with a reason."""
        record = await self._locked(call, request.referral_id, request.etag)
        allowed = _OPEN | {pb.REFERRAL_STATE_ACCEPTED}
        return await self._move(call, record, allowed, pb.REFERRAL_STATE_DECLINED, request.reason)

    async def reopen_referral(self, call: Call, request: pb.ReopenReferralRequest) -> pb.Referral:
        """Takes back an acceptance or a refusal; the referral waits again."""
        record = await self._locked(call, request.referral_id, request.etag)
        allowed = frozenset({pb.REFERRAL_STATE_ACCEPTED, pb.REFERRAL_STATE_DECLINED})
        return await self._move(call, record, allowed, pb.REFERRAL_STATE_RECEIVED)

    async def _locked(self, call: Call, referral_id: str, etag: str) -> referrals.Record:
        record = await referrals.get(call.tx, self._cipher, referral_id, lock=True)
        await relations.require(call, record.person_id, "referral")
        etags.check(etag, record.version)
        return record

    async def _move(
        self,
        call: Call,
        record: referrals.Record,
        allowed: frozenset[int],
        state: pb.ReferralState.ValueType,
        reason: str = "",
    ) -> pb.Referral:
        referral = record.message
        if referral.state == state:
            return await self._shown(call, record)
        if referral.state not in allowed:
            raise Refused("referral_state", "The referral is past this step.")
        referral.state, referral.decline_reason = state, reason
        return await self._shown(call, await referrals.save(call.tx, self._cipher, record))

    async def _shown(self, call: Call, record: referrals.Record) -> pb.Referral:
        seen = await access(call, self._cipher, record.person_id, "referral")
        call.about(record.person_id)
        return seen.show(record.message)

    async def _receive(
        self, call: Call, person: people_pb2.Person, referral: pb.Referral, source: referrals.Source | None
    ) -> referrals.Record:
        """Match, and write down person and referral. A certain match is the same person at once."""
        someone = people.who(person)
        found = await people.candidates(call.tx, self._cipher, person)
        weighed = [(matching.compare(someone, people.who(each.message)), each) for each in found]
        matches = sorted(
            ((verdict, each) for verdict, each in weighed if verdict.strength),
            key=lambda pair: pair[0].strength,
            reverse=True,
        )[:MAX_MATCHES]
        certain = [each for verdict, each in matches if verdict.strength is matching.Strength.CERTAIN]
        if len(certain) == 1:
            own = certain[0].person_id
            card_changed(call.tx, await people.touch_card(call.tx, self._cipher, own))
        else:
            own = await people.add(call.tx, self._cipher, person)
            card_changed(call.tx, await people.get(call.tx, self._cipher, own))
            for verdict, each in matches:
                referral.matches.add(
                    person_id=each.person_id, strength=_STRENGTH[verdict.strength], agrees=verdict.agrees
                )
        referral.person_id, referral.possible_duplicate = own, bool(referral.matches)
        record = await referrals.add(call.tx, self._cipher, referral, own, source)
        received = events_pb2.ReferralReceived(
            referral_id=record.referral_id, person_id=own, possible_duplicate=referral.possible_duplicate
        )
        call.tx.emit(received, key=record.referral_id)
        return record

    async def _update(
        self, call: Call, known: referrals.Record, fresh: pb.Referral, content: bytes
    ) -> referrals.Record:
        """The other system's newer account. The person's own record, which may have been corrected here, stays."""
        known.message.referrer.CopyFrom(fresh.referrer)
        known.message.summary.CopyFrom(fresh.summary)
        card_changed(call.tx, await people.touch_card(call.tx, self._cipher, known.person_id))
        return await referrals.save(call.tx, self._cipher, known, content=content)


def _receipt(call: Call, record: referrals.Record) -> pb.Referral:
    """What a clinician who refers someone reads: their own words, and nothing of whether the person is known here."""
    call.about(record.person_id)
    receipt = record.message
    for field in ("person_id", "matches", "possible_duplicate"):
        receipt.ClearField(field)
    return receipt


def new_person(given: people_pb2.Person) -> people_pb2.Person:
    """A person as told, without what only intake itself writes, and with the time zone that the address suggests."""
    person = people_pb2.Person()
    person.CopyFrom(given)
    for field in ("person_id", "state", "created_at", "etag", "pronouns"):
        person.ClearField(field)
    person.display_name = person.given_name
    if not person.time_zone:
        person.time_zone = facts.time_zones().get(person.address.state.upper(), "")
    return person


def _parsed(request: pb.ImportReferralRequest) -> tuple[fhir.Referral, bytes]:
    """What the bundle says, and a hash of it by which the same content is known again."""
    try:
        bundle = orjson.loads(request.bundle_json)
        read = fhir.read(bundle, facts.safety_rules())
    except orjson.JSONDecodeError:
        raise Invalid("bundle_json", "json", "This is not JSON.") from None
    except fhir.Unusable as error:
        raise Invalid(f"bundle_json.{error.element}", error.rule, error.message) from None
    canonical = orjson.dumps(bundle, option=orjson.OPT_SORT_KEYS)
    return read, hashlib.sha256(canonical).digest()
