"""Proposals of groups, and matching of clinicians."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from haven.scheduling.v1 import people_pb2 as pb

from haven_kit import relations, times
from haven_kit.call import Call
from haven_kit.errors import Denied, Invalid, Refused
from haven_scheduling import facts, patterns, policy
from haven_scheduling.api.base import Base
from haven_scheduling.domain import matching, proposals
from haven_scheduling.domain.availability import Availability
from haven_scheduling.domain.intervals import Interval, monday_of, week_of
from haven_scheduling.domain.matching import Clinician, Licence
from haven_scheduling.domain.proposals import Attendee, Candidate, Couple
from haven_scheduling.domain.week import Plan
from haven_scheduling.store import calendar, groups, people
from haven_scheduling.store.rows import PERSON, STAFF, GroupRow

MOST_GROUPS = 200
MOST_STAFF = 500
MOST_MATCHES = 20
COUPLE = {
    pb.COUPLE_WISH_UNSPECIFIED: Couple.NOT_ASKED,
    pb.COUPLE_WISH_TOGETHER: Couple.TOGETHER,
    pb.COUPLE_WISH_APART: Couple.APART,
}


class ProposalsApi(Base):
    """Proposals of groups, and matching of clinicians."""

    async def propose_groups(self, call: Call, request: pb.ProposeGroupsRequest) -> pb.ProposeGroupsResponse:
        """Groups that together make the week the plan asks for."""
        await relations.require(call, request.person_id)
        facts.require_tags("challenges", "challenges", request.challenges)
        plan = await people.plan(call.tx, request.person_id)
        if plan is None or plan.discharged:
            raise Refused("not_admitted", "Groups are proposed once the person is admitted with a treatment plan.")
        await _check_couple(call, request)
        zone = times.zone("time_zone", plan.time_zone or "UTC")
        today = call.now.astimezone(zone).date()
        next_monday = monday_of(today) + timedelta(7)
        start = patterns.day("week_start", request.week_start) if request.week_start else next_monday
        span = week_of(start, zone)
        taken = await _groups_of(call, request.person_id)
        found = await groups.groups(call.tx, track=plan.track, limit=MOST_GROUPS)
        candidates = [await _candidate(call, each, span) for each in found if each.group_id not in taken]
        partner = request.partner_person_id
        wanted = proposals.Wanted(
            plan=Plan(plan.days, plan.hours),
            bounds=facts.bounds(plan.track),
            zone=zone,
            person=await self._attendee(call, request.person_id, span),
            today=today,
            challenges=frozenset(request.challenges),
            language=request.language,
            format=request.format,
            couple=COUPLE[request.couple],
            partner=await self._attendee(call, partner, span) if partner else None,
            partner_groups=await _groups_of(call, partner) if partner else frozenset(),
        )
        best, left_out = proposals.propose(candidates, wanted)
        return pb.ProposeGroupsResponse(
            proposals=[
                pb.Proposal(
                    group_ids=each.group_ids,
                    days=each.days,
                    minutes=each.minutes,
                    meets_plan=each.meets_plan,
                    fit=each.fit,
                    reasons=each.reasons,
                )
                for each in best
            ],
            left_out=[pb.LeftOut(group_id=each.group_id, rule=each.rule) for each in left_out],
        )

    async def match_clinicians(self, call: Call, request: pb.MatchCliniciansRequest) -> pb.MatchCliniciansResponse:
        """Clinicians who fit."""
        await relations.require(call, request.person_id)
        facts.require_tags("specialties", "specialties", request.specialties)
        facts.require_tags("modalities", "modalities", request.modalities)
        zone = times.zone("time_zone", await people.time_zone(call.tx, request.person_id) or "UTC")
        today = call.now.astimezone(zone).date()
        span = week_of(monday_of(today) + timedelta(7), zone)
        profiles = {each.principal_id: each for each in await people.profiles_accepting(call.tx, MOST_STAFF)}
        wanted = matching.Wanted(
            specialties=frozenset(request.specialties),
            modalities=frozenset(request.modalities),
            language=request.language,
            jurisdiction=request.jurisdiction,
            availability=await self._availability(call, request.person_id, zone),
        )
        staff = [await _clinician(call, each, span) for each in profiles.values() if each.windows]
        found = matching.rank(staff, wanted, span, today)[:MOST_MATCHES]
        return pb.MatchCliniciansResponse(
            matches=[
                pb.ClinicianMatch(
                    principal_id=each.principal_id,
                    display_name=profiles[each.principal_id].display_name,
                    fit=each.fit,
                    matched_specialties=each.specialties,
                    matched_modalities=each.modalities,
                    shared_minutes=each.shared_minutes,
                    reasons=_reasons(each),
                )
                for each in found
            ]
        )

    async def _attendee(self, call: Call, person_id: str, span: Interval) -> Attendee:
        zone = times.zone("time_zone", await people.time_zone(call.tx, person_id) or "UTC")
        booked = await calendar.booked(call.tx, PERSON, person_id, span)
        return Attendee(await self._availability(call, person_id, zone), booked)

    async def _availability(self, call: Call, person_id: str, zone: ZoneInfo) -> Availability:
        kept = await people.availability(call.tx, person_id)
        if kept is None:
            return Availability(zone)
        return patterns.availability(self._cipher.open(pb.Availability, kept[0], context=f"availability/{person_id}"))


async def _check_couple(call: Call, request: pb.ProposeGroupsRequest) -> None:
    asked = request.couple != pb.COUPLE_WISH_UNSPECIFIED
    if asked != bool(request.partner_person_id):
        raise Invalid("partner_person_id", "with_couple", "A wish about a partner and the partner are given together.")
    if asked and not call.principal.is_staff:
        raise Denied("Only staff may ask about a partner's groups.")
    if asked:
        await policy.require_people(call, [request.partner_person_id])
        call.about(request.person_id, request.partner_person_id)


async def _groups_of(call: Call, person_id: str) -> frozenset[str]:
    rows = await groups.enrolments(call.tx, person_id=person_id, after=None, limit=MOST_GROUPS)
    return frozenset(each.group_id for each in rows)


async def _candidate(call: Call, row: GroupRow, span: Interval) -> Candidate:
    meetings = await calendar.sessions(call.tx, span, group_id=row.group_id)
    details = row.details
    return Candidate(
        group_id=row.group_id,
        challenges=frozenset(details.challenges),
        language=details.language,
        format=details.format,
        free_seats=row.free_seats,
        closed_since=date.fromisoformat(details.starts_on) if details.closed_cohort else None,
        meetings=tuple(each.when for each in meetings if not each.optional),
    )


async def _clinician(call: Call, profile: pb.StaffProfile, span: Interval) -> Clinician:
    return Clinician(
        principal_id=profile.principal_id,
        specialties=frozenset(profile.specialties),
        modalities=frozenset(profile.modalities),
        languages=frozenset(profile.languages),
        licences=tuple(
            Licence(each.credential, each.jurisdiction, date.fromisoformat(each.expires_on))
            for each in profile.credentials
            if facts.treats(each.credential)
        ),
        availability=Availability(ZoneInfo(profile.time_zone), patterns.windows(profile.windows)),
        booked=await calendar.booked(call.tx, STAFF, profile.principal_id, span),
    )


def _reasons(match: matching.Match) -> list[str]:
    reasons = []
    if match.specialties or match.modalities:
        tags = ", ".join(each.replace("_", " ") for each in (*match.specialties, *match.modalities))
        reasons.append(f"Trained in what was asked for: {tags}.")
    reasons.append(f"Free at the same time for {match.shared_minutes // 60} hours a week.")
    return reasons
