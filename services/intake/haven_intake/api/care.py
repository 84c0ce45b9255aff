"""CareService: assessment, plan and check-ins. Admissions are in admissions.py."""

from __future__ import annotations

from haven.intake.v1 import care_pb2 as pb
from haven.intake.v1 import care_service_pb2 as rpc
from haven.intake.v1 import people_pb2
from haven.options.v1.options_pb2 import RELATION_SELF

from haven_intake import check_in_trends, facts, policy
from haven_intake.api.admissions import Admissions
from haven_intake.api.plan_writing import write_plan
from haven_intake.api.reading import access
from haven_intake.domain import plans
from haven_intake.settings import IntakeSettings
from haven_intake.store import care, documents, people, referrals
from haven_kit import etags, ids, relations
from haven_kit.call import Call
from haven_kit.paging import Page
from haven_kit.service import Parts


class CareApi(Admissions):
    """Assessment, admission, the plan, and how it goes from day to day."""

    def __init__(self, parts: Parts[IntakeSettings]) -> None:
        super().__init__(parts.cipher)

    async def get_assessment(self, call: Call, request: rpc.GetAssessmentRequest) -> pb.Assessment:
        """The assessment of a person."""
        seen = await access(call, self._cipher, request.person_id)
        await people.get(call.tx, self._cipher, request.person_id)
        found, version = await documents.read(call.tx, self._cipher, pb.Assessment, request.person_id)
        found.person_id, found.etag = request.person_id, etags.of(version) if version else ""
        shown = seen.show(found)
        shown.plan_suggestions.extend(await self._suggestions(call, shown))
        return shown

    async def put_assessment(self, call: Call, request: rpc.PutAssessmentRequest) -> pb.Assessment:
        """Writes the assessment as a whole."""
        seen = await access(call, self._cipher, request.person_id)
        await people.lock(call.tx, request.person_id)
        old, _ = await documents.read(call.tx, self._cipher, pb.Assessment, request.person_id)
        new, etag = request.assessment, request.etag or request.assessment.etag
        policy.keep_hidden(new, old, seen.kinds)
        for field in ("plan_suggestions", "etag"):
            new.ClearField(field)
        new.person_id = request.person_id
        new.updated_at.FromDatetime(call.now)
        new.etag = etags.of(await documents.write(call.tx, self._cipher, request.person_id, new, etag))
        shown = seen.show(new)
        shown.plan_suggestions.extend(await self._suggestions(call, shown))
        return shown

    async def _suggestions(self, call: Call, seen: pb.Assessment) -> tuple[str, ...]:
        """From what the caller may see alone, so that a suggestion tells nothing that is hidden from them."""
        referral = await referrals.latest_of(call.tx, self._cipher, seen.person_id)
        flags = referral.message.summary.flags if referral else ()
        preferences, _ = await documents.read(call.tx, self._cipher, people_pb2.Preferences, seen.person_id)
        needs = plans.Needs(
            trauma=seen.trauma or bool(seen.trauma_history),
            triggers=bool(seen.trauma_triggers or preferences.triggers),
            anxiety=seen.anxiety,
            depression=seen.depression,
            substance_use=seen.substance_use,
            transport=any(each.kind == "transport" for each in flags),
        )
        return plans.suggestions(needs, facts.plan_suggestions())

    async def get_care_plan(self, call: Call, request: rpc.GetCarePlanRequest) -> pb.CarePlan:
        """The care plan."""
        seen = await access(call, self._cipher, request.person_id, "care plan")
        plan, version = await documents.read(call.tx, self._cipher, pb.CarePlan, request.person_id)
        plan.person_id, plan.etag = request.person_id, etags.of(version) if version else ""
        return policy.shared_plan(plan, seen.scopes) if seen.only_linked else seen.show(plan)

    async def update_care_plan(self, call: Call, request: rpc.UpdateCarePlanRequest) -> pb.CarePlan:
        """Writes the care plan as a whole; participants and clinicians work on it together."""
        seen = await access(call, self._cipher, request.person_id, "care plan")
        await people.lock(call.tx, request.person_id)
        old, _ = await documents.read(call.tx, self._cipher, pb.CarePlan, request.person_id)
        new, etag = request.care_plan, request.etag or request.care_plan.etag
        policy.keep_hidden(new, old, seen.kinds)
        if RELATION_SELF in seen.held:
            # The hours that were agreed with the clinician are changed with the clinician.
            new.days_per_week, new.hours_per_week = old.days_per_week, old.hours_per_week
        version = await write_plan(self._cipher, call, request.person_id, new, etag)
        new.etag = etags.of(version)
        return seen.show(new)

    async def create_check_in(self, call: Call, request: rpc.CreateCheckInRequest) -> pb.CheckIn:
        """Records how a day goes: mood, sleep, journal, cravings, readings."""
        await relations.require(call, request.person_id)
        person = await people.get(call.tx, self._cipher, request.person_id, lock=True)
        check_in = request.check_in
        check_in.ClearField("message")
        check_in.check_in_id, check_in.person_id = ids.new_id(), request.person_id
        check_in.recorded_at.FromDatetime(call.now)
        noticed = await check_in_trends.notice(call.tx, self._cipher, person, check_in)
        care.add_check_in(call.tx, self._cipher, check_in)
        if noticed:
            check_in.message = facts.check_in_trend_message()
        return check_in

    async def list_check_ins(self, call: Call, request: rpc.ListCheckInsRequest) -> rpc.ListCheckInsResponse:
        """Check-ins, newest first."""
        seen = await access(call, self._cipher, request.person_id)
        page = Page.of(request)
        found = await care.check_ins(call.tx, self._cipher, request.person_id, page)
        cut, token = page.cut(found, lambda each: [each.check_in_id])
        shown = [seen.show(each) for each in cut]
        if RELATION_SELF not in seen.held:
            for each in shown:
                if not each.share_journal:
                    each.ClearField("journal")
        return rpc.ListCheckInsResponse(check_ins=shown, next_page_token=token)
