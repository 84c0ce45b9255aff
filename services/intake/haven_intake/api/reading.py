"""What every read of a person's record does first: who stands how to the person, and what they may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message
from haven.intake.v1 import consent_service_pb2

from haven_intake import policy
from haven_intake.store import consents
from haven_kit import relations
from haven_kit.call import Call
from haven_kit.cipher import Cipher

M = TypeVar("M", bound=Message)
Consent = consent_service_pb2.Consent


@dataclass(frozen=True, slots=True)
class Access:
    """How the caller stands to a person, with the person's consents in force."""

    held: frozenset[int]
    kinds: frozenset[int]
    """Protected kinds of fields that the caller sees."""
    scopes: frozenset[int]
    """What the caller sees as partner or family."""

    @property
    def only_linked(self) -> bool:
        """The caller is partner or family, and nothing else."""
        return policy.only_linked(self.held)

    def show(self, message: M) -> M:
        """The message as the caller may see it."""
        return policy.visible(message, self.kinds)


async def access(call: Call, cipher: Cipher, person_id: str, resource: str = "person") -> Access:
    """How the caller stands to the person. Raises NotFound where no relation opens the record."""
    held = await relations.require(call, person_id, resource)
    given = await consents.in_force(
        call.tx, cipher, person_id, "part2_disclosure", "share_with_partner", "share_with_family"
    )
    return Access(held, policy.shown(call.principal, held, given), policy.scopes(call.principal, given))
