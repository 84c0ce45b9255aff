"""What was observed of people, and what they said of themselves. Sealed."""

from __future__ import annotations

from haven.sessions.v1 import observation_service_pb2 as pb

from haven_kit.cipher import Cipher
from haven_kit.database import Tx
from haven_kit.paging import Page


async def add(tx: Tx, cipher: Cipher, observation: pb.Observation) -> None:
    """Keep an observation."""
    await tx.fetch(
        """INSERT INTO observation (observation_id, session_id, person_id, observed_by, observed_at, sealed)
        VALUES ($1, $2, $3, $4, $5, $6)""",
        observation.observation_id,
        observation.session_id,
        observation.person_id,
        observation.observed_by,
        tx.now,
        cipher.seal(observation, context=f"observation/{observation.observation_id}"),
    )


async def of_session(tx: Tx, cipher: Cipher, session_id: str, page: Page) -> list[pb.Observation]:
    """A page of a session's observations, the newest first, and one more where there is one."""
    return await _page(tx, cipher, "session_id", session_id, page)


async def of_person(tx: Tx, cipher: Cipher, person_id: str, page: Page) -> list[pb.Observation]:
    """A page of a person's observations, the newest first, and one more where there is one."""
    return await _page(tx, cipher, "person_id", person_id, page)


async def _page(tx: Tx, cipher: Cipher, column: str, value: str, page: Page) -> list[pb.Observation]:
    rows = await tx.fetch(
        f"""SELECT observation_id::text AS observation_id, sealed FROM observation
        WHERE {column} = $1 AND ($2::uuid IS NULL OR observation_id < $2::uuid)
        ORDER BY observation_id DESC LIMIT $3""",
        value,
        page.after[0] if page.after else None,
        page.size + 1,
    )
    return [cipher.open(pb.Observation, row["sealed"], context=f"observation/{row['observation_id']}") for row in rows]
