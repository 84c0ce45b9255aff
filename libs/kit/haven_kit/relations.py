"""Relations between the people who call and the people whom records are about.

Intake owns them: it writes these tables with the change itself. The other services keep a copy from intake's events, by
`reactions()`, so that they can decide while intake is down.
"""

from __future__ import annotations

from typing import Any

import asyncpg
from haven.intake.v1 import events_pb2
from haven.options.v1 import options_pb2

from haven_kit.call import Call
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.identity import Principal
from haven_kit.reactions import Reaction

Relation = options_pb2.Relation

OFFICE_ROLES = frozenset({options_pb2.ROLE_CARE_COORDINATOR, options_pb2.ROLE_BILLER, options_pb2.ROLE_ADMINISTRATOR})
"""Roles whose work covers every record of a kind, where the method's access rule opens it to them."""
_OWN = [Relation.RELATION_SELF]

_OF = """SELECT
    EXISTS (SELECT 1 FROM care_team WHERE person_id = $1::uuid AND principal_id = $2) AS care_team,
    (SELECT array_agg(DISTINCT link.kind) FROM person_link link
        JOIN consent_in_force consent ON consent.person_id = $1::uuid AND NOT consent.revoked
            AND consent.kind = CASE link.kind WHEN 'couple' THEN 'share_with_partner' ELSE 'share_with_family' END
            AND consent.grantee_id IN ('', $3)
        WHERE NOT link.ended AND ((link.person_id = $1::uuid AND link.linked_person_id::text = $3)
            OR (link.linked_person_id = $1::uuid AND link.person_id::text = $3))) AS links"""


async def of(tx: Tx, principal: Principal, person_id: str) -> frozenset[int]:
    """The relations in which the principal stands to the person: numbers of `Relation`, without SESSION and DUTY,
    which only the service that owns sessions or alerts can tell."""
    found = set()
    if principal.person_id and principal.person_id == person_id:
        found.add(Relation.RELATION_SELF)
    if principal.roles & OFFICE_ROLES:
        found.add(Relation.RELATION_OFFICE)
    row = await tx.read_one(_OF, person_id, principal.id, principal.person_id or "")
    if row is not None and row["care_team"]:
        found.add(Relation.RELATION_CARE_TEAM)
    for kind in (row["links"] or ()) if row is not None else ():
        found.add(Relation.RELATION_COUPLE if kind == "couple" else Relation.RELATION_FAMILY)
    return frozenset(found)


def is_office(call: Call) -> bool:
    """Whether the caller holds an office role that the method's access rule opens it to."""
    return not call.principal.roles.isdisjoint(OFFICE_ROLES.intersection(call.method.access.roles))


async def held(call: Call, person_id: str, *, also: frozenset[int] = frozenset()) -> frozenset[int]:
    """The caller's relations to the person, of those that the method's access rule names; `also` adds to them.

    An office role that the rule does not name opens no record, though another role of the caller opens the method.
    """
    access = call.method.access
    found = await of(call.tx, call.principal, person_id) | also
    if not is_office(call):
        found -= {Relation.RELATION_OFFICE}
    return found & frozenset(access.relations)


async def require(
    call: Call, person_id: str, resource: str = "person", *, also: frozenset[int] = frozenset()
) -> frozenset[int]:
    """The caller's relations to the person, of those that the method's access rule names.

    `also` adds relations that the service itself has found, such as SESSION. A service that the rule names needs none
    when it calls for itself, or where the method is for services alone; one that calls for a person has theirs.
    Raises NotFound(resource) where none is left, so that what is invisible cannot be told from what does not exist.
    """
    access, principal = call.method.access, call.principal
    if principal.service in access.services and (principal.is_service or not access.roles):
        return frozenset(access.relations)
    if access.relations == _OWN and person_id == principal.person_id:
        return frozenset(_OWN)  # by the token alone, without a question to the database
    relations = await held(call, person_id, also=also)
    if not relations:
        raise NotFound(resource)
    return relations


