"""May this caller do this to this record."""

from __future__ import annotations

from haven.crisis.v1 import signals_pb2 as pb
from haven.options.v1 import options_pb2 as options

from haven_crisis.domain.alerts import Alert
from haven_crisis.domain.escalation import Book
from haven_crisis.store import alerts, break_glass, pages, reviews
from haven_kit import relations
from haven_kit.call import Call
from haven_kit.database import Tx
from haven_kit.errors import Invalid, NotFound
from haven_kit.identity import Principal

Relation = options.Relation
_NOT_FROM_OUTSIDE = (pb.SIGNAL_SOURCE_UNSPECIFIED, pb.SIGNAL_SOURCE_FOLLOW_UP_MISSED)


def sees_all(call: Call, book: Book) -> bool:
    """Whether every alert is the caller's to see: on duty, or of the office where the method opens to it."""
    if call.principal.id in book.on_duty(call.now):
        return True
    return Relation.RELATION_OFFICE in call.method.access.relations and call.principal.has(options.ROLE_ADMINISTRATOR)


async def may_see(call: Call, alert: Alert, book: Book) -> None:
    """Raises NotFound unless the caller is on duty or on the person's care team; or had to do with the alert, and there
    is something to do about it still (docs/decisions/0049-alerts-that-are-over.md).

    What only break-glass opened is marked so in the access history.
    """
    caller = call.principal.id
    if sees_all(call, book):
        return
    if alert.drill and call.principal.has(options.ROLE_ON_CALL_RESPONDER):
        return  # about nobody: whoever is to learn may take it
    if await _had_to_do(call.tx, alert, caller) and await alerts.in_hand(call.tx, alert.alert_id):
        return
    held = await relations.of(call.tx, call.principal, alert.person_id)
    if Relation.RELATION_CARE_TEAM in held:
        return
    if await break_glass.in_force(call.tx, alert.alert_id, caller, call.now):
        call.break_glass = True
        return
    raise NotFound("alert")


async def _had_to_do(tx: Tx, alert: Alert, caller: str) -> bool:
    """Whether the caller has or had the alert, looks on, was paged, or was asked by name for what is due after it."""
    return (
        caller in (alert.responder_id, *alert.observers)
        or await pages.was_paged(tx, alert.alert_id, caller)
        or await reviews.asked(tx, alert.alert_id, caller)
    )


def caller_for(call: Call, person_id: str, source: int) -> tuple[str, int, bool]:
    """For whom the caller calls for help, the signal's source as it may stand, and whether only a link with that person
    lets them: see `require_link`. The token alone says so.

    A call for help is not refused for a wrong source: it is put right. Raises NotFound where the caller may not call
    for that person, Invalid where a service or staff names nobody.
    """
    principal = call.principal
    if source not in pb.SignalSource.values() or source in _NOT_FROM_OUTSIDE:
        source = pb.SIGNAL_SOURCE_CLINICIAN if principal.is_staff else pb.SIGNAL_SOURCE_INTEGRATED_SYSTEM
    if principal.service in call.method.access.services and principal.is_service:
        return _named(person_id), _not_a_drill(source), False
    if not person_id or person_id == principal.person_id:
        if principal.person_id:
            return principal.person_id, pb.SIGNAL_SOURCE_HELP_BUTTON, False
        return _named(person_id), source, False
    if principal.is_staff:
        return person_id, source, False
    if principal.person_id:
        return person_id, pb.SIGNAL_SOURCE_PARTNER_OR_FAMILY, True
    raise NotFound("person")


async def require_link(tx: Tx, principal: Principal, person_id: str) -> None:
    """Raises NotFound unless the caller is linked with the person now."""
    linked = await relations.linked(tx, person_id)
    if not any(each["other_id"] == principal.person_id for each in linked):
        raise NotFound("person")


def level_of(principal: Principal, given: int) -> int:
    """How severe the caller judges a signal to be. Only staff and services judge; what is odd is left out."""
    judges = principal.is_staff or principal.is_service
    return given if judges and given in pb.SignalLevel.values() else 0


def may_withdraw(principal: Principal, person_id: str, raised_by: str) -> None:
    """Raises NotFound unless the signal is about the caller or was theirs."""
    if principal.id != raised_by and principal.person_id != person_id and not principal.is_service:
        raise NotFound("signal")


def _named(person_id: str) -> str:
    if not person_id:
        raise Invalid("person_id", "required", "Say who needs help.")
    return person_id


def _not_a_drill(source: int) -> int:
    # A service pages for people only; a drill is begun by a human.
    return pb.SIGNAL_SOURCE_INTEGRATED_SYSTEM if source == pb.SIGNAL_SOURCE_DRILL else source
