"""May this principal do this in this session: pure. The edge asks first, inside the transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from haven_kit.errors import Invalid, NotFound, Refused
from haven_kit.identity import Principal
from haven_sessions.domain.attendance import CORRECTION_WINDOW
from haven_sessions.store.attendance import Attendance
from haven_sessions.store.sessions import Session


@dataclass(frozen=True, slots=True)
class Standing:
    """How a caller stands to a session: they lead it, or they have a seat in it."""

    session: Session
    staff: bool


def standing(principal: Principal, session: Session, *, seat: bool) -> Standing:
    """The caller's standing. Raises NotFound for who has none: they cannot tell whether there is such a session."""
    staff = principal.id == session.facilitator_id
    if not staff and not seat:
        raise NotFound("session")
    return Standing(session, staff)


def require_staff(standing: Standing) -> None:
    """Raises NotFound unless the caller leads the session."""
    if not standing.staff:
        raise NotFound("session")


def require_may_open(principal: Principal, session: Session, leaders: Mapping[str, frozenset[int]]) -> None:
    """Raises Refused where the session was cancelled, or the caller has no role that may lead such a session."""
    if session.cancelled:
        raise Refused("cancelled", "This session was cancelled.")
    if principal.roles.isdisjoint(leaders.get(session.kind, frozenset())):
        raise Refused("licensed_facilitator", "Sessions of this kind are led by people licensed for it.")


def require_may_list_attendance(principal: Principal, session: Session, *, office: bool) -> None:
    """Raises NotFound unless the caller led the session, or their office covers every record."""
    if principal.id != session.facilitator_id and not office:
        raise NotFound("session")


def require_may_correct(principal: Principal, record: Attendance, *, minutes: int, office: bool, now: datetime) -> None:
    """Raises NotFound, Refused or Invalid where the caller may not correct the record so."""
    if principal.id != record.facilitator_id and not office:
        raise NotFound("attendance")
    if now > record.ends_at + CORRECTION_WINDOW:
        raise Refused("correction_window", "Attendance can be corrected for seven days after the session.")
    if minutes * 60 > (record.ends_at - record.starts_at).total_seconds():
        raise Invalid("attended_minutes", "planned_length", "A correction cannot exceed the planned length.")
