"""Who may see which record. What is invisible is answered as not found."""

from haven.options.v1.options_pb2 import RELATION_OFFICE, ROLE_BILLER

from haven_kit import relations
from haven_kit.call import Call
from haven_kit.errors import NotFound


async def may_see(call: Call, person_id: str, resource: str) -> None:
    """Lets people at their own record and billers at every one. Raises NotFound(resource).

    The billing office is billers alone: someone who is a participant and coordinates care sees their own bill, no
    other.
    """
    held = await relations.require(call, person_id, resource)
    if held == {RELATION_OFFICE} and not call.principal.has(ROLE_BILLER):
        raise NotFound(resource)
