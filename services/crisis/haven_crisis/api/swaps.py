"""SwapService: responders who trade duties, by consent of both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from haven.crisis.v1 import on_call_service_pb2
from haven.crisis.v1 import swap_service_pb2 as pb
from haven.options.v1 import options_pb2 as options

from haven_crisis.api.desk import Desk
from haven_crisis.api.planning import Planning
from haven_crisis.domain.coverage import show
from haven_crisis.domain.escalation import Book
from haven_crisis.domain.rotation import Override, Stretch, duties, with_override
from haven_crisis.messages import rotation_of
from haven_crisis.store import on_call, swaps
from haven_kit import ids
from haven_kit.call import Call
from haven_kit.database import Tx
from haven_kit.errors import Invalid, NotFound, Refused
from haven_kit.paging import Page

LONGEST = timedelta(days=90)
KEPT = timedelta(days=90)
"""How long an override that is over stays in its rotation."""


class SwapApi:
    """Answers SwapService."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._planning = Planning(desk)

    async def request_swap(self, call: Call, request: pb.RequestSwapRequest) -> pb.Swap:
        who = call.principal.id
        if request.asked_of == who:
            raise Invalid("asked_of", "another", "Ask somebody else than yourself.")
        swap = pb.Swap(
            swap_id=ids.new_id(),
            state=pb.SWAP_STATE_REQUESTED,
            requested_by=who,
            asked_of=request.asked_of,
            gives=request.gives,
            takes=request.takes if request.HasField("takes") else None,
        )
        self._check(await self._desk.book(call.tx), call.tx, swap)
        await swaps.create(call.tx, swap)
        return await swaps.get(call.tx, swap.swap_id)

    async def accept_swap(self, call: Call, request: pb.AcceptSwapRequest) -> pb.Swap:
        swap = await self._open(call, request.swap_id, by="asked_of")
        # As this transaction sees the plan: it may have changed since it was asked for.
        self._check(await self._desk.directory.plan(call.tx), call.tx, swap)
        rotations: dict[str, on_call_service_pb2.Rotation] = {}
        await self._give(call.tx, rotations, swap.gives, swap.asked_of)
        if swap.HasField("takes"):
            await self._give(call.tx, rotations, swap.takes, swap.requested_by)
        await self._planning.rotations(call.tx, [(each, "") for each in rotations.values()], "swap accepted")
        return await swaps.answer(call.tx, swap.swap_id, pb.SWAP_STATE_ACCEPTED)

    async def decline_swap(self, call: Call, request: pb.DeclineSwapRequest) -> pb.Swap:
        await self._open(call, request.swap_id, by="asked_of")
        return await swaps.answer(call.tx, request.swap_id, pb.SWAP_STATE_DECLINED)

    async def withdraw_swap(self, call: Call, request: pb.WithdrawSwapRequest) -> pb.Swap:
        await self._open(call, request.swap_id, by="requested_by")
        return await swaps.answer(call.tx, request.swap_id, pb.SWAP_STATE_WITHDRAWN)

    async def list_swaps(self, call: Call, request: pb.ListSwapsRequest) -> pb.ListSwapsResponse:
        page = Page.of(request)
        of = "" if call.principal.has(options.ROLE_ADMINISTRATOR) else call.principal.id
        found = await swaps.listed(call.tx, of, page.after[0] if page.after else swaps.NEWEST, page.size + 1)
        shown, token = page.cut(found, lambda each: [each.swap_id])
        return pb.ListSwapsResponse(swaps=shown, next_page_token=token)

    async def _open(self, call: Call, swap_id: str, *, by: str) -> pb.Swap:
        """A swap that waits for the caller's answer. An administrator sees all of them and answers none."""
        swap = await swaps.get(call.tx, swap_id)
        if getattr(swap, by) != call.principal.id:
            raise NotFound("swap")
        if swap.state != pb.SWAP_STATE_REQUESTED:
            raise Refused("answered", "This swap was answered or taken back already. Ask for a new one.")
        return swap

    def _check(self, book: Book, tx: Tx, swap: pb.Swap) -> None:
        _holds(book, tx, "gives", swap.gives, swap.requested_by)
        if swap.HasField("takes"):
            _holds(book, tx, "takes", swap.takes, swap.asked_of)

    async def _give(
        self, tx: Tx, rotations: dict[str, on_call_service_pb2.Rotation], stretch: pb.Stretch, to: str
    ) -> None:
        """Give somebody a stretch, by an override in its rotation among `rotations`."""
        if stretch.rotation_id not in rotations:
            row = await on_call.get(tx, "rotation", stretch.rotation_id)
            rotations[stretch.rotation_id] = on_call_service_pb2.Rotation.FromString(row["body"])
        kept = rotations[stretch.rotation_id]
        starts, ends = _times(stretch)
        changed = with_override(rotation_of(kept).overrides, Override(starts, ends, to))
        del kept.overrides[:]
        for each in changed:
            if each.ends_at > tx.now - KEPT:
                made = kept.overrides.add(responder_id=each.responder_id)
                made.starts_at.FromDatetime(each.starts_at)
                made.ends_at.FromDatetime(each.ends_at)


def _holds(book: Book, tx: Tx, field: str, stretch: pb.Stretch, who: str) -> None:
    starts, ends = _times(stretch)
    if not timedelta(0) < ends - starts <= LONGEST or ends <= tx.now:
        raise Invalid(f"{field}.ends_at", "range", "Trade a stretch that is not over, of at most 90 days.")
    rotation = book.rotations.get(stretch.rotation_id)
    if rotation is None:
        raise NotFound("rotation")
    held = duties(rotation, starts, ends)
    if held != [Override(starts, ends, who)]:
        name = book.names.get(who, who)
        raise Refused(
            "not_their_duty", f"{name} is not on call {show(Stretch(starts, ends))}. Choose a stretch that is theirs."
        )


def _times(stretch: pb.Stretch) -> tuple[datetime, datetime]:
    return stretch.starts_at.ToDatetime(UTC), stretch.ends_at.ToDatetime(UTC)
