"""Check-ins that became worse for days: noticed in the transaction of the check-in that shows it."""

from __future__ import annotations

from datetime import UTC, date
from zoneinfo import ZoneInfo

from haven.intake.v1 import care_pb2, events_pb2

from haven_intake import facts
from haven_intake.domain import trends
from haven_intake.store import care, people
from haven_kit import ids, times
from haven_kit.cipher import Cipher
from haven_kit.database import Tx


async def notice(tx: Tx, cipher: Cipher, person: people.Record, check_in: care_pb2.CheckIn) -> bool:
    """Whether this check-in shows that the last days are worse; then crisis is told, once for the same days.

    A day is one of the person's own zone; UTC where it is not known. The person must be locked.
    """
    if not check_in.HasField("mood"):
        return False
    rule = facts.check_in_trend()
    zone = ZoneInfo(person.message.time_zone or "UTC")

    def day(each: care_pb2.CheckIn) -> date:
        return each.recorded_at.ToDatetime(UTC).astimezone(zone).date()

    before = await care.latest_check_ins(tx, cipher, person.person_id)
    moods = trends.by_day((day(each), each.mood) for each in (*before, check_in) if each.HasField("mood"))
    today = day(check_in)
    if not trends.has_fallen(rule, moods, today, await care.trend_told_until(tx, person.person_id)):
        return False
    await care.tell_trend(tx, person.person_id, today)
    event = events_pb2.CheckInTrendNoticed(
        signal_id=ids.new_id(), person_id=person.person_id, rule_id=rule.rule_id, raised_at=times.stamp(tx.now)
    )
    tx.emit(event, key=person.person_id)
    return True
