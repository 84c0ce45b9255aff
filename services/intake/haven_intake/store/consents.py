"""Consents. The kit's table of consents in force is written with them, for relations."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from haven.intake.v1 import consent_service_pb2 as pb

from haven_intake.domain import consents as rules
from haven_kit import words
from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.errors import NotFound
from haven_kit.paging import Page

_COLUMNS = "consent_id::text AS consent_id, sealed, revoked_at, expires_at"


def kind_name(kind: pb.ConsentKind.ValueType) -> str:
    """A kind as events and data files name it: "share_with_partner"."""
    return words.word(pb.ConsentKind, kind)


def kind_of(name: str) -> pb.ConsentKind.ValueType:
    """The kind behind a name."""
    return pb.ConsentKind.Value(f"CONSENT_KIND_{name.upper()}")


def _message(tx: Tx, cipher: Cipher, row: asyncpg.Record) -> pb.Consent:
    message = cipher.open(pb.Consent, row["sealed"], context=f"consent/{row['consent_id']}")
    if row["revoked_at"]:
        message.revoked_at.FromDatetime(row["revoked_at"])
    message.in_force = rules.in_force(row["revoked_at"], row["expires_at"], tx.now)
    return message


def add(tx: Tx, cipher: Cipher, consent: pb.Consent) -> None:
    """Write down a consent."""
    expires = consent.expires_at.ToDatetime(tx.now.tzinfo) if consent.HasField("expires_at") else None
    tx.write(
        """INSERT INTO consent (consent_id, person_id, kind, grantee_id, expires_at, ended, sealed)
        VALUES ($1, $2, $3, $4, $5, FALSE, $6)""",
        consent.consent_id,
        consent.person_id,
        kind_name(consent.kind),
        consent.grantee_id,
        expires,
        cipher.seal(consent, context=f"consent/{consent.consent_id}"),
    )


async def get(tx: Tx, cipher: Cipher, person_id: str, consent_id: str) -> pb.Consent:
    """One consent of a person, locked. Raises NotFound."""
    row = await tx.fetch_one(
        f"SELECT {_COLUMNS} FROM consent WHERE consent_id = $1 AND person_id = $2 FOR UPDATE", consent_id, person_id
    )
    if row is None:
        raise NotFound("consent")
    return _message(tx, cipher, row)


async def revoke(tx: Tx, consent_id: str) -> None:
    """Note that a consent was taken back now."""
    await tx.fetch("UPDATE consent SET revoked_at = $2, ended = TRUE WHERE consent_id = $1", consent_id, tx.now)


async def page(tx: Tx, cipher: Cipher, person_id: str, page: Page) -> list[pb.Consent]:
    """A page of a person's consents, newest first, and one more where there is one."""
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM consent WHERE person_id = $1 AND ($2::uuid IS NULL OR consent_id < $2::uuid)
        ORDER BY consent_id DESC LIMIT $3""",
        person_id,
        page.after[0] if page.after else None,
        page.size + 1,
    )
    return [_message(tx, cipher, row) for row in rows]


async def in_force(tx: Tx, cipher: Cipher, person_id: str, *kinds: str) -> list[pb.Consent]:
    """A person's consents in force, of these kinds or of all."""
    rows = await tx.fetch(
        f"""SELECT {_COLUMNS} FROM consent WHERE person_id = $1 AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > $2) AND (cardinality($3::text[]) = 0 OR kind = ANY($3))
        ORDER BY consent_id""",
        person_id,
        tx.now,
        list(kinds),
    )
    return [_message(tx, cipher, row) for row in rows]


async def naming(tx: Tx, kind: str, grantee_id: str, person_ids: Sequence[str]) -> frozenset[str]:
    """Which of these people have a consent of the kind in force that names the grantee."""
    rows = await tx.fetch(
        """SELECT DISTINCT person_id::text AS person_id FROM consent WHERE kind = $1 AND grantee_id = $2
        AND person_id = ANY($3::uuid[]) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $4)""",
        kind,
        grantee_id,
        list(person_ids),
        tx.now,
    )
    return frozenset(row["person_id"] for row in rows)


async def expire(tx: Tx, limit: int) -> list[asyncpg.Record]:
    """Claim consents whose time is over and mark them ended: `consent_id`, `person_id`, `kind`, `grantee_id`."""
    return await tx.fetch(
        """UPDATE consent SET ended = TRUE WHERE consent_id IN (SELECT consent_id FROM consent
            WHERE NOT ended AND expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING consent_id::text AS consent_id, person_id::text AS person_id, kind, grantee_id""",
        tx.now,
        limit,
    )
