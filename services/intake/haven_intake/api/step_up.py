"""StepUpService: proposals of more care, and what the care team decides about them."""

from __future__ import annotations

from haven.intake.v1 import step_up_service_pb2 as pb

from haven_intake import step_ups
from haven_intake.settings import IntakeSettings
from haven_intake.store import step_up
from haven_kit import etags, relations
from haven_kit.call import Call
from haven_kit.errors import Refused
from haven_kit.paging import Page
from haven_kit.service import Parts

RESOURCE = "step-up proposal"


class StepUpApi:
    """Answers StepUpService."""

    def __init__(self, parts: Parts[IntakeSettings]) -> None:
        self._cipher = parts.cipher

    async def list_step_up_proposals(
        self, call: Call, request: pb.ListStepUpProposalsRequest
    ) -> pb.ListStepUpProposalsResponse:
        """Proposals for the people of whose care team the caller is; an office role sees all."""
        page = Page.of(request)
        found = await step_up.page(
            call.tx,
            self._cipher,
            principal_id=call.principal.id,
            sees_all=relations.is_office(call),
            person_id=request.person_id,
            decided=request.include_decided,
            page=page,
        )
        shown, token = page.cut(found, lambda each: [each.message.proposal_id])
        call.about(*(each.message.person_id for each in shown))
        return pb.ListStepUpProposalsResponse(proposals=[each.message for each in shown], next_page_token=token)

    async def get_step_up_proposal(self, call: Call, request: pb.GetStepUpProposalRequest) -> pb.StepUpProposal:
        """One proposal, with what speaks for it."""
        return (await self._visible(call, request.proposal_id)).message

    async def decline_step_up(self, call: Call, request: pb.DeclineStepUpRequest) -> pb.StepUpProposal:
        """Declines a proposal, with a reason."""
        held = await self._visible(call, request.proposal_id, lock=True)
        etags.check(request.etag, held.version)
        if held.message.state != pb.STEP_UP_STATE_OPEN:
            raise Refused("decided", "This proposal was decided already.")
        return await step_ups.decide(call.tx, self._cipher, held, pb.STEP_UP_STATE_DECLINED, request.reason)

    async def _visible(self, call: Call, proposal_id: str, *, lock: bool = False) -> step_up.Record:
        held = await step_up.get(call.tx, self._cipher, proposal_id, lock=lock)
        await relations.require(call, held.message.person_id, RESOURCE)
        call.about(held.message.person_id)
        return held