async def write_care_team(tx: Tx, changed: events_pb2.CareTeamChanged) -> None:
    """Make the care team what the event says, unless a later one is known."""
    await tx.fetch("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", changed.person_id)
    known = await tx.fetch("SELECT max(version) FROM care_team WHERE person_id = $1", changed.person_id)
    if known and known[0][0] is not None and known[0][0] >= changed.version:
        return
    await tx.fetch("DELETE FROM care_team WHERE person_id = $1", changed.person_id)
    await tx.fetch(
        """INSERT INTO care_team (person_id, principal_id, role, version)
        SELECT $1, principal_id, role, $4 FROM unnest($2::text[], $3::text[]) AS member (principal_id, role)
        ON CONFLICT DO NOTHING""",
        changed.person_id,
        [each.principal_id for each in changed.members],
        [each.role for each in changed.members],
        changed.version,
    )


async def write_link(tx: Tx, changed: events_pb2.PeopleLinked) -> None:
    """Make the link what the event says, unless a later one is known."""
    await tx.fetch(
        """INSERT INTO person_link (link_id, person_id, linked_person_id, kind, ended, version)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (link_id) DO UPDATE
        SET kind = excluded.kind, ended = excluded.ended, version = excluded.version
        WHERE person_link.version < excluded.version""",
        changed.link_id,
        changed.person_id,
        changed.linked_person_id,
        changed.kind,
        changed.ended,
        changed.version,
    )


async def write_consent(tx: Tx, consent_id: str, person_id: str, kind: str, grantee_id: str, *, revoked: bool) -> None:
    """Note a consent, or that it was taken back. Once taken back it stays so, whichever event comes first."""
    await tx.fetch(
        """INSERT INTO consent_in_force (consent_id, person_id, kind, grantee_id, revoked) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (consent_id) DO UPDATE SET revoked = consent_in_force.revoked OR excluded.revoked""",
        consent_id,
        person_id,
        kind,
        grantee_id,
        revoked,
    )


async def consents(tx: Tx, person_id: str) -> list[asyncpg.Record]:
    """The consents in force of a person: `kind` and `grantee_id`."""
    return await tx.read(
        "SELECT kind, grantee_id FROM consent_in_force WHERE person_id = $1 AND NOT revoked", person_id
    )


async def linked(tx: Tx, person_id: str) -> list[asyncpg.Record]:
    """The people linked to a person now: `other_id` and `kind`."""
    return await tx.read(
        """SELECT CASE WHEN person_id = $1::uuid THEN linked_person_id ELSE person_id END::text AS other_id, kind
        FROM person_link WHERE NOT ended AND $1::uuid IN (person_id, linked_person_id)""",
        person_id,
    )


def reactions() -> tuple[Reaction[Any], ...]:
    """What keeps the copy."""
    return (
        Reaction(events_pb2.CareTeamChanged, _on_care_team, name="relations.care_team"),
        Reaction(events_pb2.PeopleLinked, _on_link, name="relations.link"),
        Reaction(events_pb2.ConsentGiven, _on_given, name="relations.consent_given"),
        Reaction(events_pb2.ConsentRevoked, _on_revoked, name="relations.consent_revoked"),
    )


async def _on_care_team(tx: Tx, event: events_pb2.CareTeamChanged) -> None:
    await write_care_team(tx, event)


async def _on_link(tx: Tx, event: events_pb2.PeopleLinked) -> None:
    await write_link(tx, event)


async def _on_given(tx: Tx, event: events_pb2.ConsentGiven) -> None:
    await write_consent(tx, event.consent_id, event.person_id, event.kind, event.grantee_id, revoked=False)


async def _on_revoked(tx: Tx, event: events_pb2.ConsentRevoked) -> None:
    await write_consent(tx, event.consent_id, event.person_id, event.kind, event.grantee_id, revoked=True)
