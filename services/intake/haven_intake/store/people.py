"""People, and the keyed hashes by which one person's records find each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from haven.intake.v1 import people_pb2 as pb

from haven_intake.domain import matching
from haven_kit import etags, ids
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page

MAX_CANDIDATES = 100
_COLUMNS = "person_id::text AS person_id, state, created_at, version, card_version, sealed"


@dataclass(frozen=True, slots=True)
class Record:
    """A person as stored. `message` is a copy of its own, with state, times and etag filled in."""

    person_id: str
    state: int
    created_at: datetime
    version: int
    card_version: int
    message: pb.Person


def _record(cipher: Cipher, row: asyncpg.Record) -> Record:
    message = cipher.open(pb.Person, row["sealed"], context=f"person/{row['person_id']}")
    state = pb.PersonState.Value(row["state"])
    message.person_id, message.state, message.etag = row["person_id"], state, etags.of(row["version"])
    message.created_at.FromDatetime(row["created_at"])
    return Record(row["person_id"], state, row["created_at"], row["version"], row["card_version"], message)


def who(person: pb.Person) -> matching.Who:
    """What is known of a person for matching."""
    return matching.Who(
        given_name=person.given_name,
        family_name=person.family_name,
        birth_date=person.birth_date,
        identifiers=frozenset((each.system, each.value) for each in person.identifiers),
        phones=frozenset(each.value for each in person.phones),
        emails=frozenset(each.value for each in person.emails),
    )


async def add(tx: Tx, cipher: Cipher, person: pb.Person) -> str:
    """Write down a new person, referred. Returns the id."""
    person_id = ids.new_id()
    await tx.fetch(
        """INSERT INTO person (person_id, state, created_at, version, card_version, sealed)
        VALUES ($1, 'PERSON_STATE_REFERRED', $2, 1, 1, $3)""",
        person_id,
        tx.now,
        cipher.seal(_bare(person), context=f"person/{person_id}"),
    )
    await _write_keys(tx, cipher, person_id, person)
    return person_id


async def get(tx: Tx, cipher: Cipher, person_id: str, *, lock: bool = False) -> Record:
    """One person. Raises NotFound."""
    query = f"SELECT {_COLUMNS} FROM person WHERE person_id = $1"
    row = await (tx.fetch_one(f"{query} FOR UPDATE", person_id) if lock else tx.read_one(query, person_id))
    if row is None:
        raise NotFound("person")
    return _record(cipher, row)


async def lock(tx: Tx, person_id: str) -> None:
    """Hold the person's record until the transaction ends: rules over it see no other change. Raises NotFound."""
    if await tx.fetch_one("SELECT 1 FROM person WHERE person_id = $1 FOR UPDATE", person_id) is None:
        raise NotFound("person")


async def save(tx: Tx, cipher: Cipher, record: Record, person: pb.Person, *, card: bool) -> Record:
    """Change a person who was read with a lock. `card`: what responders know of the person changes with it."""
    await tx.fetch(
        "UPDATE person SET version = version + 1, card_version = card_version + $2, sealed = $3 WHERE person_id = $1",
        record.person_id,
        int(card),
        cipher.seal(_bare(person), context=f"person/{record.person_id}"),
    )
    await tx.fetch("DELETE FROM person_key WHERE person_id = $1", record.person_id)
    await _write_keys(tx, cipher, record.person_id, person)
    return await get(tx, cipher, record.person_id)


async def touch_card(tx: Tx, cipher: Cipher, person_id: str) -> Record:
    """Something else that responders know of a person has changed."""
    await tx.fetch("UPDATE person SET card_version = card_version + 1 WHERE person_id = $1", person_id)
    return await get(tx, cipher, person_id)


async def set_state(tx: Tx, person_id: str, state: pb.PersonState.ValueType) -> None:
    """Move a person on the way through the program."""
    await tx.fetch(
        "UPDATE person SET state = $2, version = version + 1 WHERE person_id = $1",
        person_id,
        pb.PersonState.Name(state),
    )


async def page(tx: Tx, cipher: Cipher, state: pb.PersonState.ValueType, page: Page) -> list[Record]:
    """A page of people, newest first, and one more where there is one. Without a state, all but duplicates."""
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM person
        WHERE CASE WHEN $1 = '' THEN state <> 'PERSON_STATE_DUPLICATE' ELSE state = $1 END
        AND ($2::uuid IS NULL OR person_id < $2::uuid) ORDER BY person_id DESC LIMIT $3""",
        pb.PersonState.Name(state) if state else "",
        page.after[0] if page.after else None,
        page.size + 1,
    )
    return [_record(cipher, row) for row in rows]


async def candidates(tx: Tx, cipher: Cipher, person: pb.Person, *, besides: Iterable[str] = ()) -> list[Record]:
    """People who share what would show that they are the same person. Two matches of one person wait for each other."""
    someone = who(person)
    name = cipher.blind("lock", matching.name_key(someone.given_name, someone.family_name) + someone.birth_date)
    await tx.fetch("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", name.hex())
    keys = matching.search_keys(someone)
    blinds = [(purpose, blind) for purpose, text in keys for blind in cipher.blinds(purpose, text)]
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM person WHERE state <> 'PERSON_STATE_DUPLICATE' AND person_id <> ALL($3::uuid[])
        AND person_id IN (SELECT person_key.person_id FROM person_key
            JOIN unnest($1::text[], $2::bytea[]) AS sought (purpose, blind) USING (purpose, blind))
        ORDER BY person_id LIMIT $4""",
        [purpose for purpose, _ in blinds],
        [blind for _, blind in blinds],
        list(besides),
        MAX_CANDIDATES,
    )
    return [_record(cipher, row) for row in rows]


async def _write_keys(tx: Tx, cipher: Cipher, person_id: str, person: pb.Person) -> None:
    keys = sorted(matching.search_keys(who(person)))
    await tx.fetch(
        "INSERT INTO person_key (person_id, purpose, blind) SELECT $1, * FROM unnest($2::text[], $3::bytea[])",
        person_id,
        [purpose for purpose, _ in keys],
        [cipher.blind(purpose, text) for purpose, text in keys],
    )


def _bare(person: pb.Person) -> pb.Person:
    """Without what stands in columns."""
    bare = pb.Person()
    bare.CopyFrom(person)
    for name in ("person_id", "state", "created_at", "etag"):
        bare.ClearField(name)
    return bare
