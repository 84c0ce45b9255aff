"""Paging and escalating from memory, while there is no record to page from.

The same plan, the same pages, the same senders as ever; only the notes are kept with the case. A step is taken only
once the case is written over the state that this replica has seen, so that two replicas never take the same one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from haven_crisis.channels import Outcome
from haven_crisis.directory import Directory
from haven_crisis.domain.escalation import stage_from, turn_of
from haven_crisis.domain.severity import Severity
from haven_crisis.keeping.case import Case, Escalated, KeptPage
from haven_crisis.keeping.keeper import Held, Keeper
from haven_crisis.keeping.stream import Changed
from haven_crisis.pager import BACKOFF, Pager
from haven_crisis.settings import CrisisSettings
from haven_crisis.store.pages import Draft, Job, PageState
from haven_kit import ids, logs
from haven_kit.service import Parts

_log = logs.get(__name__)


class MemoryPager:
    """Pages for the cases of this replica."""

    def __init__(self, parts: Parts[CrisisSettings], directory: Directory, pager: Pager, keeper: Keeper) -> None:
        self._parts = parts
        self._directory = directory
        self._pager = pager
        self._keeper = keeper
        self._running: set[asyncio.Task[None]] = set()

    def plan(self, case: Case, drafts: list[Draft], now: datetime) -> None:
        """Add pages to a case; `begin` sends them."""
        case.pages += [_page(case.stage, draft, now) for draft in drafts]

    def plan_ids(self, case: Case, pages: Sequence[tuple[str, Draft]], now: datetime) -> None:
        """Add the pages that were planned with a signal, under the ids that they were planned with."""
        everywhere = case.severity >= Severity.IMMEDIATE
        for page_id, draft in pages:
            if draft.place == 0 or everywhere:
                page = _page(case.stage, draft, now)
                page.page_id = page_id
                case.pages.append(page)

    def claim(self, case: Case, now: datetime) -> list[KeptPage]:
        """The pages that are due, claimed; to be sent once the case is kept."""
        due = [each for each in case.pages if each.state is PageState.QUEUED and each.due_at <= now]
        for each in due:
            each.state, each.lease_until = PageState.SENDING, self._pager.lease_until(now)
        return due

    def widen(self, case: Case, now: datetime) -> list[KeptPage]:
        """Claim, where life is in danger, a page on every channel that those who are being paged have and that is not
        used yet."""
        if case.severity < Severity.IMMEDIATE or case.acknowledged:
            return []
        used = {(each.responder_id, each.place) for each in case.pages if each.stage == case.stage}
        responders = dict.fromkeys(responder for responder, _ in used)
        drafts = self._pager.drafts(list(responders), case.severity)
        self.plan(case, [each for each in drafts if (each.responder_id, each.place) not in used], now)
        return self.claim(case, now)

    def begin(self, held: Held, pages: list[KeptPage]) -> None:
        """Send claimed pages, unless keeping the case told that somebody took it meanwhile."""
        for each in pages:
            if held.case.acknowledged:
                each.state, each.lease_until = PageState.NOT_NEEDED, None
                continue
            task = asyncio.create_task(self._send(held, each), name="kept page")
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def settle(self) -> None:
        """Wait for the pages under way."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def turn(self, held: Held) -> None:
        """Do what is due for a case of this replica: pages, pages that a dead replica left, the next step; every
        channel at once where a call at another replica has told that life is in danger."""
        async with held.lock:
            case, now = held.case, self._parts.clock.now()
            if not self._keeper.mine(held) or case.acknowledged:
                return
            pages = self.widen(case, now)
            if not pages and case.due_at() > now:
                return
            if case.untouched and not await self._keeper.claim(held):
                return  # a replica that reaches the record has it there, or nobody can tell
            for each in [each for each in case.open_pages() if each.lease_until and each.lease_until <= now]:
                self._ended(case, each, Outcome(PageState.UNKNOWN, "lease ran out"), now)
            if case.deadline <= now:
                self._escalate(case, now)
            pages += self.claim(case, now)
            try:
                await self._keeper.keep(held)
            except Changed:
                return
            self.begin(held, pages)

    def _escalate(self, case: Case, now: datetime) -> None:
        book = self._directory.book
        stage = stage_from(book, book.policy(), case.stage + 1, now, turn_of(case.alert_id, case.turn))
        case.stage, case.deadline = stage.number, now + stage.wait
        case.escalated.append(Escalated(now, stage.number, case.deadline, stage.last_resort))
        self.plan(case, self._pager.drafts(stage.paged, case.severity), now)
        _log.warning("kept.escalated", alert_id=case.alert_id, stage=stage.number)

    async def _send(self, held: Held, page: KeptPage) -> None:
        job = self._job(held, page)
        outcome = await self._pager.deliver(job)
        async with held.lock:
            if held.became is None:
                await self._noted(held, page, outcome)
                return
        if outcome is not None:
            # The record has the page by now, as one that is under way.
            await self._pager.note_now_or_later(self._job(held, page), outcome)

    async def _noted(self, held: Held, page: KeptPage, outcome: Outcome | None) -> None:
        now = self._parts.clock.now()
        if outcome is None:
            page.state, page.lease_until, page.due_at = PageState.QUEUED, None, now
        else:
            self._ended(held.case, page, outcome, now)
        pages = self.claim(held.case, now) if not held.case.acknowledged else []
        try:
            await self._keeper.keep(held)
        except Changed:
            return
        self.begin(held, pages)

    def _ended(self, case: Case, page: KeptPage, outcome: Outcome, now: datetime) -> None:
        """Note how a page went; one that failed starts the next channel at once, and is tried again after a while."""
        page.state, page.failure, page.reference = outcome.state, outcome.reason, outcome.reference
        page.lease_until, page.ended_at = None, now
        if outcome.state not in (PageState.FAILED, PageState.UNKNOWN) or page.stage != case.stage:
            return
        channels = self._directory.channels(page.responder_id)
        following = page.place + 1
        if following < len(channels) and not _planned(case, page, following):
            case.pages.append(_page(page.stage, Draft(page.responder_id, following, channels[following].kind), now))
        if page.attempt < self._parts.settings.page_attempts and page.place < len(channels):
            resent = page.resent or outcome.state is PageState.UNKNOWN
            again = Draft(page.responder_id, page.place, page.channel, page.attempt + 1, resent)
            case.pages.append(_page(page.stage, again, now + BACKOFF[min(page.attempt, len(BACKOFF)) - 1]))

    def _job(self, held: Held, page: KeptPage) -> Job:
        case, became = held.case, held.became
        return Job(
            page_id=page.page_id,
            alert_id=became.alert_id if became else case.alert_id,
            cycle=became.cycle if became else 0,
            stage=page.stage,
            responder_id=page.responder_id,
            place=page.place,
            channel=page.channel,
            attempt=page.attempt,
            resent=page.resent,
            drill=case.drill,
            raised_at=case.raised_at,
            traceparent=case.traceparent,
            lease_until=page.lease_until or self._parts.clock.now() + timedelta(minutes=1),
        )


def _page(stage: int, draft: Draft, due_at: datetime) -> KeptPage:
    return KeptPage(
        page_id=ids.new_id(),
        responder_id=draft.responder_id,
        place=draft.place,
        channel=draft.channel,
        stage=stage,
        created_at=due_at,
        due_at=due_at,
        attempt=draft.attempt,
        resent=draft.resent,
    )


def _planned(case: Case, page: KeptPage, place: int) -> bool:
    """Whether the responder is paged on that channel too: every one at once where life is in danger."""
    return any(
        each.responder_id == page.responder_id and each.place == place and each.stage == page.stage
        for each in case.pages
    )
