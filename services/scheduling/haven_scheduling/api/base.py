"""What every part of the API works with."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from haven.scheduling.v1 import calendar_pb2 as pb

from haven_kit import times
from haven_kit.call import Call
from haven_kit.service import Parts
from haven_scheduling import policy
from haven_scheduling.booking import MaySee
from haven_scheduling.settings import SchedulingSettings
from haven_scheduling.store import calendar, people
from haven_scheduling.store.rows import SessionRow
from haven_scheduling.views import Words


class Base:
    """Parts of the service, and the words of sessions."""

    def __init__(self, parts: Parts[SchedulingSettings]) -> None:
        self._cipher = parts.cipher
        self._words = Words(parts.cipher)

    async def _shown(self, call: Call, session_id: str, time_zone: str = "") -> pb.Session:
        row = await calendar.session(call.tx, session_id)
        visible = await policy.require_session(call, row)
        call.about(*visible)
        zone = await self._zone(call, call.principal.person_id, time_zone)
        return self._words.session(row, call.principal, zone, visible)

    async def _zone(self, call: Call, person_id: str | None, asked: str) -> ZoneInfo | None:
        if asked:
            return times.zone("time_zone", asked)
        known = await people.time_zone(call.tx, person_id) if person_id else ""
        return times.zone("time_zone", known) if known else None


def may_see(call: Call) -> MaySee:
    """Whether a session may be named to the caller."""

    async def answer(row: SessionRow) -> bool:
        return await policy.may_see(call, row)

    return answer
