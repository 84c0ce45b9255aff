"""Availability and staff profiles."""

from __future__ import annotations

from haven.scheduling.v1 import people_pb2 as pb

from haven_kit import etags, relations, times
from haven_kit.call import Call
from haven_kit.errors import Denied, NotFound
from haven_scheduling import facts, patterns, policy
from haven_scheduling.api.base import Base
from haven_scheduling.store import people


class PeopleApi(Base):
    """Availability and staff profiles."""

    async def put_availability(self, call: Call, request: pb.PutAvailabilityRequest) -> pb.Availability:
        """Say when a person can attend."""
        await relations.require(call, request.person_id)
        times.zone("time_zone", request.time_zone)
        kept = await people.availability(call.tx, request.person_id)
        etags.check(request.etag, kept[1] if kept else 0)
        message = pb.Availability(time_zone=request.time_zone, windows=request.windows, blackouts=request.blackouts)
        sealed = self._cipher.seal(message, context=f"availability/{request.person_id}")
        version = await people.write_availability(call.tx, request.person_id, sealed, request.time_zone)
        return _shown(message, request.person_id, version)

    async def get_availability(self, call: Call, request: pb.GetAvailabilityRequest) -> pb.Availability:
        """When a person can attend."""
        await relations.require(call, request.person_id)
        kept = await people.availability(call.tx, request.person_id)
        if kept is None:
            raise NotFound("availability")
        message = self._cipher.open(pb.Availability, kept[0], context=f"availability/{request.person_id}")
        return _shown(message, request.person_id, kept[1])

    async def put_staff_profile(self, call: Call, request: pb.PutStaffProfileRequest) -> pb.StaffProfile:
        """Keep a member of staff's profile."""
        if call.principal.id != request.principal_id and not policy.is_office(call.principal):
            raise Denied("Only the office may write the profile of somebody else.")
        times.zone("time_zone", request.time_zone)
        facts.require_tags("specialties", "specialties", request.specialties)
        facts.require_tags("modalities", "modalities", request.modalities)
        facts.require_tags("credentials", "credentials", (each.credential for each in request.credentials))
        for each in request.credentials:
            patterns.day("credentials.expires_on", each.expires_on)
        kept = await people.profile(call.tx, request.principal_id)
        etags.check(request.etag, kept[1] if kept else 0)
        profile = pb.StaffProfile(
            principal_id=request.principal_id,
            display_name=request.display_name,
            specialties=request.specialties,
            credentials=request.credentials,
            modalities=request.modalities,
            languages=request.languages,
            time_zone=request.time_zone,
            windows=request.windows,
            accepts_new=request.accepts_new,
        )
        profile.etag = etags.of(await people.write_profile(call.tx, profile))
        return profile

    async def get_staff_profile(self, call: Call, request: pb.GetStaffProfileRequest) -> pb.StaffProfile:
        """A member of staff's profile."""
        kept = await people.profile(call.tx, request.principal_id)
        if kept is None:
            raise NotFound("profile")
        profile, version = kept
        profile.etag = etags.of(version)
        return profile


def _shown(message: pb.Availability, person_id: str, version: int) -> pb.Availability:
    message.person_id = person_id
    message.etag = etags.of(version)
    return message
