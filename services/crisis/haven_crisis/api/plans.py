"""PlanService: the safety plan, and whom to reach in a crisis."""

from __future__ import annotations

from haven.crisis.v1 import people_pb2 as pb

from haven_crisis.api.desk import Desk
from haven_crisis.store import people
from haven_kit import etags, relations
from haven_kit.call import Call
from haven_kit.errors import Invalid, NotFound, Stale


class PlanApi:
    """Answers PlanService."""

    def __init__(self, desk: Desk) -> None:
        self._cipher = desk.parts.cipher

    async def put_safety_plan(self, call: Call, request: pb.PutSafetyPlanRequest) -> pb.SafetyPlan:
        await self._may(call, request.person_id)
        plan = request.plan
        version = await self._next(call, request.person_id, people.SAFETY_PLAN, pb.SafetyPlan, plan.etag)
        plan.person_id = request.person_id
        plan.ClearField("etag")
        plan.ClearField("updated_at")
        await self._put(call, request.person_id, people.SAFETY_PLAN, version, plan)
        plan.etag = etags.of(version)
        plan.updated_at.FromDatetime(call.now)
        return plan

    async def get_safety_plan(self, call: Call, request: pb.GetSafetyPlanRequest) -> pb.SafetyPlan:
        await self._may(call, request.person_id)
        plan, version, at = await people.get(
            call.tx, self._cipher, request.person_id, people.SAFETY_PLAN, pb.SafetyPlan
        )
        if plan is None or at is None:
            raise NotFound("safety plan")
        plan.etag = etags.of(version)
        plan.updated_at.FromDatetime(at)
        return plan

    async def put_crisis_contacts(self, call: Call, request: pb.PutCrisisContactsRequest) -> pb.CrisisContacts:
        await self._may(call, request.person_id)
        contacts = request.contacts
        for place, each in enumerate(contacts.contacts):
            if each.never_contact and each.consented:
                raise Invalid(
                    f"contacts.contacts[{place}].consented",
                    "one_of_both",
                    "A contact who must never be told has no consent.",
                )
        version = await self._next(call, request.person_id, people.CONTACTS, pb.CrisisContacts, contacts.etag)
        contacts.person_id = request.person_id
        contacts.ClearField("etag")
        contacts.ClearField("updated_at")
        await self._put(call, request.person_id, people.CONTACTS, version, contacts)
        contacts.etag = etags.of(version)
        contacts.updated_at.FromDatetime(call.now)
        return contacts

    async def get_crisis_contacts(self, call: Call, request: pb.GetCrisisContactsRequest) -> pb.CrisisContacts:
        await self._may(call, request.person_id)
        contacts, version, at = await people.get(
            call.tx, self._cipher, request.person_id, people.CONTACTS, pb.CrisisContacts
        )
        if contacts is None or at is None:
            raise NotFound("crisis contacts")
        contacts.etag = etags.of(version)
        contacts.updated_at.FromDatetime(at)
        return contacts

    async def _may(self, call: Call, person_id: str) -> None:
        await relations.require(call, person_id)
        call.about(person_id)

    async def _next(
        self, call: Call, person_id: str, kind: str, of: type[pb.SafetyPlan | pb.CrisisContacts], etag: str
    ) -> int:
        _, version, _ = await people.get(call.tx, self._cipher, person_id, kind, of)
        if version:
            # An existing plan is never written over unseen.
            if not etag:
                raise Stale
            etags.check(etag, version)
        elif etag not in ("", "*"):
            raise Stale
        return version + 1

    async def _put(
        self, call: Call, person_id: str, kind: str, version: int, record: pb.SafetyPlan | pb.CrisisContacts
    ) -> None:
        """Keep it; Raises Stale where somebody else wrote the same version meanwhile."""
        before = await call.tx.fetch_one(
            "SELECT version FROM person_record WHERE person_id = $1 AND kind = $2 FOR UPDATE", person_id, kind
        )
        if before is not None and before["version"] >= version:
            raise Stale
        await people.put(call.tx, self._cipher, person_id, kind, version, record)
