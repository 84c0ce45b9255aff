"""ConsentService."""

from __future__ import annotations

from datetime import UTC

from haven.intake.v1 import consent_service_pb2 as pb
from haven.intake.v1 import events_pb2

from haven_intake import facts
from haven_intake.api.reading import access
from haven_intake.domain import consents as rules
from haven_intake.settings import IntakeSettings
from haven_intake.store import consents, people
from haven_kit import ids, relations
from haven_kit.call import Call
from haven_kit.errors import Invalid, Violation
from haven_kit.paging import Page
from haven_kit.service import Parts


class ConsentApi:
    """What a person has agreed to, one by one, and taken back."""

    def __init__(self, parts: Parts[IntakeSettings]) -> None:
        self._cipher = parts.cipher

    async def list_consent_documents(
        self, _call: Call, _request: pb.ListConsentDocumentsRequest
    ) -> pb.ListConsentDocumentsResponse:
        """The documents in force: for each kind its version, title, text, and whether admission needs it."""
        response = pb.ListConsentDocumentsResponse()
        for each in facts.consent_documents().values():
            response.documents.add(
                kind=consents.kind_of(each.kind),
                version=each.version,
                title=each.title,
                text=each.text,
                needed_for_admission=each.needed_for_admission,
                names_recipient=each.names_recipient,
                source=each.source,
            )
        return response

    async def give_consent(self, call: Call, request: pb.GiveConsentRequest) -> pb.Consent:
        """Gives one consent, signed by typing one's name."""
        await relations.require(call, request.person_id)
        await people.lock(call.tx, request.person_id)
        kind = consents.kind_name(request.kind)
        document = facts.consent_documents()[kind]
        _check(document, request, call)
        consent = pb.Consent(
            consent_id=ids.new_id(),
            person_id=request.person_id,
            kind=request.kind,
            document_version=request.document_version,
            grantee_id=request.grantee_id,
            grantee_name=request.grantee_name,
            purpose=request.purpose,
            scopes=request.scopes,
            signature=request.signature,
            in_force=True,
            redisclosure_notice=document.redisclosure_notice,
        )
        consent.given_at.FromDatetime(call.now)
        if request.HasField("expires_at"):
            consent.expires_at.CopyFrom(request.expires_at)
        consents.add(call.tx, self._cipher, consent)
        await relations.write_consent(
            call.tx, consent.consent_id, request.person_id, kind, request.grantee_id, revoked=False
        )
        given = events_pb2.ConsentGiven(
            person_id=request.person_id, consent_id=consent.consent_id, kind=kind, grantee_id=request.grantee_id
        )
        call.tx.emit(given, key=request.person_id)
        return consent

    async def revoke_consent(self, call: Call, request: pb.RevokeConsentRequest) -> pb.Consent:
        """Takes one consent back."""
        await relations.require(call, request.person_id, "consent")
        consent = await consents.get(call.tx, self._cipher, request.person_id, request.consent_id)
        if consent.HasField("revoked_at"):
            return consent
        kind = consents.kind_name(consent.kind)
        await consents.revoke(call.tx, request.consent_id)
        await relations.write_consent(
            call.tx, request.consent_id, request.person_id, kind, consent.grantee_id, revoked=True
        )
        revoked = events_pb2.ConsentRevoked(
            person_id=request.person_id, consent_id=request.consent_id, kind=kind, grantee_id=consent.grantee_id
        )
        call.tx.emit(revoked, key=request.person_id)
        return await consents.get(call.tx, self._cipher, request.person_id, request.consent_id)

    async def list_consents(self, call: Call, request: pb.ListConsentsRequest) -> pb.ListConsentsResponse:
        """All consents of a person, those taken back and expired included, newest first."""
        seen = await access(call, self._cipher, request.person_id)
        page = Page.of(request)
        found = await consents.page(call.tx, self._cipher, request.person_id, page)
        shown, token = page.cut(found, lambda each: [each.consent_id])
        return pb.ListConsentsResponse(consents=[seen.show(each) for each in shown], next_page_token=token)


def _check(document: rules.Document, request: pb.GiveConsentRequest, call: Call) -> None:
    given = rules.Given(
        version=request.document_version,
        signature=request.signature,
        recipient=bool(request.grantee_id or request.grantee_name),
        purpose=request.purpose,
        scopes=len(request.scopes),
        expires_at=request.expires_at.ToDatetime(UTC) if request.HasField("expires_at") else None,
    )
    if document.needs_scopes and not request.grantee_id:
        raise Invalid("grantee_id", "named", "Name the person you allow.")
    if found := rules.faults(document, given, call.now):
        raise Invalid.all(Violation(each.field, each.rule, each.message) for each in found)
