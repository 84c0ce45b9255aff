"""From attendance to a billable day: one person, one calendar day, at most one per-diem.

A day is the session's calendar day in its own zone (`service_date`), never a day in UTC. Minutes of all sessions of the
day count together, because per-diem codes (HCPCS S9480, H0015) pay for the day and not for a session.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from haven_billing.domain.payers import PerDiemRule


@dataclass(frozen=True, slots=True)
class Attendance:
    """What a person attended of one session."""

    attendance_id: str
    service_date: date
    minutes: int


class State(StrEnum):
    """What becomes of a day."""

    NOT_BILLABLE = "not_billable"
    HELD = "held"
    READY = "ready"
    CLAIMED = "claimed"
    VOIDED = "voided"


class Reason(StrEnum):
    """Why a day is not charged yet, or not at all."""

    NONE = ""
    BELOW_MINIMUM = "below_minimum"
    NO_COVERAGE = "no_coverage"
    COVERAGE_NOT_VERIFIED = "coverage_not_verified"
    NO_RULE = "no_payer_rule"
    WEEKLY_LIMIT = "weekly_limit"
    NO_AUTHORIZATION = "no_authorization"
    AUTHORIZATION_EXHAUSTED = "authorization_exhausted"


class Standing(StrEnum):
    """How a person's coverage stands on a day."""

    NONE = "none"
    UNVERIFIED = "unverified"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Authorized:
    """Authorizations valid on a day: whether there is one, and how many days are left over all of them."""

    exists: bool
    days_left: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a day, and why."""

    state: State
    reason: Reason = Reason.NONE


def minutes_by_day(attendances: Iterable[Attendance]) -> dict[date, int]:
    """Minutes attended on each service date. Order does not matter; an attendance told twice counts once."""
    unique: dict[str, Attendance] = {}
    for attendance in attendances:
        known = unique.get(attendance.attendance_id)
        # The same id with other minutes is a correction that arrived out of order; the longer one stands either way.
        if known is None or attendance.minutes > known.minutes:
            unique[attendance.attendance_id] = attendance
    days: dict[date, int] = defaultdict(int)
    for attendance in unique.values():
        days[attendance.service_date] += max(attendance.minutes, 0)
    return dict(days)


def decide(
    minutes: int, standing: Standing, rule: PerDiemRule | None, billed_in_week: int, authorized: Authorized
) -> Decision:
    """What becomes of one day.

    `billed_in_week` counts the other days from Monday to Sunday that are ready or claimed.
    """
    if standing is Standing.NONE:
        return Decision(State.HELD, Reason.NO_COVERAGE)
    if rule is None:
        return Decision(State.HELD, Reason.NO_RULE)
    if minutes < rule.minimum_minutes:
        return Decision(State.NOT_BILLABLE, Reason.BELOW_MINIMUM)
    if standing is Standing.UNVERIFIED:
        return Decision(State.HELD, Reason.COVERAGE_NOT_VERIFIED)
    if billed_in_week >= rule.maximum_days_per_week:
        return Decision(State.HELD, Reason.WEEKLY_LIMIT)
    if rule.authorization_required and not authorized.exists:
        return Decision(State.HELD, Reason.NO_AUTHORIZATION)
    if rule.authorization_required and authorized.days_left <= 0:
        return Decision(State.HELD, Reason.AUTHORIZATION_EXHAUSTED)
    return Decision(State.READY)


def week_of(day: date) -> tuple[date, date]:
    """Monday and Sunday of the day's week (ISO 8601)."""
    monday = day - timedelta(days=day.weekday())
    return monday, monday + timedelta(days=6)
