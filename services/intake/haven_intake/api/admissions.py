"""Admission, change of the level of care, discharge."""

from __future__ import annotations

from haven.intake.v1 import care_pb2 as pb
from haven.intake.v1 import care_service_pb2 as rpc
from haven.intake.v1 import events_pb2, people_pb2, referral_service_pb2, step_up_service_pb2

from haven_intake import facts, step_ups
from haven_intake.api.plan_writing import write_plan
from haven_intake.api.teams import members
from haven_intake.domain import levels
from haven_intake.store import care, consents, documents, people, referrals, screenings
from haven_kit import etags, ids, relations
from haven_kit.call import Call
from haven_kit.cipher import Cipher
from haven_kit.errors import Invalid, Refused


class Admissions:
    """The part of CareService that moves a person through levels of care."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    async def check_eligibility(self, call: Call, request: rpc.CheckEligibilityRequest) -> pb.Eligibility:
        """Which levels of care the facts support, and why (INT-05)."""
        await relations.require(call, request.person_id)
        await people.get(call.tx, self._cipher, request.person_id)
        found = pb.Eligibility(person_id=request.person_id)
        for each in levels.all_fits(list(facts.levels_of_care().values()), _facts(request.facts)):
            level = each.level
            found.levels.add(
                level_of_care=level.id, name=level.name, fits=each.fits, reasons=each.reasons, source=level.source
            )
        return found

    async def admit(self, call: Call, request: rpc.AdmitRequest) -> pb.Admission:
        """Admits a person at a level of care with a plan."""
        await relations.require(call, request.person_id)
        person = await people.get(call.tx, self._cipher, request.person_id, lock=True)
        if person.state == people_pb2.PERSON_STATE_ADMITTED:
            raise Refused("admitted_already", "The person is in the program already.")
        _fits(request.level_of_care, request.facts, request.hours_per_week)
        referral = await referrals.latest_of(call.tx, self._cipher, request.person_id)
        await self._prepared(call, person, referral)
        stay = await self._stay(call, request)
        await self._agreed_plan(call, request)
        await people.set_state(call.tx, request.person_id, people_pb2.PERSON_STATE_ADMITTED)
        if referral:
            referral.message.state = referral_service_pb2.REFERRAL_STATE_ADMITTED
            await referrals.save(call.tx, self._cipher, referral)
        admitted = events_pb2.PersonAdmitted(
            person_id=request.person_id,
            admission_id=stay.admission_id,
            track=request.track,
            days_per_week=request.days_per_week,
            hours_per_week=request.hours_per_week,
            time_zone=person.message.time_zone,
        )
        admitted.admitted_at.FromDatetime(call.now)
        call.tx.emit(admitted, key=request.person_id)
        return stay.message

    async def _stay(self, call: Call, request: rpc.AdmitRequest) -> care.Record:
        admission = pb.Admission(
            admission_id=ids.new_id(),
            person_id=request.person_id,
            level_of_care=request.level_of_care,
            track=request.track,
            days_per_week=request.days_per_week,
            hours_per_week=request.hours_per_week,
            diagnoses=request.diagnoses,
            attending_name=request.attending_name,
            attending_npi=request.attending_npi,
        )
        admission.admitted_at.FromDatetime(call.now)
        return await care.admit(call.tx, self._cipher, admission)

    async def _agreed_plan(self, call: Call, request: rpc.AdmitRequest) -> None:
        """The plan as it was, a relapse plan from before included, with the goals agreed now."""
        plan, _ = await documents.read(call.tx, self._cipher, pb.CarePlan, request.person_id)
        plan.ClearField("goals")
        plan.ClearField("modalities")
        plan.goals.extend(request.goals)
        plan.modalities.extend(request.modalities)
        plan.days_per_week, plan.hours_per_week = request.days_per_week, request.hours_per_week
        await write_plan(self._cipher, call, request.person_id, plan, "")

    async def _prepared(self, call: Call, person: people.Record, referral: referrals.Record | None) -> None:
        """Raises Refused that names everything an admission still waits for."""
        tx, person_id = call.tx, person.person_id
        given = await consents.in_force(tx, self._cipher, person_id)
        current = {kind: each.version for kind, each in facts.consent_documents().items()}
        readiness, _ = await documents.read(tx, self._cipher, people_pb2.Readiness, person_id)
        team, _ = await documents.read(tx, self._cipher, people_pb2.CareTeam, person_id)
        kinds = {consents.kind_name(each.kind): each.document_version for each in given}
        there = levels.Preparation(
            consents={kind for kind, version in kinds.items() if version == current[kind]},
            screenings=await screenings.last_scored(tx, person_id),
            technology_ready=readiness.technology_ready,
            location_eligible=readiness.location_eligible,
            care_team_roles={role for _, role in members(team)},
            referral_accepted=referral is not None
            and referral.message.state != referral_service_pb2.REFERRAL_STATE_RECEIVED
            and referral.message.state != referral_service_pb2.REFERRAL_STATE_DECLINED,
            duplicate_open=referral is not None and referral.message.possible_duplicate,
            time_zone_known=bool(person.message.time_zone),
        )
        missing = levels.missing_for_admission(facts.admission_needs(), there, call.now)
        if missing:
            raise Refused("not_prepared", f"Before admission these are needed: {'; '.join(missing)}.")

    async def get_admission(self, call: Call, request: rpc.GetAdmissionRequest) -> pb.Admission:
        """The latest admission."""
        await relations.require(call, request.person_id, "admission")
        return (await care.latest(call.tx, self._cipher, request.person_id)).message

    async def change_level_of_care(self, call: Call, request: rpc.ChangeLevelOfCareRequest) -> pb.Admission:
        """Steps the level of care up or down, with a reason (CAR-22, CAR-23)."""
        stay = await self._open_stay(call, request.person_id, request.etag)
        _fits(request.level_of_care, request.facts, request.hours_per_week)
        admission = stay.message
        change = admission.changes.add(
            from_level=admission.level_of_care, to_level=request.level_of_care, reason=request.reason
        )
        change.at.FromDatetime(call.now)
        admission.level_of_care = request.level_of_care
        admission.days_per_week, admission.hours_per_week = request.days_per_week, request.hours_per_week
        plan, _ = await documents.read(call.tx, self._cipher, pb.CarePlan, request.person_id)
        plan.days_per_week, plan.hours_per_week = request.days_per_week, request.hours_per_week
        await write_plan(self._cipher, call, request.person_id, plan, "")
        known = facts.levels_of_care()
        if known[change.to_level].order > known[change.from_level].order:
            await step_ups.end(call.tx, self._cipher, request.person_id, step_up_service_pb2.STEP_UP_STATE_TAKEN_UP)
        changed = events_pb2.LevelOfCareChanged(
            person_id=request.person_id,
            admission_id=stay.admission_id,
            days_per_week=request.days_per_week,
            hours_per_week=request.hours_per_week,
        )
        call.tx.emit(changed, key=request.person_id)
        return (await care.save(call.tx, self._cipher, stay)).message

    async def discharge(self, call: Call, request: rpc.DischargeRequest) -> pb.Admission:
        """Ends the admission, with a reason and what comes after."""
        stay = await self._open_stay(call, request.person_id, request.etag)
        stay.message.discharge_reason, stay.message.aftercare = request.reason, request.aftercare
        stay.message.discharged_at.FromDatetime(call.now)
        await people.set_state(call.tx, request.person_id, people_pb2.PERSON_STATE_DISCHARGED)
        await step_ups.end(call.tx, self._cipher, request.person_id, step_up_service_pb2.STEP_UP_STATE_ENDED)
        left = events_pb2.PersonDischarged(person_id=request.person_id, admission_id=stay.admission_id)
        left.discharged_at.FromDatetime(call.now)
        call.tx.emit(left, key=request.person_id)
        return (await care.save(call.tx, self._cipher, stay, discharged_at=call.now)).message

    async def _open_stay(self, call: Call, person_id: str, etag: str) -> care.Record:
        await relations.require(call, person_id, "admission")
        await people.lock(call.tx, person_id)
        stay = await care.latest(call.tx, self._cipher, person_id, lock=True)
        if stay.discharged_at is not None:
            raise Refused("not_admitted", "The person has left the program.")
        etags.check(etag, stay.version)
        return stay


def _facts(given: pb.EligibilityFacts, hours_per_week: int = 0) -> levels.Facts:
    return levels.Facts(
        risks=(
            given.intoxication_withdrawal,
            given.biomedical,
            given.emotional_behavioral,
            given.readiness_to_change,
            given.relapse_potential,
            given.recovery_environment,
        ),
        needs_24_hour_care=given.needs_24_hour_care,
        hours_per_week=hours_per_week or given.hours_per_week,
    )


def _fits(level_of_care: str, given: pb.EligibilityFacts, hours_per_week: int) -> None:
    """Raises Invalid for a level the program does not give, Refused for one that the facts do not support."""
    level = facts.levels_of_care().get(level_of_care)
    if level is None or level_of_care not in facts.offered_levels():
        raise Invalid("level_of_care", "offered", f"One of: {', '.join(sorted(facts.offered_levels()))}.")
    if hours_per_week and not level.hours_from <= hours_per_week <= level.hours_to:
        sentence = f"{level.name} is {level.hours_from} to {level.hours_to} hours a week."
        raise Invalid("hours_per_week", "level_of_care_hours", sentence)
    fit = levels.fits(level, _facts(given, hours_per_week))
    if not fit.fits:
        raise Refused("level_of_care", " ".join(fit.reasons))
