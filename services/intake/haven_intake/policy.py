"""May this principal do this to this record, and what of it may they see. Pure.

Three layers decide what is seen: the relation opens the record; a consent's scope decides what a partner or family
member reads of it; the kind of each field closes the rest, by its `phi` option: partner-private fields to every linked
person, substance-use fields (42 CFR Part 2) to everyone whom neither the record, the role nor a consent lets in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from haven.intake.v1 import care_pb2, consent_service_pb2, people_pb2
from haven.options.v1.options_pb2 import (
    PHI_PARTNER_PRIVATE,
    PHI_SUBSTANCE_USE,
    RELATION_CARE_TEAM,
    RELATION_COUPLE,
    RELATION_FAMILY,
    RELATION_OFFICE,
    RELATION_SELF,
    ROLE_SUBSTANCE_USE_COUNSELOR,
)

from haven_kit import contract
from haven_kit.errors import NotFound
from haven_kit.identity import Principal

M = TypeVar("M", bound=Message)
_PROTECTED: frozenset[int] = frozenset({PHI_PARTNER_PRIVATE, PHI_SUBSTANCE_USE})
_LINKED: frozenset[int] = frozenset({RELATION_COUPLE, RELATION_FAMILY})
_STAFF: frozenset[int] = frozenset({RELATION_CARE_TEAM, RELATION_OFFICE})
Consents = Iterable[consent_service_pb2.Consent]


def only_linked(held: frozenset[int]) -> bool:
    """The caller stands to the person as partner or family, and in no other way."""
    return bool(held) and held <= _LINKED


def shown(principal: Principal, held: frozenset[int], consents: Consents) -> frozenset[int]:
    """The protected kinds the caller may see. `consents` are the person's, in force."""
    if RELATION_SELF in held:
        return _PROTECTED
    kinds: set[int] = set()
    if held & _STAFF:
        kinds.add(PHI_PARTNER_PRIVATE)
        if _may_see_substance_use(principal, held, consents):
            kinds.add(PHI_SUBSTANCE_USE)
    return frozenset(kinds)


def shown_to_office(*, named: bool) -> frozenset[int]:
    """The protected kinds that the intake desk sees; `named` by the person's consent under 42 CFR 2.31, or not."""
    return _PROTECTED if named else _PROTECTED - {PHI_SUBSTANCE_USE}


def _may_see_substance_use(principal: Principal, held: frozenset[int], consents: Consents) -> bool:
    # Within the program the record goes to those who treat substance use (42 CFR 2.12(c)(3)); others need to be named.
    if RELATION_CARE_TEAM in held and principal.has(ROLE_SUBSTANCE_USE_COUNSELOR):
        return True
    part2 = consent_service_pb2.CONSENT_KIND_PART2_DISCLOSURE
    return any(each.kind == part2 and each.in_force and each.grantee_id == principal.id for each in consents)


def visible(message: M, kinds: frozenset[int]) -> M:
    """The message without the protected fields that are not shown. Changes the message given, and returns it."""
    hidden = _PROTECTED - kinds
    if hidden:
        _clear(message, hidden)
    return message


def _clear(message: Message, hidden: frozenset[int]) -> None:
    for field, value in message.ListFields():
        if contract.phi_kind(field) in hidden:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                _clear(each, hidden)
            if field.is_repeated:
                _drop_empty(message, field.name)


def _drop_empty(message: Message, name: str) -> None:
    """An item that lost all it said says by its presence that something was hidden; it goes too."""
    kept = [each for each in getattr(message, name) if each.ListFields()]
    if len(kept) < len(getattr(message, name)):
        message.ClearField(name)
        getattr(message, name).extend(kept)


def keep_hidden(new: M, old: M, kinds: frozenset[int]) -> M:
    """What a caller writes, with the protected fields they cannot see left as they were. Changes and returns `new`."""
    hidden = _PROTECTED - kinds
    for field in cast("Sequence[FieldDescriptor]", new.DESCRIPTOR.fields):
        if contract.phi_kind(field) in hidden:
            new.ClearField(field.name)
            _copy(new, old, field.name)
        elif field.message_type is not None and not field.is_repeated and old.HasField(field.name):
            keep_hidden(getattr(new, field.name), getattr(old, field.name), kinds)
    return new


def _copy(new: Message, old: Message, name: str) -> None:
    field = new.DESCRIPTOR.fields_by_name[name]
    value = getattr(old, name)
    if field.is_repeated:
        getattr(new, name).extend(value)
    elif not field.has_presence or old.HasField(name):
        setattr(new, name, value)


def scopes(principal: Principal, consents: Consents) -> frozenset[int]:
    """What the person's consents in force let this partner or family member see."""
    kinds = (
        consent_service_pb2.CONSENT_KIND_SHARE_WITH_PARTNER,
        consent_service_pb2.CONSENT_KIND_SHARE_WITH_FAMILY,
    )
    mine = (
        each for each in consents if each.kind in kinds and each.grantee_id == principal.person_id and each.in_force
    )
    return frozenset(scope for each in mine for scope in each.scopes)


def shared_person(person: people_pb2.Person, granted: frozenset[int]) -> people_pb2.Person:
    """What a partner or family member sees of a person: the name they go by. Raises NotFound without that scope."""
    if consent_service_pb2.SHARE_SCOPE_NAME not in granted:
        raise NotFound("person")
    return people_pb2.Person(person_id=person.person_id, display_name=person.display_name, pronouns=person.pronouns)


def shared_plan(plan: care_pb2.CarePlan, granted: frozenset[int]) -> care_pb2.CarePlan:
    """What a partner or family member sees of a plan: goals and how they go. Raises NotFound without that scope."""
    if consent_service_pb2.SHARE_SCOPE_PROGRESS not in granted:
        raise NotFound("care plan")
    shared = care_pb2.CarePlan(person_id=plan.person_id)
    for goal in plan.goals:
        shared.goals.add(goal_id=goal.goal_id, text=goal.text, progress_percent=goal.progress_percent)
    return shared
