"""Time off read from responders' calendars, again each hour where their address is known."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from haven.crisis.v1 import time_off_service_pb2 as pb

from haven_crisis import calendar_source
from haven_crisis.calendar_source import UnreachableCalendar
from haven_crisis.calendars import UnreadableCalendar
from haven_crisis.directory import Directory
from haven_crisis.domain.rotation import Stretch
from haven_crisis.settings import CrisisSettings
from haven_crisis.store import on_call, time_off
from haven_kit import logs, times
from haven_kit.cipher import CannotOpen
from haven_kit.errors import Invalid
from haven_kit.identity import system
from haven_kit.service import Parts

READ_AHEAD = timedelta(days=366)
READ_EVERY = timedelta(hours=1)
_FAILS = (UnreachableCalendar, UnreadableCalendar, CannotOpen, Invalid)
"""What may be wrong with a calendar that could be read once."""
_log = logs.get(__name__)
_PRINCIPAL = system("crisis/time-off")


class Calendars:
    """Reads the calendars again. Time off that meets a duty is kept, and named among the problems of the plan."""

    def __init__(self, parts: Parts[CrisisSettings], directory: Directory) -> None:
        self._parts = parts
        self._directory = directory

    async def step(self) -> bool:
        """One calendar. True when there may be more."""
        database = self._parts.database
        async with database.transaction(_PRINCIPAL) as tx:
            row = await time_off.claim_calendar(tx, tx.now - READ_EVERY)
            now = tx.now
        if row is None:
            return False
        who = row["responder_id"]
        try:
            address = self._parts.cipher.open(pb.ImportTimeOffRequest, row["sealed"], context(who))
            found = await read(self._parts, address, times.zone("time_zone", address.time_zone), now)
        except _FAILS as failed:
            _log.warning("time_off.calendar_not_read", responder_id=who, reason=type(failed).__name__)
            async with database.transaction(_PRINCIPAL) as tx:
                await time_off.note_calendar(tx, who, failed=True)
            return True
        async with database.transaction(_PRINCIPAL) as tx:
            self._directory.renew(tx)
            await on_call.count_up(tx)
            await time_off.replace_imported(tx, who, found)
            await time_off.note_calendar(tx, who, failed=False)
        return True


async def read(
    parts: Parts[CrisisSettings], source: pb.ImportTimeOffRequest, zone: ZoneInfo, now: datetime
) -> list[Stretch]:
    """The time off of the next year, from the text or its address.

    Raises UnreachableCalendar or UnreadableCalendar.
    """
    text = source.ics
    if source.url:
        text = await calendar_source.fetched(source.url, anywhere=parts.settings.environment != "production")
    return await calendar_source.parsed(text, zone, now, now + READ_AHEAD)


def context(responder_id: str) -> str:
    """Where the address of a responder's calendar is sealed."""
    return f"calendar/{responder_id}"
