"""Relations: who stands how to whom, from events that may come late, twice or in any order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from haven.crisis.v1 import crisis_service_pb2
from haven.intake.v1 import events_pb2, people_service_pb2
from haven.options.v1.options_pb2 import Relation, Role

from haven_kit import contract, ids, relations
from haven_kit.call import Call
from haven_kit.database import Database
from haven_kit.errors import NotFound
from haven_kit.identity import Principal, service, system

WHO = system("test")
PERSON, PARTNER = ids.new_id(), ids.new_id()
CRISIS = crisis_service_pb2.DESCRIPTOR.services_by_name["CrisisService"]
PEOPLE = people_service_pb2.DESCRIPTOR.services_by_name["PeopleService"]


async def _of(database: Database, principal: Principal, person_id: str = PERSON) -> set[str]:
    async with database.transaction(WHO) as tx:
        found = await relations.of(tx, principal, person_id)
    return {Relation.Name(each).removeprefix("RELATION_") for each in found}  # type: ignore[arg-type]


def _team(version: int, *principals: str) -> events_pb2.CareTeamChanged:
    members = [events_pb2.CareTeamMember(principal_id=each, role="prescriber") for each in principals]
    return events_pb2.CareTeamChanged(person_id=PERSON, members=members, version=version)


async def test_oneself_and_the_offices(kit_db: Database) -> None:
    assert await _of(kit_db, Principal("p", person_id=PERSON)) == {"SELF"}
    assert await _of(kit_db, Principal("c", roles=frozenset({Role.ROLE_CARE_COORDINATOR}))) == {"OFFICE"}
    assert await _of(kit_db, Principal("x", person_id=ids.new_id())) == set()


async def test_a_late_care_team_does_not_undo_a_newer_one(kit_db: Database) -> None:
    for team in (_team(2, "new"), _team(1, "old"), _team(2, "new")):
        async with kit_db.transaction(WHO) as tx:
            await relations.write_care_team(tx, team)
    assert await _of(kit_db, Principal("new")) == {"CARE_TEAM"}
    assert await _of(kit_db, Principal("old")) == set()
    async with kit_db.transaction(WHO) as tx:
        await relations.write_care_team(tx, _team(3))
    assert await _of(kit_db, Principal("new")) == set()


@pytest.mark.parametrize("turned", [False, True])
async def test_a_partner_needs_the_link_and_a_consent_in_force(kit_db: Database, turned: bool) -> None:
    partner = Principal("partner", person_id=PARTNER)
    consent_id, link_id = ids.new_id(), ids.new_id()
    one, other = (PARTNER, PERSON) if turned else (PERSON, PARTNER)

    async def link(version: int, *, ended: bool = False) -> None:
        async with kit_db.transaction(WHO) as tx:
            event = events_pb2.PeopleLinked(
                link_id=link_id, person_id=one, linked_person_id=other, kind="couple", ended=ended, version=version
            )
            await relations.write_link(tx, event)

    async def consent(*, revoked: bool) -> None:
        async with kit_db.transaction(WHO) as tx:
            await relations.write_consent(tx, consent_id, PERSON, "share_with_partner", PARTNER, revoked=revoked)

    await consent(revoked=False)
    assert await _of(kit_db, partner) == set()
    await link(1)
    assert await _of(kit_db, partner) == {"COUPLE"}
    assert await _of(kit_db, Principal("me", person_id=PERSON), PARTNER) == set()  # they gave no consent
    await consent(revoked=True)
    await consent(revoked=False)  # the older event comes late
    assert await _of(kit_db, partner) == set()


async def test_an_ended_link_ends_the_relation(kit_db: Database) -> None:
    link_id = ids.new_id()
    async with kit_db.transaction(WHO) as tx:
        await relations.write_consent(tx, ids.new_id(), PERSON, "share_with_family", "", revoked=False)
    for version, ended in ((2, True), (1, False)):
        async with kit_db.transaction(WHO) as tx:
            event = events_pb2.PeopleLinked(
                link_id=link_id, person_id=PERSON, linked_person_id=PARTNER, kind="family", ended=ended, version=version
            )
            await relations.write_link(tx, event)
    assert await _of(kit_db, Principal("f", person_id=PARTNER)) == set()


def _call(database: Database, api: ServiceDescriptor, name: str, principal: Principal) -> Call:
    return Call(next(each for each in contract.methods_of(api.full_name) if each.name == name), principal, database)


async def _may(database: Database, api: ServiceDescriptor, name: str, principal: Principal) -> bool:
    call = _call(database, api, name, principal)
    async with call.transaction():
        try:
            await relations.require(call, PERSON)
        except NotFound:
            return False
    return True


async def test_a_service_that_calls_for_a_person_has_what_the_person_has(kit_db: Database) -> None:
    raise_signal, profile = (CRISIS, "RaiseSignal"), (PEOPLE, "GetBillingProfile")
    stranger = Principal("s", roles=frozenset({Role.ROLE_PARTICIPANT}), person_id=ids.new_id(), service="sessions")
    assert not await _may(kit_db, *raise_signal, stranger)
    assert await _may(kit_db, *raise_signal, replace(stranger, person_id=PERSON))
    assert await _may(kit_db, *raise_signal, service("sessions"))
    assert not await _may(kit_db, *raise_signal, replace(service("sessions"), service="billing"))
    biller = Principal("b", roles=frozenset({Role.ROLE_BILLER}), service="billing")
    assert await _may(kit_db, *profile, biller)  # for services alone: the one that asks has decided


async def test_an_office_role_opens_records_only_where_the_method_is_open_to_it(kit_db: Database) -> None:
    both = Principal("x", roles=frozenset({Role.ROLE_FACILITATOR, Role.ROLE_BILLER}), service="gateway")
    assert not await _may(kit_db, PEOPLE, "GetPerson", both)
    coordinator = Principal("c", roles=frozenset({Role.ROLE_CARE_COORDINATOR}), service="gateway")
    assert await _may(kit_db, PEOPLE, "GetPerson", coordinator)
